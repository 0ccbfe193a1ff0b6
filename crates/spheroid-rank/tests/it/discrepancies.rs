use approx::assert_relative_eq;
use ndarray::{Array1, Array2, ArrayView2, Axis, array, concatenate};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use spheroid_core::Discrepancy;
use spheroid_rank::{
    L2, Mahalanobis, MahalanobisConfig, RankError, StandardizedL2Config, direction,
    discrepancy::{MIN_REFERENCE, Reference, all, by_name, score_out_of_fold},
};

use crate::matrix;

type Metric = Box<dyn Discrepancy<Error = RankError>>;

#[derive(Deserialize)]
struct Case {
    name: String,
    reference: Vec<Vec<f32>>,
    predicted: Vec<Vec<f32>>,
    actual: Vec<Vec<f32>>,
    l2: Vec<f64>,
    cosine: Vec<f64>,
    uncentred: Scaled,
    centred: Scaled,
}

#[derive(Deserialize)]
struct Scaled {
    standardized_l2: Vec<f64>,
    mahalanobis: Vec<f64>,
}

fn standardized(centre: bool) -> Metric {
    Box::new(
        StandardizedL2Config {
            centre,
            ..Default::default()
        }
        .build()
        .unwrap(),
    )
}

fn mahalanobis(centre: bool) -> Metric {
    Box::new(
        MahalanobisConfig {
            centre,
            standardize: false,
            ..Default::default()
        }
        .build()
        .unwrap(),
    )
}

#[test]
fn equals_scipy_and_scikit_learn() {
    let cases: Vec<Case> = crate::fixture("discrepancies.json");
    for case in cases {
        let (reference, predicted, actual) = (
            matrix(&case.reference),
            matrix(&case.predicted),
            matrix(&case.actual),
        );
        let expected = [
            (by_name("l2").unwrap(), &case.l2),
            (by_name("cosine").unwrap(), &case.cosine),
            (standardized(false), &case.uncentred.standardized_l2),
            (standardized(true), &case.centred.standardized_l2),
            (mahalanobis(false), &case.uncentred.mahalanobis),
            (mahalanobis(true), &case.centred.mahalanobis),
        ];
        for (metric, expected) in expected {
            let scores = metric
                .score(reference.view(), predicted.view(), actual.view())
                .expect(&case.name);
            assert_eq!(scores.len(), expected.len());
            for (score, expected) in scores.iter().zip(expected) {
                // The file holds decimals, rounded here to single precision as they were there.
                assert_relative_eq!(score, expected, max_relative = 1e-9, epsilon = 1e-12);
            }
        }
    }
}

fn noise(seed: u64, rows: usize, features: usize) -> Array2<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_simple_fn((rows, features), || rng.random_range(-1.0f32..1.0))
}

/// Every metric by its contract, called once for each.
#[test]
fn every_metric_keeps_the_contract() {
    assert!(all().len() >= 7);
    for metric in all() {
        let name = metric.name().to_owned();
        assert_eq!(by_name(&name).unwrap().name(), name);
        for features in [1, 7, 50] {
            keeps_the_contract(&*metric, features);
        }
    }
}

fn keeps_the_contract(metric: &dyn Discrepancy<Error = RankError>, features: usize) {
    let name = metric.name();
    let reference = noise(1, 12, features);
    let predicted = noise(2, 9, features);
    let mut actual = &predicted + &noise(3, 9, features);
    actual.row_mut(4).assign(&predicted.row(4));
    let score = |predicted: ArrayView2<'_, f32>, actual: ArrayView2<'_, f32>| {
        metric.score(reference.view(), predicted, actual)
    };

    spheroid_testkit::conformance::discrepancy(metric, &reference, &predicted, &actual);
    let scores = score(predicted.view(), actual.view()).unwrap();
    if !["nearest_neighbours", "one_class_svm"].contains(&name) {
        assert_eq!(scores[4], 0.0, "{name}: a perfect prediction scores least");
    }

    let order = [8, 1, 0, 3, 2, 7, 6, 5, 4];
    let shuffled = score(
        predicted.select(Axis(0), &order).view(),
        actual.select(Axis(0), &order).view(),
    );
    assert_eq!(
        shuffled.unwrap(),
        scores.select(Axis(0), &order),
        "{name}: rows are independent"
    );

    let backwards: Vec<usize> = (0..12).rev().collect();
    let of_backwards = metric
        .score(
            reference.select(Axis(0), &backwards).view(),
            predicted.view(),
            actual.view(),
        )
        .unwrap();
    for (a, b) in of_backwards.iter().zip(&scores) {
        assert_relative_eq!(a, b, max_relative = 1e-10, epsilon = 1e-12);
    }

    let none: Array1<f64> =
        score(noise(0, 0, features).view(), noise(0, 0, features).view()).unwrap();
    assert!(none.is_empty(), "{name}: no row, no score");

    let wider = noise(4, 9, features + 1);
    let longer = noise(5, 10, features);
    for wrong in [wider, longer] {
        let error = score(predicted.view(), wrong.view()).unwrap_err();
        assert!(matches!(error, RankError::Shape { .. }), "{name}: {error}");
    }
    let error = score(noise(0, 3, 0).view(), noise(0, 3, 0).view()).unwrap_err();
    assert!(matches!(error, RankError::NoFeatures), "{name}: {error}");
    for bad in [f32::NAN, f32::INFINITY] {
        let mut spoilt = actual.clone();
        spoilt[[3, 0]] = bad;
        for result in [
            score(predicted.view(), spoilt.view()),
            score(spoilt.view(), predicted.view()),
        ] {
            let error = result.unwrap_err();
            assert!(
                matches!(error, RankError::NotFinite { row: 3, .. }),
                "{name}: {error}"
            );
        }
    }
}

#[test]
fn metrics_with_a_scale_check_the_reference() {
    let rows = noise(1, 5, 3);
    for metric in [
        standardized(false),
        standardized(true),
        mahalanobis(false),
        mahalanobis(true),
        by_name("nearest_neighbours").unwrap(),
        by_name("one_class_svm").unwrap(),
    ] {
        let score = |reference: Array2<f32>| {
            metric
                .score(reference.view(), rows.view(), rows.view())
                .unwrap_err()
        };
        assert!(matches!(score(noise(2, 8, 4)), RankError::Shape { .. }));
        assert!(matches!(
            score(noise(2, MIN_REFERENCE - 1, 3)),
            RankError::TooFewWells {
                found: 2,
                needed: 3,
                ..
            }
        ));
        assert!(matches!(
            score(Array2::zeros((8, 3))),
            RankError::DegenerateReference { .. }
        ));
        let mut spoilt = noise(2, 8, 3);
        spoilt[[7, 1]] = f32::NAN;
        assert!(matches!(
            score(spoilt),
            RankError::NotFinite {
                what: "reference",
                row: 7,
                feature: 1,
                ..
            }
        ));
    }
}

#[test]
fn a_covariance_that_cannot_be_inverted_is_refused() {
    // Residuals that are all ± one vector: the estimate finds nothing to shrink.
    let line = array![[1., 2., 3.], [-1., -2., -3.], [1., 2., 3.], [1., 2., 3.]];
    let rows = noise(1, 2, 3);
    let score = |shrinkage| {
        let metric = MahalanobisConfig {
            shrinkage,
            ..Default::default()
        }
        .build()
        .unwrap();
        metric.score(line.view(), rows.view(), noise(2, 2, 3).view())
    };
    assert!(matches!(
        score(None),
        Err(RankError::DegenerateReference { .. })
    ));
    assert!(matches!(
        score(Some(0.0)),
        Err(RankError::DegenerateReference { .. })
    ));
    assert!(score(Some(0.1)).is_ok());
}

#[test]
fn full_shrinkage_is_l2_in_units_of_the_mean_scale() {
    let (reference, predicted, actual) = (noise(1, 6, 20), noise(2, 4, 20), noise(3, 4, 20));
    let metric = MahalanobisConfig {
        shrinkage: Some(1.0),
        centre: false,
        standardize: false,
    }
    .build()
    .unwrap();
    let scores = metric
        .score(reference.view(), predicted.view(), actual.view())
        .unwrap();
    let l2 = L2
        .score(reference.view(), predicted.view(), actual.view())
        .unwrap();
    let scale = (reference.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / 120.0).sqrt();
    for (score, l2) in scores.iter().zip(&l2) {
        assert_relative_eq!(*score, l2 / scale, max_relative = 1e-12);
    }
}

#[test]
fn mahalanobis_does_not_depend_on_scale_or_rotation() {
    let (reference, predicted, actual) = (noise(1, 10, 2), noise(2, 4, 2), noise(3, 4, 2));
    let turn = array![[0.6f32, -0.8], [0.8, 0.6]] * 50.0;
    let metric = mahalanobis(false);
    let scores = metric
        .score(reference.view(), predicted.view(), actual.view())
        .unwrap();
    let turned = metric
        .score(
            reference.dot(&turn).view(),
            predicted.dot(&turn).view(),
            actual.dot(&turn).view(),
        )
        .unwrap();
    for (a, b) in scores.iter().zip(&turned) {
        // The turned rows are rounded to single precision.
        assert_relative_eq!(a, b, max_relative = 1e-5);
    }
}

#[test]
fn a_dead_feature_does_not_rule_the_standardized_distance() {
    let mut reference = noise(1, 8, 4);
    reference.column_mut(2).fill(0.0);
    let predicted = Array2::zeros((1, 4));
    let mut actual = Array2::zeros((1, 4));
    actual[[0, 2]] = 1.0;
    let score = standardized(false)
        .score(reference.view(), predicted.view(), actual.view())
        .unwrap()[0];
    let mean_square = reference.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / 32.0;
    assert_relative_eq!(
        score,
        1.0 / (0.1 * mean_square.sqrt()),
        max_relative = 1e-12
    );
}

#[test]
fn settings_outside_their_range_are_refused() {
    for floor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let config = StandardizedL2Config {
            floor,
            ..Default::default()
        };
        assert_eq!(config.build().unwrap_err().param, "floor");
    }
    for shrinkage in [-0.1, 1.1, f64::NAN] {
        let config = MahalanobisConfig {
            shrinkage: Some(shrinkage),
            ..Default::default()
        };
        assert_eq!(config.build().unwrap_err().param, "shrinkage");
    }
}

#[test]
fn untreated_rows_are_scored_against_the_others() {
    let (predicted, actual) = (noise(1, 8, 30), noise(2, 8, 30));
    let residuals = &actual - &predicted;
    let untreated = [1, 2, 4, 5, 7];
    let reference = Reference::of_rows(&untreated, predicted.view(), actual.view()).unwrap();
    for metric in all() {
        let scores =
            score_out_of_fold(&*metric, &reference, predicted.view(), actual.view()).unwrap();
        let by_hand = |reference: &[usize], row: usize| {
            let row = [row];
            metric
                .score(
                    residuals.select(Axis(0), reference).view(),
                    predicted.select(Axis(0), &row).view(),
                    actual.select(Axis(0), &row).view(),
                )
                .unwrap()[0]
        };
        assert_eq!(scores[4], by_hand(&[1, 2, 5, 7], 4));
        assert_eq!(scores[0], by_hand(&untreated, 0));
    }
}

#[test]
fn in_sample_scores_would_be_too_low() {
    let (predicted, actual) = (Array2::zeros((10, 100)), noise(2, 10, 100));
    let untreated: Vec<usize> = (0..10).collect();
    let metric = Mahalanobis::default();
    let reference = Reference::of_rows(&untreated, predicted.view(), actual.view()).unwrap();
    let out_of_fold =
        score_out_of_fold(&metric, &reference, predicted.view(), actual.view()).unwrap();
    let in_sample = metric
        .score(actual.view(), predicted.view(), actual.view())
        .unwrap();
    assert!(
        out_of_fold
            .iter()
            .zip(&in_sample)
            .all(|(out, within)| out > within)
    );
}

#[test]
fn wrong_reference_rows_are_refused() {
    let rows = noise(1, 6, 3);
    let score = |reference: &[usize]| {
        Reference::of_rows(reference, rows.view(), rows.view())
            .and_then(|reference| score_out_of_fold(&L2, &reference, rows.view(), rows.view()))
            .unwrap_err()
    };
    assert!(matches!(
        score(&[0, 1, 2]),
        RankError::TooFewWells {
            found: 3,
            needed: 4,
            ..
        }
    ));
    assert!(matches!(
        score(&[0, 1, 2, 2]),
        RankError::BadRow { row: 2, .. }
    ));
    assert!(matches!(
        score(&[0, 1, 2, 6]),
        RankError::BadRow {
            row: 6,
            rows: 6,
            ..
        }
    ));
}

#[test]
fn direction_leaves_the_projected_row_out() {
    // Pure noise: a row must not be pulled to its own group.
    let residuals = concatenate![Axis(0), noise(1, 6, 400), noise(2, 6, 400)];
    let (untreated, reference) = ([0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]);
    let along = direction(residuals.view(), &untreated, &reference).unwrap();
    let mean = |rows: &[usize]| along.select(Axis(0), rows).mean().unwrap();
    assert!(mean(&reference) - mean(&untreated) < 0.3, "{along}");
}

#[test]
fn direction_refuses_what_gives_no_axis() {
    let residuals = noise(1, 6, 3);
    let along = |u: &[usize], r: &[usize]| direction(residuals.view(), u, r).unwrap_err();
    assert!(matches!(
        along(&[0], &[1, 2]),
        RankError::TooFewWells {
            what: "untreated",
            found: 1,
            needed: 2
        }
    ));
    assert!(matches!(
        along(&[0, 1], &[2]),
        RankError::TooFewWells {
            what: "single-dose",
            ..
        }
    ));
    assert!(matches!(
        along(&[0, 1], &[1, 2]),
        RankError::BadRow { row: 1, .. }
    ));
    assert!(matches!(
        along(&[0, 1], &[2, 9]),
        RankError::BadRow { row: 9, .. }
    ));
    let flat = Array2::zeros((4, 2));
    assert!(matches!(
        direction(flat.view(), &[0, 1], &[2, 3]),
        Err(RankError::Undefined { .. })
    ));
    let nan = Array2::from_elem((4, 2), f32::NAN);
    assert!(matches!(
        direction(nan.view(), &[0, 1], &[2, 3]),
        Err(RankError::NotFinite { .. })
    ));
}

#[test]
fn a_row_is_scored_without_any_residual_that_it_owns() {
    let (predicted, actual) = (noise(1, 5, 6), noise(2, 5, 6));
    let more = noise(3, 8, 6);
    let owners = vec![0, 1, 2, 3, 0, 1, 2, 3];
    let reference = Reference::new(more.clone(), owners).unwrap();
    let metric = Mahalanobis::default();
    let scores = score_out_of_fold(&metric, &reference, predicted.view(), actual.view()).unwrap();
    let by_hand = |residuals: &[usize], row: usize| {
        metric
            .score(
                more.select(Axis(0), residuals).view(),
                predicted.select(Axis(0), &[row]).view(),
                actual.select(Axis(0), &[row]).view(),
            )
            .unwrap()[0]
    };
    assert_eq!(scores[1], by_hand(&[0, 2, 3, 4, 6, 7], 1));
    assert_eq!(scores[4], by_hand(&[0, 1, 2, 3, 4, 5, 6, 7], 4));
}

#[test]
fn standardized_mahalanobis_does_not_depend_on_the_units_of_features() {
    let (reference, predicted, actual) = (noise(1, 8, 20), noise(2, 4, 20), noise(3, 4, 20));
    let mut units = Array2::ones((1, 20));
    units[[0, 3]] = 4.0f32;
    units[[0, 7]] = 0.5;
    let score = |metric: &dyn Discrepancy<Error = RankError>, units: &Array2<f32>| {
        let [a, b, c] = [&reference, &predicted, &actual].map(|rows| rows * units);
        metric.score(a.view(), b.view(), c.view()).unwrap()
    };
    let plain = Array2::ones((1, 20));
    let (a, b) = (
        score(&Mahalanobis::default(), &plain),
        score(&Mahalanobis::default(), &units),
    );
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5 * a));
    let (a, b) = (
        score(&*mahalanobis(false), &plain),
        score(&*mahalanobis(false), &units),
    );
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() > 1e-3 * a));
}
