use std::{collections::BTreeSet, path::Path};

use ndarray::{Array2, ArrayView2, Axis};

use crate::{Columns, CoreError, PlateMap, StackKey, Values, table::Table};

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

    /// The table that pycytominer and copairs read: `Metadata_Plate`, `Metadata_Well`, `Metadata_day`,
    /// with `map` also `Metadata_treatment` and `Metadata_group`, then the features.
    pub fn to_columns(&self, map: Option<&PlateMap>) -> Columns {
        let text =
            |of: &dyn Fn(&StackKey) -> String| Values::Text(self.keys.iter().map(of).collect());
        let days = self.keys.iter().map(|key| Some(key.day.days())).collect();
        let mut table = Columns::default()
            .with("Metadata_Plate", text(&|key| key.plate.clone()))
            .with("Metadata_Well", text(&|key| key.well.to_string()))
            .with("Metadata_day", Values::Real(days));
        if let Some(map) = map {
            let of = |key: &StackKey| map.treatment_of(&key.plate_well());
            let name = |key: &StackKey| of(key).map_or(String::new(), |t| t.name.clone());
            let group = |key: &StackKey| of(key).map_or(String::new(), |t| t.group.to_string());
            table = table
                .with("Metadata_treatment", text(&name))
                .with("Metadata_group", text(&group));
        }
        for (feature, values) in self.values.axis_iter(Axis(1)).enumerate() {
            let values = Values::Feature(values.to_vec());
            table = table.with(format!("feature_{feature:04}"), values);
        }
        table
    }

    /// Writes [`to_columns`](Self::to_columns), as CSV, or as Parquet when the name ends in `.parquet`.
    ///
    /// # Errors
    /// As [`Columns::write`].
    pub fn write(&self, path: &Path, map: Option<&PlateMap>) -> Result<(), CoreError> {
        self.to_columns(map).write(path)
    }

    /// Reads a CSV that [`write`](Self::write) wrote, or any table with plate, well and day in
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
        embeddings.write(&path, None).unwrap();
        let back = Embeddings::read_csv(&path).unwrap();
        assert_eq!(back, embeddings);
        let header = std::fs::read_to_string(&path).unwrap();
        assert!(header.starts_with("Metadata_Plate,Metadata_Well,Metadata_day,feature_0000,"));
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
