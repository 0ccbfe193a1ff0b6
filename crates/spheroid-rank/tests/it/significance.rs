use approx::assert_relative_eq;
use proptest::prelude::*;
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use serde::Deserialize;
use spheroid_rank::{RankError, conformal_p_value, mann_whitney};

#[derive(Deserialize)]
struct MannWhitneyCase {
    treated: Vec<f64>,
    untreated: Vec<f64>,
    p: f64,
}

#[test]
fn mann_whitney_equals_scipy_and_the_enumeration() {
    for case in crate::fixture::<MannWhitneyCase>("mann_whitney.json") {
        let p = mann_whitney(&case.treated, &case.untreated).unwrap();
        assert_relative_eq!(p, case.p, max_relative = 1e-11);
    }
}

#[test]
fn what_has_no_p_value_is_refused() {
    for (treated, untreated) in [(&[][..], &[1.0][..]), (&[1.0], &[]), (&[f64::NAN], &[1.0])] {
        let error = mann_whitney(treated, untreated).unwrap_err();
        assert!(matches!(error, RankError::Undefined { .. }), "{error}");
    }
}

/// Of wells that no drug reached as many are called as the level says. Discrete p-values lie at or below it: with 3 of
/// 15 wells the levels that can be reached are multiples of 1/455.
#[test]
fn the_size_of_the_tests_is_what_it_says() {
    const PLATES: usize = 4000;
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for treated_wells in [3, 6] {
        let (mut by_rank, mut by_well) = (0, 0);
        for _ in 0..PLATES {
            let mut draw = |count: usize| -> Vec<f64> {
                (0..count).map(|_| rng.random::<f64>().ln().abs()).collect()
            };
            let (treated, untreated) = (draw(treated_wells), draw(19));
            by_rank += usize::from(mann_whitney(&treated, &untreated).unwrap() <= 0.05);
            by_well += usize::from(conformal_p_value(treated[0], &untreated).unwrap() <= 0.05);
        }
        for called in [by_rank, by_well] {
            let share = called as f64 / PLATES as f64;
            assert!((0.035..0.065).contains(&share), "{treated_wells}: {share}");
        }
    }
}

proptest! {
    #[test]
    fn an_increasing_transformation_changes_no_p_value(
        treated in prop::collection::vec(0.1..9.0f64, 1..7),
        untreated in prop::collection::vec(0.1..9.0f64, 1..16),
    ) {
        let logs = |scores: &[f64]| scores.iter().map(|score| score.ln()).collect::<Vec<_>>();
        let p = mann_whitney(&treated, &untreated).unwrap();
        prop_assert!(p > 0.0 && p <= 1.0 + 1e-12);
        prop_assert_eq!(p, mann_whitney(&logs(&treated), &logs(&untreated)).unwrap());
    }
}
