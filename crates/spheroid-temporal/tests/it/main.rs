//! Whole-crate tests: reference values, laws and the contract of each predictor.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod out_of_fold;
mod predictors;
mod ridge;

use ndarray::Array3;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use spheroid_core::{Day, WellId};
use spheroid_temporal::{Trajectories, Well};

fn day(days: f64) -> Day {
    Day::new(days).unwrap()
}

/// Wells A01, A02, … of plate P.
fn wells(count: usize) -> Vec<Well> {
    let well = |i| Well {
        plate: "P".into(),
        well: WellId::new(i / 12, i % 12).unwrap(),
    };
    (0..count).map(well).collect()
}

fn noise(seed: u64, shape: (usize, usize, usize)) -> Array3<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array3::from_shape_simple_fn(shape, || rng.random_range(-1.0f32..1.0))
}

/// Days 7 and 10 of `wells` wells without any law.
fn noisy_series(seed: u64, count: usize, features: usize) -> Trajectories {
    let values = noise(seed, (count, 2, features));
    Trajectories::new(vec![day(7.0), day(10.0)], values, wells(count)).unwrap()
}
