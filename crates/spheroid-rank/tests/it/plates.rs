use ndarray::{Array2, Axis, concatenate};
use proptest::prelude::*;
use serde::Deserialize;
use spheroid_core::{Group, PlateFormat, PlateWell, Treatment, WellId};
use spheroid_rank::{
    Aggregate, MedianPolishConfig, PlateVerdict, Position, PositionTestConfig, RankError, Scale,
    SpheringConfig, SpheringMethod, WellScore, plate_quality, principal_components,
    remove_position_effects, standardize_features, standardize_scores,
};
use spheroid_testkit::{Tolerance, assert_close, json_fixture, normal};

use crate::fixture;

fn well(plate: &str, id: &str, group: Group, score: f64) -> WellScore {
    WellScore {
        plate: plate.into(),
        well: id.parse().unwrap(),
        treatment: Treatment {
            name: group.to_string(),
            group,
            doses: vec![],
        },
        score,
    }
}

fn group(group: Group, row: usize, scores: &[f64]) -> Vec<WellScore> {
    let wells = scores.iter().enumerate().map(|(column, score)| {
        let id = WellId::new(row + column / 24, column % 24).unwrap();
        WellScore {
            well: id,
            ..well("P1", "A01", group, *score)
        }
    });
    wells.collect()
}

#[derive(Deserialize)]
struct AggregateCase {
    values: Vec<f64>,
    median: f64,
    trimmed: Vec<[f64; 2]>,
    hodges_lehmann: f64,
}

#[test]
fn aggregates_agree_with_scipy_and_the_definition() {
    for case in fixture::<AggregateCase>("aggregates.json") {
        let agrees = |aggregate: Aggregate, expected: f64| {
            assert_close(
                &[aggregate.of(&case.values).unwrap()],
                &[expected],
                Tolerance::F64,
            );
        };
        agrees(Aggregate::Median, case.median);
        agrees(Aggregate::HodgesLehmann, case.hodges_lehmann);
        for [share, expected] in &case.trimmed {
            agrees(Aggregate::TrimmedMean { share: *share }, *expected);
        }
    }
}

#[derive(Deserialize)]
struct SpheringCase {
    epsilon: f64,
    untreated: Vec<Vec<f32>>,
    rows: Vec<Vec<f32>>,
    zca: Vec<Vec<f64>>,
    zca_cor: Vec<Vec<f64>>,
    pca: Vec<Vec<f64>>,
    pca_cor: Vec<Vec<f64>>,
}

fn matrix(rows: &[Vec<f32>]) -> Array2<f32> {
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

#[test]
fn sphering_agrees_with_pycytominer() {
    for case in fixture::<SpheringCase>("sphering.json") {
        let untreated = matrix(&case.untreated);
        let rows: Vec<usize> = (0..untreated.nrows()).collect();
        for (method, expected) in [
            (SpheringMethod::Zca, &case.zca),
            (SpheringMethod::ZcaCor, &case.zca_cor),
            (SpheringMethod::Pca, &case.pca),
            (SpheringMethod::PcaCor, &case.pca_cor),
        ] {
            let sphering = SpheringConfig {
                method,
                epsilon: case.epsilon,
            }
            .build()
            .unwrap();
            let fitted = sphering.fit(untreated.view(), &rows).unwrap();
            let sphered = fitted.transform(matrix(&case.rows).view()).unwrap();
            assert_eq!(sphered.ncols(), expected[0].len(), "{method:?}");
            let sphered: Vec<f32> = sphered.into_iter().collect();
            // Inverse singular values magnify what single precision rounds.
            let tolerance = Tolerance {
                relative: 1e-5,
                absolute: 1e-4,
            };
            assert_close(&sphered, &expected.concat(), tolerance);
        }
    }
}

#[derive(Deserialize)]
struct ComponentsCase {
    values: Vec<Vec<f32>>,
    places: Vec<Vec<f64>>,
    explained: Vec<f64>,
}

#[test]
fn principal_components_agree_with_scikit_learn() {
    for case in fixture::<ComponentsCase>("principal_components.json") {
        let values = matrix(&case.values);
        let count = case.explained.len();
        let map = principal_components(values.view(), count).unwrap();
        assert_eq!(map.places.dim(), (case.values.len(), count));
        for (found, expected) in map.places.iter().zip(case.places.concat()) {
            assert!((found - expected).abs() < 1e-9, "{found} for {expected}");
        }
        for (found, expected) in map.explained.iter().zip(case.explained) {
            assert!((found - expected).abs() < 1e-12);
        }
    }
}

#[test]
fn sphered_untreated_wells_are_white() {
    let values = Array2::from_shape_vec((60, 5), normal(300, 3)).unwrap();
    let mixed = &values + &(&values.column(0).insert_axis(Axis(1)) * 3.0);
    let rows: Vec<usize> = (0..60).collect();
    let fitted = SpheringConfig::default()
        .build()
        .unwrap()
        .fit(mixed.view(), &rows)
        .unwrap();
    let white = fitted.transform(mixed.view()).unwrap();
    let covariance = white.t().dot(&white) / 59.0;
    for ((i, j), value) in covariance.indexed_iter() {
        assert!(
            (value - f32::from(u8::from(i == j))).abs() < 1e-3,
            "{i} {j}: {value}"
        );
    }
}

#[test]
fn sphering_names_what_is_missing() {
    let sphering = SpheringConfig::default().build().unwrap();
    let flat = Array2::<f32>::ones((4, 2));
    let fit = |rows: &[usize]| sphering.fit(flat.view(), rows).unwrap_err();
    assert!(matches!(fit(&[0]), RankError::TooFewWells { found: 1, .. }));
    assert!(matches!(fit(&[0, 9]), RankError::BadRow { row: 9, .. }));
    assert!(matches!(fit(&[0, 1]), RankError::Undefined { .. }));
    let config = SpheringConfig {
        method: SpheringMethod::ZcaCor,
        epsilon: 0.1,
    };
    let mut half = flat.clone();
    half[[0, 0]] = 2.0;
    let error = config
        .build()
        .unwrap()
        .fit(half.view(), &[0, 1, 2])
        .unwrap_err();
    assert!(error.to_string().contains("feature 1"), "{error}");
    for epsilon in [0.0, -1.0, f64::NAN] {
        let config = SpheringConfig {
            epsilon,
            ..Default::default()
        };
        assert_eq!(config.build().unwrap_err().param, "epsilon");
    }
    let fitted = sphering.fit(half.view(), &[0, 1, 2]).unwrap();
    let wide = Array2::<f32>::ones((1, 3));
    assert!(matches!(
        fitted.transform(wide.view()),
        Err(RankError::Shape { .. })
    ));
}

#[derive(Deserialize)]
struct PolishCase {
    table: Vec<Vec<Option<f64>>>,
    overall: f64,
    rows: Vec<f64>,
    columns: Vec<f64>,
    residuals: Vec<Vec<Option<f64>>>,
    mad: f64,
    converged: bool,
}

#[test]
fn median_polish_agrees_with_the_definition() {
    let cases = fixture::<PolishCase>("median_polish.json");
    // R's example of deaths from parachuting ends with a sum of absolute residuals of 19.
    assert_eq!(
        cases[0]
            .residuals
            .concat()
            .iter()
            .flatten()
            .map(|r| r.abs())
            .sum::<f64>(),
        19.0
    );
    for case in cases {
        let shape = (case.rows.len(), case.columns.len());
        let table = Array2::from_shape_fn(shape, |(i, j)| case.table[i][j].unwrap_or(f64::NAN));
        let polished = MedianPolishConfig::default()
            .build()
            .unwrap()
            .fit(table.view())
            .unwrap();
        assert_close(&[polished.overall], &[case.overall], Tolerance::F64);
        assert_close(&polished.rows.to_vec(), &case.rows, Tolerance::F64);
        assert_close(&polished.columns.to_vec(), &case.columns, Tolerance::F64);
        assert_eq!(polished.converged, case.converged);
        // Most residuals of the first table are 0, so that it has no B-scores.
        let scores = (case.mad > 0.0).then(|| polished.b_scores().unwrap());
        assert_eq!(polished.b_scores().is_ok(), case.mad > 0.0);
        for (i, row) in case.residuals.iter().enumerate() {
            for (j, residual) in row.iter().enumerate() {
                match residual {
                    Some(residual) => {
                        assert_close(&[polished.residuals[[i, j]]], &[*residual], Tolerance::F64);
                        if let Some(scores) = &scores {
                            let expected = residual / case.mad;
                            assert_close(&[scores[[i, j]]], &[expected], Tolerance::F64);
                        }
                    }
                    None => assert!(polished.residuals[[i, j]].is_nan()),
                }
            }
        }
    }
}

#[test]
fn median_polish_refuses_what_has_no_median() {
    let polish = MedianPolishConfig::default().build().unwrap();
    for value in [f64::NAN, f64::INFINITY] {
        let error = polish
            .fit(Array2::from_elem((2, 2), value).view())
            .unwrap_err();
        assert!(matches!(error, RankError::Undefined { .. }));
    }
    let flat = polish.fit(Array2::zeros((2, 2)).view()).unwrap();
    assert!(matches!(flat.b_scores(), Err(RankError::Undefined { .. })));
    let config = MedianPolishConfig {
        max_sweeps: 0,
        ..Default::default()
    };
    assert_eq!(config.build().unwrap_err().param, "max_sweeps");
    let config = MedianPolishConfig {
        tolerance: -1.0,
        ..Default::default()
    };
    assert_eq!(config.build().unwrap_err().param, "tolerance");
}

/// Untreated wells on a whole plate of 96, with a factor by row and column.
fn tilted(row: f64, column: f64) -> Vec<WellScore> {
    let noise = normal(96, 4);
    let wells = (0..96).map(|i| WellScore {
        well: WellId::new(i / 12, i % 12).unwrap(),
        ..well(
            "P1",
            "A01",
            Group::Untreated,
            (row * (i / 12) as f64 + column * (i % 12) as f64 + 0.2 * f64::from(noise[i])).exp(),
        )
    });
    wells.collect()
}

#[test]
fn position_effects_are_found_and_taken_away() {
    let test = PositionTestConfig::default().build().unwrap();
    let p = |wells: &[WellScore]| {
        let effects = test.test(wells, PlateFormat::W96).unwrap();
        let positions: Vec<_> = effects.iter().map(|effect| effect.position).collect();
        assert_eq!(positions, [Position::Row, Position::Column, Position::Edge]);
        [0, 1, 2].map(|i| effects[i].p.unwrap())
    };
    let [row, column, _] = p(&tilted(0.3, 0.0));
    assert_eq!(row, 1.0 / 2000.0);
    assert!(column > 0.05, "{column}");
    assert!(p(&tilted(0.0, 0.0)).iter().all(|p| *p > 0.01));
    let cleaned = remove_position_effects(&tilted(0.3, 0.2), Scale::Log).unwrap();
    assert!(p(&cleaned).iter().all(|p| *p > 0.05));
    let mut edge = tilted(0.0, 0.0);
    edge.iter_mut()
        .filter(|w| !PlateFormat::W96.is_inner(w.well))
        .for_each(|w| w.score *= 1.5);
    assert!(p(&edge)[2] < 0.01);
}

#[test]
fn the_position_test_keeps_its_size_beside_treatments() {
    // 95 % of the p-values without an effect are to lie above 0.05; three standard errors of 200
    // plates are 4.6 %.
    let test = PositionTestConfig {
        permutations: 199,
        scale: Scale::Linear,
    }
    .build()
    .unwrap();
    let small = (0..200u64)
        .filter(|seed| {
            let noise = normal(60, *seed);
            let wells: Vec<WellScore> = PlateFormat::W96
                .inner_wells()
                .zip(&noise)
                .enumerate()
                .map(|(i, (id, noise))| {
                    let treatment = (i * 7) % 12;
                    let mut well = well("P1", "A01", Group::DrugScreened, 0.0);
                    well.treatment.name = format!("T{treatment}");
                    well.well = id;
                    well.score = 3.0 * treatment as f64 + f64::from(*noise);
                    well
                })
                .collect();
            let effects = test.test(&wells, PlateFormat::W96).unwrap();
            // No well lies at the edge, so that nothing is said of it.
            assert_eq!(effects[2].p, None);
            effects[0].p.unwrap() <= 0.05
        })
        .count();
    assert!(small as f64 <= 200.0 * (0.05 + 0.046), "{small}");
}

#[test]
fn a_treatment_that_fills_a_row_says_nothing_about_rows() {
    let mut wells = group(Group::Untreated, 0, &[1.0, 2.0, 3.0]);
    wells.extend(group(Group::SingleDose, 1, &[7.0, 8.0, 9.5]));
    let test = PositionTestConfig::default().build().unwrap();
    let effects = test.test(&wells, PlateFormat::W96).unwrap();
    assert_eq!(effects[0].p, None);
    assert!(effects[1].p.is_some());
    wells.push(well("P1", "P24", Group::Untreated, 1.0));
    let error = test.test(&wells, PlateFormat::W96).unwrap_err();
    assert_eq!(
        error.to_string(),
        "plate P1 has 96 wells, and well P24 is not one of them"
    );
    let config = PositionTestConfig {
        permutations: 98,
        ..Default::default()
    };
    assert_eq!(config.build().unwrap_err().param, "permutations");
}

#[derive(Deserialize)]
struct StandardizeCase {
    values: Vec<f64>,
    untreated: usize,
    standardized: Vec<f64>,
}

#[test]
fn standardising_agrees_with_scipy_plate_by_plate() {
    let cases = fixture::<StandardizeCase>("standardize.json");
    let (mut wells, mut rows, mut features, mut untreated) = (vec![], vec![], vec![], vec![]);
    for (plate, case) in cases.iter().enumerate() {
        for (i, value) in case.values.iter().enumerate() {
            let group = if i < case.untreated {
                Group::Untreated
            } else {
                Group::DrugScreened
            };
            let id = WellId::new(0, i).unwrap();
            if i < case.untreated {
                untreated.push(rows.len());
            }
            wells.push(WellScore {
                well: id,
                ..well(&format!("P{plate}"), "A01", group, *value)
            });
            rows.push(PlateWell {
                plate: format!("P{plate}"),
                well: id,
            });
            features.push(*value as f32);
        }
    }
    let expected: Vec<f64> = cases
        .iter()
        .flat_map(|case| case.standardized.clone())
        .collect();
    let scores = standardize_scores(&wells, Scale::Linear).unwrap();
    let scores: Vec<f64> = scores.iter().map(|well| well.score).collect();
    assert_close(&scores, &expected, Tolerance::F64);
    let column = Array2::from_shape_vec((rows.len(), 1), features).unwrap();
    let both = concatenate(Axis(1), &[column.view(), (&column * 8.0).view()]).unwrap();
    let standardized = standardize_features(both.view(), &rows, &untreated).unwrap();
    for feature in 0..2 {
        assert_close(
            &standardized.column(feature).to_vec(),
            &expected,
            Tolerance::F32,
        );
    }
}

#[test]
fn a_plate_that_cannot_be_standardised_is_named() {
    let few = group(Group::Untreated, 0, &[1.0, 2.0, 3.0]);
    let error = standardize_scores(&few, Scale::Linear).unwrap_err();
    assert!(
        matches!(error, RankError::PlateTooFewUntreated { plate, found: 3, .. } if plate == "P1")
    );
    let flat = group(Group::Untreated, 0, &[1.0, 1.0, 1.0, 3.0]);
    let error = standardize_scores(&flat, Scale::Linear).unwrap_err();
    assert!(matches!(error, RankError::PlateWithoutScale { plate, .. } if plate == "P1"));
    let rows: Vec<PlateWell> = (0..4)
        .map(|i| PlateWell {
            plate: "P7".into(),
            well: WellId::new(0, i).unwrap(),
        })
        .collect();
    let mut values = Array2::from_shape_fn((4, 2), |(i, _)| i as f32);
    values.column_mut(1).fill(5.0);
    let error = standardize_features(values.view(), &rows, &[0, 1, 2, 3]).unwrap_err();
    assert!(error.to_string().starts_with("plate P7"), "{error}");
    assert!(error.to_string().contains("feature 1"), "{error}");
}

#[derive(Deserialize)]
struct QualityCase {
    untreated: Vec<f64>,
    reference: Vec<f64>,
    z_prime: f64,
    robust_z_prime: f64,
    ssmd: f64,
    robust_ssmd: f64,
    untreated_cv: f64,
    p: f64,
}

#[derive(Deserialize)]
struct LargeCase {
    untreated: Vec<f64>,
    reference: Vec<f64>,
    p: f64,
}

#[derive(Deserialize)]
struct QualityFixture {
    exact: Vec<QualityCase>,
    large: LargeCase,
}

fn both(untreated: &[f64], reference: &[f64]) -> Vec<WellScore> {
    let mut wells = group(Group::Untreated, 0, untreated);
    // 24 columns a row.
    wells.extend(group(Group::SingleDose, 20, reference));
    wells
}

#[test]
fn quality_agrees_with_scipy_and_the_definitions() {
    let fixture: QualityFixture = json_fixture(env!("CARGO_MANIFEST_DIR"), "quality.json");
    for case in fixture.exact {
        let wells = both(&case.untreated, &case.reference);
        let quality = plate_quality(&wells, Scale::Linear).unwrap().remove(0);
        let found = [
            quality.z_prime,
            quality.robust_z_prime,
            quality.ssmd,
            quality.robust_ssmd,
            quality.untreated_cv,
            quality.p,
        ];
        let expected = [
            case.z_prime,
            case.robust_z_prime,
            case.ssmd,
            case.robust_ssmd,
            case.untreated_cv,
            case.p,
        ];
        assert_close(
            &found.map(Option::unwrap),
            &expected,
            Tolerance {
                relative: 1e-10,
                absolute: 1e-12,
            },
        );
        let can = case.p <= 0.05 && case.robust_ssmd >= 1.0;
        assert_eq!(
            quality.verdict == PlateVerdict::CanRank,
            can,
            "{}",
            quality.reason
        );
    }
    let LargeCase {
        untreated,
        reference,
        p,
    } = fixture.large;
    let quality = plate_quality(&both(&untreated, &reference), Scale::Linear)
        .unwrap()
        .remove(0);
    // The complementary error function is given to about 1e-11.
    assert_close(
        &[quality.p.unwrap()],
        &[p],
        Tolerance {
            relative: 1e-8,
            absolute: 1e-12,
        },
    );
}

#[test]
fn the_verdict_says_why() {
    let verdict = |untreated: &[f64], reference: &[f64]| {
        let quality = plate_quality(&both(untreated, reference), Scale::Log)
            .unwrap()
            .remove(0);
        (quality.verdict, quality.reason)
    };
    let untreated = [0.9, 1.0, 1.1, 1.2, 0.8, 1.05];
    assert_eq!(
        verdict(&untreated, &[3.0, 4.0, 3.5]).0,
        PlateVerdict::CanRank
    );
    let (none, reason) = verdict(&untreated, &[1.0, 0.95, 1.15]);
    assert_eq!(none, PlateVerdict::CannotRank);
    assert!(reason.contains("beyond chance"), "{reason}");
    let many: Vec<f64> = (0..40).map(|i| 1.0 + 0.02 * f64::from(i)).collect();
    let shifted: Vec<f64> = many.iter().map(|score| score + 0.2).collect();
    let (weak, reason) = verdict(&many, &shifted);
    assert_eq!(weak, PlateVerdict::CannotRank);
    assert!(reason.contains("too little"), "{reason}");
    let (unknown, reason) = verdict(&untreated, &[]);
    assert_eq!(unknown, PlateVerdict::Unknown);
    assert!(reason.contains("6 untreated and 0 reference"), "{reason}");
    assert_eq!(verdict(&[1.0; 4], &[2.0; 4]).0, PlateVerdict::CanRank);
}

proptest! {
    #[test]
    fn polished_parts_add_up(values in prop::collection::vec(-9.0f64..9.0, 20)) {
        let table = Array2::from_shape_vec((4, 5), values).unwrap();
        let polished = MedianPolishConfig::default().build().unwrap().fit(table.view()).unwrap();
        for ((i, j), value) in table.indexed_iter() {
            let sum = polished.overall + polished.rows[i] + polished.columns[j] + polished.residuals[[i, j]];
            prop_assert!((sum - value).abs() < 1e-9);
        }
    }

    #[test]
    fn the_rank_test_is_symmetric(a in prop::collection::vec(1u8..9, 3..7), b in prop::collection::vec(1u8..9, 3..7)) {
        let [a, b]: [Vec<f64>; 2] = [a, b].map(|v| v.into_iter().map(f64::from).collect());
        let p = |u: &[f64], r: &[f64]| plate_quality(&both(u, r), Scale::Log).unwrap()[0].p.unwrap();
        // The outcome itself counts on both sides.
        prop_assert!(p(&a, &b) + p(&b, &a) >= 1.0 - 1e-12);
    }
}
