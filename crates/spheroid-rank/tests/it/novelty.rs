use approx::assert_relative_eq;
use ndarray::{Array2, array};
use serde::Deserialize;
use spheroid_core::Discrepancy;
use spheroid_rank::{
    L1, Mahalanobis, NearestNeighbours, NearestNeighboursConfig, OneClassSvm, OneClassSvmConfig,
    RankError, discrepancy::by_name,
};

use crate::{matrix, normal};

#[derive(Deserialize)]
struct Case {
    name: String,
    reference: Vec<Vec<f32>>,
    predicted: Vec<Vec<f32>>,
    actual: Vec<Vec<f32>>,
    neighbours: usize,
    nu: f64,
    l1: Vec<f64>,
    nearest_neighbours: Vec<f64>,
    decision_plus_offset_scale: Vec<f64>,
    decision_plus_offset_narrow: Vec<f64>,
}

#[test]
fn equals_scikit_learn() {
    let cases: Vec<Case> = crate::fixture("novelty.json");
    for case in cases {
        let score = |metric: &dyn Discrepancy<Error = RankError>| {
            let [reference, predicted, actual] =
                [&case.reference, &case.predicted, &case.actual].map(|rows| matrix(rows));
            metric
                .score(reference.view(), predicted.view(), actual.view())
                .expect(&case.name)
        };
        let neighbours = NearestNeighboursConfig {
            neighbours: case.neighbours,
        };
        for (scores, expected) in [
            (score(&L1), &case.l1),
            (
                score(&neighbours.build().unwrap()),
                &case.nearest_neighbours,
            ),
        ] {
            for (score, expected) in scores.iter().zip(expected) {
                assert_relative_eq!(score, expected, max_relative = 1e-9, epsilon = 1e-12);
            }
        }
        for (gamma, expected) in [
            (None, &case.decision_plus_offset_scale),
            (Some(0.7), &case.decision_plus_offset_narrow),
        ] {
            let config = OneClassSvmConfig {
                nu: case.nu,
                gamma,
                ..Default::default()
            };
            let scores = score(&config.build().unwrap());
            // scikit-learn's multipliers sum to ν n.
            let sum = case.nu * case.reference.len() as f64;
            for (score, expected) in scores.iter().zip(expected) {
                let found = sum * (-score).exp();
                assert!(
                    (found - expected).abs() < 1e-6 * sum,
                    "{} {gamma:?}: {found} {expected}",
                    case.name
                );
            }
        }
    }
}

type Metric = Box<dyn Discrepancy<Error = RankError>>;

/// Untreated wells in two groups far apart, and a well between them where none of them is.
#[test]
fn a_gap_between_groups_is_seen() {
    let spread = normal(1, 24, 2) * 0.3;
    let mut reference = spread;
    reference
        .slice_mut(ndarray::s![..12, 0])
        .mapv_inplace(|x| x + 5.0);
    reference
        .slice_mut(ndarray::s![12.., 0])
        .mapv_inplace(|x| x - 5.0);
    let predicted = Array2::zeros((2, 2));
    // In a group, and between them.
    let actual = array![[5.0f32, 0.0], [0.0, 0.0]];
    let narrow = OneClassSvmConfig {
        gamma: Some(4.0),
        ..Default::default()
    };
    let metrics: [(Metric, bool); 3] = [
        (Box::new(NearestNeighbours::default()), true),
        (Box::new(narrow.build().unwrap()), true),
        (Box::new(Mahalanobis::default()), false),
    ];
    for (metric, sees) in metrics {
        let scores = metric
            .score(reference.view(), predicted.view(), actual.view())
            .unwrap();
        assert_eq!(scores[1] > scores[0], sees, "{}: {scores}", metric.name());
    }
}

#[test]
fn a_bias_of_the_predictor_makes_no_difference() {
    // Values that a bias of 1 keeps exact.
    let grid = |seed, rows| normal(seed, rows, 3).mapv(|x| (x * 64.0).round() / 64.0);
    let (reference, actual) = (grid(1, 12), grid(2, 5));
    let predicted = Array2::zeros((5, 3));
    for metric in ["nearest_neighbours", "one_class_svm"] {
        let metric = by_name(metric).unwrap();
        let plain = metric
            .score(reference.view(), predicted.view(), actual.view())
            .unwrap();
        let biased = metric
            .score(
                (&reference + 1.0).view(),
                predicted.view(),
                (&actual + 1.0).view(),
            )
            .unwrap();
        for (a, b) in plain.iter().zip(&biased) {
            assert_relative_eq!(a, b, max_relative = 1e-10);
        }
    }
}

#[test]
fn one_class_scores_do_not_depend_on_the_order_of_wells() {
    let reference = normal(1, 30, 6);
    let reversed = reference.slice(ndarray::s![..;-1, ..]).to_owned();
    let (predicted, actual) = (normal(2, 4, 6), normal(3, 4, 6));
    let score = |reference: &Array2<f32>| {
        OneClassSvm::default()
            .score(reference.view(), predicted.view(), actual.view())
            .unwrap()
    };
    assert_eq!(score(&reference), score(&reversed));
}

#[test]
fn more_wells_than_a_matrix_of_pairs_may_have_are_refused() {
    let reference = Array2::zeros((4097, 1));
    let one = Array2::zeros((1, 1));
    let error = OneClassSvm::default().score(reference.view(), one.view(), one.view());
    assert!(matches!(
        error,
        Err(RankError::TooManyWells {
            found: 4097,
            most: 4096
        })
    ));
}
