use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use spheroid_core::CoreError;

#[derive(Deserialize)]
struct Row {
    treatment: String,
    kill: f64,
}

/// Reads `truth.csv` (columns `treatment` and `kill`): the true kill of every treatment.
///
/// # Errors
/// When the file cannot be read, is no such table, names a treatment twice, or a kill is not between
/// 0 and 1.
pub fn read_truth(path: &Path) -> Result<BTreeMap<String, f64>, CoreError> {
    let file = std::fs::File::open(path).map_err(|source| CoreError::Io {
        path: path.to_owned(),
        action: "open",
        source,
    })?;
    let mut truth = BTreeMap::new();
    for row in csv::Reader::from_reader(file).deserialize() {
        let Row { treatment, kill } = row.map_err(|source| CoreError::Csv {
            path: path.to_owned(),
            source,
        })?;
        let refuse = |reason| {
            Err(CoreError::Table {
                path: path.to_owned(),
                reason,
            })
        };
        if !(0.0..=1.0).contains(&kill) {
            return refuse(format!(
                "the kill of `{treatment}` is {kill}; it must be from 0 to 1"
            ));
        }
        if truth.insert(treatment.clone(), kill).is_some() {
            return refuse(format!("`{treatment}` occurs twice"));
        }
    }
    Ok(truth)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BTreeMap<String, f64>, CoreError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truth.csv");
        std::fs::write(&path, text).unwrap();
        read_truth(&path)
    }

    #[test]
    fn reads_kills_by_treatment() {
        let truth = read("treatment,kill\nuntreated,0\n\"A, B\",0.5\n").unwrap();
        assert_eq!(truth["A, B"], 0.5);
        assert_eq!(truth.len(), 2);
    }

    #[test]
    fn refuses_what_is_no_truth() {
        for text in [
            "treatment,kill\na,2\n",
            "treatment,kill\na,NaN\n",
            "treatment,kill\na,0\na,1\n",
        ] {
            assert!(matches!(read(text), Err(CoreError::Table { .. })), "{text}");
        }
        assert!(matches!(
            read("treatment,dead\na,0\n"),
            Err(CoreError::Csv { .. })
        ));
        assert!(matches!(
            read_truth(Path::new("no/truth.csv")),
            Err(CoreError::Io { .. })
        ));
    }
}
