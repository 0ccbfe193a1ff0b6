use ndarray::{Array2, ArrayView2, Axis, array};
use serde::Deserialize;
use spheroid_rank::{
    PermutationTest, RankError, Similarity, benjamini_hochberg,
    discrepancy::{Reference, all, score_out_of_fold},
    energy_distance, mean_average_precision, permutation_test, rank_average, squared_mmd,
};
use spheroid_testkit::{Tolerance, assert_close};

use crate::{matrix, normal};

#[derive(Deserialize)]
struct Expected {
    statistic: f64,
    p_value: f64,
}

fn assert_equal(found: PermutationTest, expected: &Expected) {
    assert_close(
        &[found.statistic, found.p_value],
        &[expected.statistic, expected.p_value],
        Tolerance::F64,
    );
}

#[derive(Deserialize)]
struct TwoSample {
    treated: Vec<Vec<f32>>,
    untreated: Vec<Vec<f32>>,
    energy_distance: Expected,
    squared_mmd: Expected,
}

#[test]
fn two_samples_equal_scipy() {
    let cases: Vec<TwoSample> = crate::fixture("two_sample.json");
    for case in cases {
        let (treated, untreated) = (matrix(&case.treated), matrix(&case.untreated));
        let of = |test: Test| test(treated.view(), untreated.view()).unwrap();
        assert_equal(of(energy_distance), &case.energy_distance);
        assert_equal(of(squared_mmd), &case.squared_mmd);
    }
}

#[derive(Deserialize)]
struct Scores {
    treated: Vec<f64>,
    untreated: Vec<f64>,
    #[serde(flatten)]
    expected: Expected,
}

#[test]
fn permutation_of_scores_equals_scipy() {
    let cases: Vec<Scores> = crate::fixture("permutation.json");
    for case in cases {
        let found = permutation_test(&case.treated, &case.untreated).unwrap();
        assert_equal(found, &case.expected);
    }
    let one = permutation_test(&[4.0], &[1.0, 2.0, 3.0, 5.0]).unwrap();
    assert_eq!(one.p_value, 0.4);
}

#[derive(Deserialize)]
struct Adjusted {
    p_values: Vec<f64>,
    adjusted: Vec<f64>,
}

#[test]
fn adjusted_p_values_equal_scipy() {
    let cases: Vec<Adjusted> = crate::fixture("false_discovery.json");
    for case in cases {
        let adjusted = benjamini_hochberg(&case.p_values).unwrap();
        assert_close(&adjusted, &case.adjusted, Tolerance::F64);
    }
    assert!(benjamini_hochberg(&[]).unwrap().is_empty());
    for bad in [f64::NAN, -0.1, 1.1] {
        assert!(matches!(
            benjamini_hochberg(&[0.5, bad]),
            Err(RankError::Undefined { .. })
        ));
    }
}

#[derive(Deserialize)]
struct Ranks {
    lists: Vec<String>,
    ranks: Vec<f64>,
}

#[test]
fn mean_ranks_equal_scipy() {
    let cases: Vec<Ranks> = crate::fixture("rank_average.json");
    for case in cases {
        let lists: Vec<Vec<f64>> = case.lists.iter().map(|list| crate::numbers(list)).collect();
        let lists: Vec<&[f64]> = lists.iter().map(Vec::as_slice).collect();
        assert_close(&rank_average(&lists).unwrap(), &case.ranks, Tolerance::F64);
    }
    assert!(matches!(
        rank_average(&[]),
        Err(RankError::Undefined { .. })
    ));
    let nan: &[f64] = &[f64::NAN, 1.0];
    assert!(matches!(
        rank_average(&[nan]),
        Err(RankError::Undefined { .. })
    ));
    assert!(matches!(
        rank_average(&[&[1.0, 2.0], &[1.0]]),
        Err(RankError::Shape { .. })
    ));
}

type Test = fn(ArrayView2<'_, f32>, ArrayView2<'_, f32>) -> Result<PermutationTest, RankError>;

fn by_precision(
    treated: ArrayView2<'_, f32>,
    untreated: ArrayView2<'_, f32>,
) -> Result<PermutationTest, RankError> {
    let found = mean_average_precision(treated, untreated, Similarity::Cosine)?;
    Ok(found.test)
}

/// The first feature as a score.
fn by_score(
    treated: ArrayView2<'_, f32>,
    untreated: ArrayView2<'_, f32>,
) -> Result<PermutationTest, RankError> {
    let scores = |rows: ArrayView2<'_, f32>| -> Vec<f64> {
        rows.column(0).iter().map(|x| f64::from(*x).exp()).collect()
    };
    permutation_test(&scores(treated), &scores(untreated))
}

const TESTS: [Test; 4] = [energy_distance, squared_mmd, by_precision, by_score];

/// Each of the 56 ways to label 8 wells tested: of all of them a share of p at most has a p-value
/// of p or less.
#[test]
fn no_test_calls_more_than_it_says() {
    let mut wells = normal(5, 8, 3);
    // Two equal wells and a well that stands apart.
    let copy = wells.row(1).to_owned();
    wells.row_mut(4).assign(&copy);
    wells.row_mut(7).mapv_inplace(|x| 4.0 + x);
    for test in TESTS {
        let mut p_values = Vec::new();
        for labels in (0u32..256).filter(|labels| labels.count_ones() == 3) {
            let (treated, untreated): (Vec<usize>, Vec<usize>) =
                (0..8).partition(|well| labels >> well & 1 == 1);
            let (treated, untreated) = (
                wells.select(Axis(0), &treated),
                wells.select(Axis(0), &untreated),
            );
            p_values.push(test(treated.view(), untreated.view()).unwrap().p_value);
        }
        assert_eq!(p_values.len(), 56);
        for p in &p_values {
            let called = p_values.iter().filter(|other| *other <= p).count();
            assert!(
                (called as f64 / 56.0 - p).abs() < 1e-9,
                "{called} of 56 at {p}"
            );
        }
    }
}

#[test]
fn drawn_tests_do_not_depend_on_the_order_of_wells() {
    // 593,775 ways: drawn.
    let (mut treated, untreated) = (normal(1, 6, 3), normal(2, 24, 3));
    treated += 0.3;
    let turn = |rows: &Array2<f32>| rows.slice(ndarray::s![..;-1, ..]).to_owned();
    for test in TESTS {
        let found = test(treated.view(), untreated.view()).unwrap();
        let turned = test(turn(&treated).view(), turn(&untreated).view()).unwrap();
        assert_eq!(found, turned);
        // One of 10,000 is the labelling itself.
        assert_eq!((found.p_value * 1e4).round() / 1e4, found.p_value);
        assert!(found.p_value >= 1e-4 && found.p_value < 1.0, "{found:?}");
    }
}

#[test]
fn the_drawn_p_value_nears_the_exact_one() {
    // 2,600 ways for 3 of 26 and 27,405 for 4 of 30, of which four wells stand at the far end.
    let mut untreated: Vec<f64> = (1..=26).map(f64::from).collect();
    let treated = [27.0, 28.0, 29.0, 24.5];
    let p = permutation_test(&treated, &untreated).unwrap().p_value;
    let logs: Vec<f64> = treated.iter().chain(&untreated).map(|x| x.ln()).collect();
    let (observed, mut as_large, mut all) = (logs[..4].iter().sum::<f64>(), 0, 0);
    for a in 0..30 {
        for b in 0..a {
            for c in 0..b {
                for d in 0..c {
                    all += 1;
                    let sum = logs[a] + logs[b] + logs[c] + logs[d];
                    as_large += usize::from(sum >= observed - 1e-9);
                }
            }
        }
    }
    assert_eq!(all, 27_405);
    let exact = as_large as f64 / all as f64;
    assert!((p - exact).abs() < 5e-4, "{p} {exact}");
    untreated.truncate(12);
    assert_eq!(
        permutation_test(&treated, &untreated).unwrap().p_value,
        1.0 / 1820.0
    );
}

#[test]
fn wells_that_cannot_be_tested_are_refused() {
    let (some, none) = (normal(1, 3, 2), Array2::zeros((0, 2)));
    for test in &TESTS[..3] {
        assert!(matches!(
            test(none.view(), some.view()),
            Err(RankError::TooFewWells {
                what: "treated",
                ..
            })
        ));
        assert!(matches!(
            test(some.view(), none.view()),
            Err(RankError::TooFewWells {
                what: "untreated",
                ..
            })
        ));
        assert!(matches!(
            test(some.view(), normal(1, 3, 4).view()),
            Err(RankError::Shape { .. })
        ));
        assert!(matches!(
            test(Array2::zeros((3, 0)).view(), Array2::zeros((3, 0)).view()),
            Err(RankError::NoFeatures)
        ));
        let mut spoilt = some.clone();
        spoilt[[2, 1]] = f32::INFINITY;
        assert!(matches!(
            test(some.view(), spoilt.view()),
            Err(RankError::NotFinite {
                what: "untreated",
                row: 2,
                feature: 1,
                ..
            })
        ));
        assert!(matches!(
            test(some.view(), Array2::zeros((4094, 2)).view()),
            Err(RankError::TooManyWells { found: 4097, .. })
        ));
    }
    let equal = Array2::<f32>::ones((3, 2));
    assert!(matches!(
        squared_mmd(equal.view(), equal.view()),
        Err(RankError::Undefined { .. })
    ));
    let flat = energy_distance(equal.view(), equal.view()).unwrap();
    assert_eq!((flat.statistic, flat.p_value), (0.0, 1.0));
    assert!(matches!(
        mean_average_precision(
            array![[0.0], [1.0]].view(),
            array![[1.0]].view(),
            Similarity::Cosine
        ),
        Err(RankError::Undefined { .. })
    ));

    for bad in [f64::NAN, f64::INFINITY, -1.0] {
        for (treated, untreated) in [(bad, 1.0), (1.0, bad)] {
            let error = permutation_test(&[treated], &[untreated]).unwrap_err();
            assert!(error.to_string().contains("a score is"), "{error}");
        }
    }
    assert!(permutation_test(&[0.0], &[0.0, 0.0]).is_err());
    assert!(matches!(
        permutation_test(&[], &[1.0]),
        Err(RankError::TooFewWells {
            what: "treated",
            ..
        })
    ));
    assert!(matches!(
        permutation_test(&[1.0], &[]),
        Err(RankError::TooFewWells {
            what: "untreated",
            ..
        })
    ));
}

const PLATES: u64 = 2000;

/// Share of plates without an effect that a test calls at 5 %.
fn size(mut p_value: impl FnMut(u64) -> f64) -> f64 {
    let called = (0..PLATES).filter(|&plate| p_value(plate) <= 0.05).count();
    called as f64 / PLATES as f64
}

#[test]
fn the_size_of_the_test_of_scores_is_five_percent() {
    for treated in [3, 6] {
        let size = size(|plate| {
            let scores = normal(plate, 12 + treated, 1)
                .mapv(f64::from)
                .mapv(f64::exp);
            let scores = scores.as_slice().unwrap();
            permutation_test(&scores[..treated], &scores[treated..])
                .unwrap()
                .p_value
        });
        assert!((0.035..=0.065).contains(&size), "{treated} wells: {size}");
    }
}

#[test]
fn the_size_of_the_tests_of_features_is_five_percent() {
    for test in TESTS {
        let size = size(|plate| {
            let wells = normal(plate, 15, 8);
            let (treated, untreated) = wells.view().split_at(Axis(0), 3);
            test(treated, untreated).unwrap().p_value
        });
        assert!((0.035..=0.065).contains(&size), "{size}");
    }
}

/// Plates of residuals that are scored as a plate is, untreated wells out of fold. Treated wells
/// are scored against one residual more and so come out a little lower: the test may call too few,
/// but not too many.
#[test]
fn scores_out_of_fold_call_no_more_than_five_percent() {
    for metric in all() {
        for treated in [3, 6] {
            let size = size(|plate| {
                let actual = normal(plate, 12 + treated, 16) + 1.0;
                let predicted = Array2::ones(actual.dim());
                let untreated: Vec<usize> = (treated..12 + treated).collect();
                let reference =
                    Reference::of_rows(&untreated, predicted.view(), actual.view()).unwrap();
                let scores =
                    score_out_of_fold(&*metric, &reference, predicted.view(), actual.view())
                        .unwrap();
                let scores = scores.as_slice().unwrap();
                permutation_test(&scores[..treated], &scores[treated..])
                    .unwrap()
                    .p_value
            });
            assert!(size <= 0.065, "{} {treated} wells: {size}", metric.name());
        }
    }
}
