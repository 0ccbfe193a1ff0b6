//! Whole-crate tests: reference values, laws and the contract of each trait.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agreement;
mod coverage;
mod discrepancies;
mod dose;
mod mean_average_precision;
mod novelty;
mod permutation;
mod plates;
mod ranking;
mod significance;

/// Reads a fixture; fails when it is missing or empty.
fn fixture<T: serde::de::DeserializeOwned>(name: &str) -> Vec<T> {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect(&path);
    let cases: Vec<T> = serde_json::from_str(&text).expect(&path);
    assert!(!cases.is_empty(), "{path} holds no case");
    cases
}

/// Decimals between spaces.
fn numbers(list: &str) -> Vec<f64> {
    list.split(' ').map(|word| word.parse().unwrap()).collect()
}

fn matrix(rows: &[Vec<f32>]) -> ndarray::Array2<f32> {
    ndarray::Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

/// Independent normal values of mean 0 and deviation 1.
fn normal(seed: u64, rows: usize, features: usize) -> ndarray::Array2<f32> {
    let values = spheroid_testkit::normal(rows * features, seed);
    ndarray::Array2::from_shape_vec((rows, features), values).unwrap()
}
