use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Path of `tests/fixtures/<name>` in the crate whose manifest lies in `crate_folder`
/// (`env!("CARGO_MANIFEST_DIR")`).
///
/// # Panics
/// When there is no such file: a test that finds nothing must not pass.
pub fn fixture_path(crate_folder: &str, name: &str) -> PathBuf {
    let path = Path::new(crate_folder).join("tests/fixtures").join(name);
    assert!(path.is_file(), "fixture {} is missing", path.display());
    path
}

/// Reads a JSON fixture of the crate whose manifest lies in `crate_folder`.
///
/// # Panics
/// When the file is missing or does not hold a `T`.
pub fn json_fixture<T: DeserializeOwned>(crate_folder: &str, name: &str) -> T {
    let path = fixture_path(crate_folder, name);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
