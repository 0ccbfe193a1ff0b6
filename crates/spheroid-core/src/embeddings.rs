use std::{collections::BTreeSet, path::Path};

use ndarray::{Array2, ArrayView2, Axis};

use crate::{CoreError, PlateMap, StackKey, atomic, table::Table};

/// One row of features for every stack: what the encoder hands to everything that follows.
///
/// Rows are unique by plate, well and day, and every value is finite.
///
/// # Example
/// ```
/// use ndarray::array;
/// use spheroid_core::{Day, Embeddings, StackKey};
/// let key = StackKey { plate: "p".into(), well: "B02".parse()?, day: Day::new(7.0)? };
/// let embeddings = Embeddings::new(vec![key], array![[0.5, 1.5]])?;
/// assert_eq!(embeddings.values()[[0, 1]], 1.5);
/// # Ok::<(), spheroid_core::CoreError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    keys: Vec<StackKey>,
    values: Array2<f32>,
}

impl Embeddings {
    /// Joins identifiers and features, `values` being `[stack, feature]`.
    ///
    /// # Errors
    /// When the numbers of rows differ, a key occurs twice or a value is NaN or infinite.
    pub fn new(keys: Vec<StackKey>, values: Array2<f32>) -> Result<Self, CoreError> {
        if keys.len() != values.nrows() {
            return Err(CoreError::EmbeddingRows {
                ids: keys.len(),
                rows: values.nrows(),
            });
        }
        if let Some(((row, feature), &value)) =
            values.indexed_iter().find(|(_, value)| !value.is_finite())
        {
            let row = keys[row].to_string();
            return Err(CoreError::EmbeddingNotFinite {
                row,
                feature,
                value,
            });
        }
        let mut seen = BTreeSet::new();
        if let Some(key) = keys.iter().find(|key| !seen.insert(*key)) {
            return Err(CoreError::EmbeddingDuplicate {
                row: key.to_string(),
            });
        }
        Ok(Self { keys, values })
    }

    /// What each row is the embedding of.
    pub fn keys(&self) -> &[StackKey] {
        &self.keys
    }

    /// Features `[stack, feature]`.
    pub fn values(&self) -> ArrayView2<'_, f32> {
        self.values.view()
    }

    /// Writes a CSV that pycytominer and copairs read: `Metadata_plate`, `Metadata_Well`,
    /// `Metadata_day`, with `map` also `Metadata_treatment` and `Metadata_group`, then the features.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_csv(&self, path: &Path, map: Option<&PlateMap>) -> Result<(), CoreError> {
        let csv_error = |source| CoreError::Csv {
            path: path.to_owned(),
            source,
        };
        atomic::write_file(path, |out| {
            let mut writer = csv::Writer::from_writer(out);
            let mut header: Vec<String> = KEY_COLUMNS.map(str::to_owned).to_vec();
            if map.is_some() {
                header.extend(TREATMENT_COLUMNS.map(str::to_owned));
            }
            header.extend((0..self.values.ncols()).map(|feature| format!("feature_{feature:04}")));
            writer.write_record(&header).map_err(csv_error)?;
            for (key, values) in self.keys.iter().zip(self.values.axis_iter(Axis(0))) {
                let mut record = vec![key.plate.clone(), key.well.to_string(), key.day.to_string()];
                if let Some(map) = map {
                    let treatment = map.treatment_of(&key.plate_well());
                    record.push(treatment.map_or(String::new(), |t| t.name.clone()));
                    record.push(treatment.map_or(String::new(), |t| t.group.to_string()));
                }
                record.extend(values.iter().map(f32::to_string));
                writer.write_record(&record).map_err(csv_error)?;
            }
            writer.flush().map_err(|source| CoreError::Io {
                path: path.to_owned(),
                action: "write",
                source,
            })
        })
    }

    /// Reads what [`write_csv`](Self::write_csv) wrote, or any table with plate, well and day in
    /// `Metadata_` columns; every column without that prefix is a feature.
    ///
    /// # Errors
    /// When the table cannot be read, lacks a column, has no feature or row, or [`new`](Self::new)
    /// refuses its content.
    pub fn read_csv(path: &Path) -> Result<Self, CoreError> {
        let table = Table::read(path)?;
        let [plate, well, day] = [
            table.required("plate")?,
            table.required("well")?,
            table.required("day")?,
        ];
        let features: Vec<usize> = (0..table.columns().len())
            .filter(|&column| !table.columns()[column].starts_with("Metadata_"))
            .filter(|column| ![plate, well, day].contains(column))
            .collect();
        let mut keys = Vec::new();
        let mut values = Vec::new();
        for row in table.rows() {
            keys.push(StackKey {
                plate: row.filled(plate)?.to_owned(),
                well: row.parse(well)?,
                day: row.parse(day)?,
            });
            for &column in &features {
                values.push(row.parse::<f32>(column)?);
            }
        }
        if keys.is_empty() || features.is_empty() {
            let reason = format!("has {} rows and {} features", keys.len(), features.len());
            return Err(CoreError::Table {
                path: path.to_owned(),
                reason,
            });
        }
        let values = Array2::from_shape_vec((keys.len(), features.len()), values)
            .expect("a row gives one value a feature");
        Self::new(keys, values)
    }
}

const KEY_COLUMNS: [&str; 3] = ["Metadata_plate", "Metadata_Well", "Metadata_day"];
const TREATMENT_COLUMNS: [&str; 2] = ["Metadata_treatment", "Metadata_group"];

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::Day;

    fn key(well: &str, day: f64) -> StackKey {
        StackKey {
            plate: "plate, \"one\"".into(),
            well: well.parse().unwrap(),
            day: Day::new(day).unwrap(),
        }
    }

    #[test]
    fn a_table_reads_back_bit_for_bit() {
        let values = array![[0.1f32, -1.0e-30, 3.0], [f32::MAX, f32::MIN_POSITIVE, -0.0]];
        let embeddings = Embeddings::new(vec![key("B02", 7.0), key("B02", 7.5)], values).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("embeddings.csv");
        embeddings.write_csv(&path, None).unwrap();
        let back = Embeddings::read_csv(&path).unwrap();
        assert_eq!(back, embeddings);
        let header = std::fs::read_to_string(&path).unwrap();
        assert!(header.starts_with("Metadata_plate,Metadata_Well,Metadata_day,feature_0000,"));
    }

    #[test]
    fn nan_is_named_by_row_and_feature() {
        let error = Embeddings::new(vec![key("B02", 7.0)], array![[0.0, f32::NAN]]).unwrap_err();
        assert!(
            error.to_string().contains("B02 day 7, feature 1 is NaN"),
            "{error}"
        );
    }

    #[test]
    fn rows_must_fit_and_be_unique() {
        let rows = Embeddings::new(vec![key("B02", 7.0)], array![[0.0], [1.0]]);
        assert!(matches!(
            rows,
            Err(CoreError::EmbeddingRows { ids: 1, rows: 2 })
        ));
        let twice = Embeddings::new(vec![key("B02", 7.0), key("b2", 7.0)], array![[0.0], [1.0]]);
        assert!(matches!(twice, Err(CoreError::EmbeddingDuplicate { .. })));
    }

    #[test]
    fn a_table_without_features_or_rows_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.csv");
        for text in [
            "Metadata_plate,Metadata_Well,Metadata_day\np,B02,7\n",
            "plate,well,day,f\n",
        ] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(
                Embeddings::read_csv(&path),
                Err(CoreError::Table { .. })
            ));
        }
        std::fs::write(&path, "plate,well,day,f\np,B02,7,nan\n").unwrap();
        assert!(matches!(
            Embeddings::read_csv(&path),
            Err(CoreError::EmbeddingNotFinite { .. })
        ));
    }
}
