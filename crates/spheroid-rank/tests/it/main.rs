//! Whole-crate tests: reference values, laws and the contract of each trait.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agreement;
mod coverage;
mod discrepancies;
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
