use ndarray::{Array2, Axis, array};
use serde::Deserialize;
use spheroid_rank::{Similarity, mean_average_precision};
use spheroid_testkit::{Tolerance, assert_close};

use crate::{matrix, normal};

#[derive(Deserialize)]
struct Plate {
    similarity: Similarity,
    untreated: Vec<Vec<f32>>,
    treatments: Vec<Treatment>,
}

#[derive(Deserialize)]
struct Treatment {
    treated: Vec<Vec<f32>>,
    average_precisions: Vec<f64>,
    mean: f64,
}

#[test]
fn average_precisions_equal_copairs() {
    let plates: Vec<Plate> = crate::fixture("mean_average_precision.json");
    for plate in plates {
        for treatment in plate.treatments {
            let found = mean_average_precision(
                matrix(&treatment.treated).view(),
                matrix(&plate.untreated).view(),
                plate.similarity,
            )
            .unwrap();
            assert_close(
                &found.average_precisions,
                &treatment.average_precisions,
                Tolerance::F64,
            );
            assert_close(&[found.test.statistic], &[treatment.mean], Tolerance::F64);
        }
    }
}

#[test]
fn a_perfect_pair_among_seventeen_is_no_more_seldom_than_chance() {
    // Two wells that point one way, 16 that point another each.
    let untreated = Array2::from_shape_fn((16, 2), |(i, j)| {
        let angle = 1.0 + i as f32 / 8.0;
        if j == 0 { angle.cos() } else { angle.sin() }
    });
    let treated = array![[1.0f32, 0.0], [1.0, 0.001]];
    let found =
        mean_average_precision(treated.view(), untreated.view(), Similarity::Cosine).unwrap();
    assert_eq!(found.average_precisions, [1.0, 1.0]);
    // Ends of the fan find each other as well: 1 / 153 at the least.
    assert!(found.test.p_value >= 1.0 / 153.0);
}

#[test]
fn wells_that_tie_share_a_cut_off() {
    // Either treated well finds the other one and an untreated one at equal similarity.
    let treated = array![[1.0f32, 0.0], [1.0, 0.0]];
    let untreated = array![[1.0f32, 0.0], [0.0, 1.0]];
    let found =
        mean_average_precision(treated.view(), untreated.view(), Similarity::Cosine).unwrap();
    assert_eq!(found.average_precisions, [0.5, 0.5]);
    // Any two of the three equal wells look the same.
    assert_eq!(found.test.p_value, 0.5);
}

/// The rule of copairs 0.5.2: relevant positions of one query are drawn at random, and p is the
/// share of lists that are strictly better than the mean.
fn copairs_p_value(mean: f64, single_lists: &[f64]) -> f64 {
    let better = single_lists.iter().filter(|list| **list > mean).count();
    better as f64 / single_lists.len() as f64
}

/// Average precisions of all lists of 14 in which two are relevant.
fn single_lists() -> Vec<f64> {
    let positions = (1..=14).flat_map(|second| (1..second).map(move |first| (first, second)));
    positions
        .map(|(first, second)| (1.0 / f64::from(first) + 2.0 / f64::from(second)) / 2.0)
        .collect()
}

/// Shares of treatments called at 5 % by labels and by the rule of copairs; 3 treated wells, 12
/// untreated, 64 features.
fn called(shift: f32, treatments: u64) -> (f64, f64) {
    let lists = single_lists();
    let (mut by_labels, mut by_copairs) = (0, 0);
    for seed in 0..treatments {
        let mut wells = normal(seed, 15, 64);
        wells
            .slice_mut(ndarray::s![..3, 0])
            .mapv_inplace(|x| x + shift);
        let (treated, untreated) = wells.view().split_at(Axis(0), 3);
        let found = mean_average_precision(treated, untreated, Similarity::Cosine).unwrap();
        by_labels += u32::from(found.test.p_value <= 0.05);
        by_copairs += u32::from(copairs_p_value(found.test.statistic, &lists) < 0.05);
    }
    let share = |count: u32| f64::from(count) / treatments as f64;
    (share(by_labels), share(by_copairs))
}

#[test]
fn labels_keep_their_size_and_find_more_than_the_rule_of_copairs() {
    let (size, of_copairs) = called(0.0, 2000);
    assert!((0.035..=0.065).contains(&size), "{size}");
    assert!(of_copairs < 0.025, "{of_copairs}");
    for (shift, gain) in [(3.0, 0.08), (4.0, 0.08), (5.0, 0.03)] {
        let (power, of_copairs) = called(shift, 1000);
        assert!(power > of_copairs + gain, "{shift}: {power} {of_copairs}");
    }
}
