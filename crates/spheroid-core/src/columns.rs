use std::path::Path;

use crate::{CoreError, atomic};

/// A table of results by columns, for other programs to read.
///
/// Columns that say what a row is about have names that begin with `Metadata_`, the habit of pycytominer
/// and copairs; the others hold results or features.
///
/// # Example
/// ```
/// use spheroid_core::{Columns, Values};
///
/// let table = Columns::default()
///     .with("Metadata_Well", Values::Text(vec!["B02".into(), "B03".into()]))
///     .with("score", Values::Real(vec![Some(1.5), None]));
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("wells.csv");
/// table.write(&path)?;
/// assert_eq!(std::fs::read_to_string(&path)?, "Metadata_Well,score\nB02,1.5\nB03,\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns(Vec<(String, Values)>);

/// The values of a column, one a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Names.
    Text(Vec<String>),
    /// Counts; what is absent leaves its cell empty.
    Count(Vec<Option<u64>>),
    /// Numbers; what is absent leaves its cell empty.
    Real(Vec<Option<f64>>),
    /// Features.
    Feature(Vec<f32>),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Text(values) => values.len(),
            Self::Count(values) => values.len(),
            Self::Real(values) => values.len(),
            Self::Feature(values) => values.len(),
        }
    }

    /// A cell of a CSV. Numbers read back exactly.
    fn cell(&self, row: usize) -> String {
        let filled = |value: Option<String>| value.unwrap_or_default();
        match self {
            Self::Text(values) => values[row].clone(),
            Self::Count(values) => filled(values[row].map(|value| value.to_string())),
            Self::Real(values) => filled(values[row].map(|value| value.to_string())),
            Self::Feature(values) => values[row].to_string(),
        }
    }
}

impl Columns {
    /// Names that end a file which [`write`](Self::write) can make.
    pub const FORMATS: &[&str] = if cfg!(feature = "parquet") {
        &["csv", "parquet"]
    } else {
        &["csv"]
    };

    /// The same table with one more column on the right.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, values: Values) -> Self {
        self.0.push((name.into(), values));
        self
    }

    /// Number of rows.
    fn rows(&self, path: &Path) -> Result<usize, CoreError> {
        let rows = self.0.first().map_or(0, |(_, values)| values.len());
        match self.0.iter().find(|(_, values)| values.len() != rows) {
            None => Ok(rows),
            Some((name, values)) => Err(CoreError::Table {
                path: path.to_owned(),
                reason: format!(
                    "column {name} has {} values, the first column has {rows}",
                    values.len()
                ),
            }),
        }
    }

    /// Writes the table to `path`, as CSV, or as Parquet when the name ends in `.parquet`.
    ///
    /// # Errors
    /// When columns differ in length, the file cannot be written, or Parquet is wanted without the
    /// feature `parquet` of this crate. What stood there before is then left.
    pub fn write(&self, path: &Path) -> Result<(), CoreError> {
        let rows = self.rows(path)?;
        let parquet = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"));
        if parquet {
            self.write_parquet(path)
        } else {
            self.write_csv(path, rows)
        }
    }

    fn write_csv(&self, path: &Path, rows: usize) -> Result<(), CoreError> {
        let csv_error = |source| CoreError::Csv {
            path: path.to_owned(),
            source,
        };
        atomic::write_file(path, |out| {
            let mut writer = csv::Writer::from_writer(out);
            let names = self.0.iter().map(|(name, _)| name);
            writer.write_record(names).map_err(csv_error)?;
            for row in 0..rows {
                let cells = self.0.iter().map(|(_, values)| values.cell(row));
                writer.write_record(cells).map_err(csv_error)?;
            }
            writer.flush().map_err(|source| CoreError::Io {
                path: path.to_owned(),
                action: "write",
                source,
            })
        })
    }

    #[cfg(not(feature = "parquet"))]
    #[allow(clippy::unused_self, reason = "as with the feature")]
    fn write_parquet(&self, path: &Path) -> Result<(), CoreError> {
        Err(CoreError::Table {
            path: path.to_owned(),
            reason:
                "is to be Parquet, which this program was built without: use a name that ends in \
                     .csv, or build with `--features parquet`"
                    .to_owned(),
        })
    }

    #[cfg(feature = "parquet")]
    fn write_parquet(&self, path: &Path) -> Result<(), CoreError> {
        let parquet_error = |source| CoreError::Parquet {
            path: path.to_owned(),
            source,
        };
        atomic::write_file(path, |out| {
            parquet::write(&self.0, out).map_err(parquet_error)
        })
    }
}

#[cfg(feature = "parquet")]
mod parquet {
    use std::{io::Write, sync::Arc};

    use ::parquet::{
        basic::{LogicalType, Repetition, Type as Physical},
        data_type::{ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int64Type},
        errors::ParquetError,
        file::{
            properties::WriterProperties,
            writer::{SerializedFileWriter, SerializedRowGroupWriter},
        },
        schema::types::Type,
    };

    use super::Values;

    /// Writes one row group, whose optional columns have a definition level of 1 where a value stands.
    pub(super) fn write(
        columns: &[(String, Values)],
        out: &mut (impl Write + Send),
    ) -> Result<(), ParquetError> {
        let fields = columns
            .iter()
            .map(|(name, values)| field(name, values).map(Arc::new));
        let schema = Type::group_type_builder("table")
            .with_fields(fields.collect::<Result<_, _>>()?)
            .build()?;
        let properties = Arc::new(WriterProperties::default());
        let mut file = SerializedFileWriter::new(out, Arc::new(schema), properties)?;
        let mut group = file.next_row_group()?;
        for (_, values) in columns {
            match values {
                Values::Text(values) => {
                    let values: Vec<ByteArray> =
                        values.iter().map(|text| text.as_str().into()).collect();
                    column::<_, ByteArrayType>(&mut group, &values, None)?;
                }
                Values::Feature(values) => column::<_, FloatType>(&mut group, values, None)?,
                Values::Real(values) => optional::<_, DoubleType, _>(&mut group, values, |v| v)?,
                Values::Count(values) => {
                    optional::<_, Int64Type, _>(&mut group, values, |v: u64| v as i64)?;
                }
            }
        }
        group.close()?;
        file.close()?;
        Ok(())
    }

    fn field(name: &str, values: &Values) -> Result<Type, ParquetError> {
        let (physical, repetition) = match values {
            Values::Text(_) => (Physical::BYTE_ARRAY, Repetition::REQUIRED),
            Values::Feature(_) => (Physical::FLOAT, Repetition::REQUIRED),
            Values::Real(_) => (Physical::DOUBLE, Repetition::OPTIONAL),
            Values::Count(_) => (Physical::INT64, Repetition::OPTIONAL),
        };
        let logical = matches!(values, Values::Text(_)).then_some(LogicalType::String);
        Type::primitive_type_builder(name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .build()
    }

    fn optional<W: Write + Send, T: DataType, V: Copy>(
        group: &mut SerializedRowGroupWriter<'_, W>,
        values: &[Option<V>],
        convert: impl Fn(V) -> T::T,
    ) -> Result<(), ParquetError> {
        let levels: Vec<i16> = values
            .iter()
            .map(|value| i16::from(value.is_some()))
            .collect();
        let present: Vec<T::T> = values.iter().flatten().copied().map(convert).collect();
        column::<W, T>(group, &present, Some(&levels))
    }

    fn column<W: Write + Send, T: DataType>(
        group: &mut SerializedRowGroupWriter<'_, W>,
        values: &[T::T],
        levels: Option<&[i16]>,
    ) -> Result<(), ParquetError> {
        let Some(mut column) = group.next_column()? else {
            return Err(ParquetError::General(
                "more columns than the schema has".into(),
            ));
        };
        column.typed::<T>().write_batch(values, levels, None)?;
        column.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Columns {
        Columns::default()
            .with(
                "Metadata_treatment",
                Values::Text(vec!["a, \"b\"".into(), "µ".into()]),
            )
            .with("wells", Values::Count(vec![None, Some(3)]))
            .with("score", Values::Real(vec![Some(0.1), None]))
            .with("feature_0000", Values::Feature(vec![-1.0e-30, f32::MAX]))
    }

    #[test]
    fn cells_of_a_csv_are_quoted_empty_or_exact() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        table().write(&path).unwrap();
        let mut reader = csv::Reader::from_path(&path).unwrap();
        let names: Vec<String> = reader.headers().unwrap().iter().map(Into::into).collect();
        assert_eq!(
            names,
            ["Metadata_treatment", "wells", "score", "feature_0000"]
        );
        let rows: Vec<(String, Option<u64>, Option<f64>, f32)> =
            reader.deserialize().map(Result::unwrap).collect();
        assert_eq!(rows[0], ("a, \"b\"".into(), None, Some(0.1), -1.0e-30));
        assert_eq!(rows[1], ("µ".into(), Some(3), None, f32::MAX));
    }

    #[test]
    fn columns_of_different_lengths_are_refused_and_leave_no_file() {
        let folder = tempfile::tempdir().unwrap();
        for format in Columns::FORMATS {
            let path = folder.path().join("table").with_extension(format);
            let wrong = table().with("short", Values::Real(vec![Some(1.0)]));
            let error = wrong.write(&path).unwrap_err().to_string();
            assert!(error.contains("short has 1 values"), "{error}");
            assert!(!path.exists());
        }
    }

    #[cfg(not(feature = "parquet"))]
    #[test]
    fn parquet_needs_its_feature() {
        let error = table().write(Path::new("table.parquet")).unwrap_err();
        assert!(error.to_string().contains("--features parquet"), "{error}");
    }

    #[cfg(feature = "parquet")]
    #[test]
    fn parquet_reads_back() {
        use ::parquet::{
            file::reader::{FileReader, SerializedFileReader},
            record::RowAccessor,
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.parquet");
        table().write(&path).unwrap();
        let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
        let rows: Vec<_> = reader
            .get_row_iter(None)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].get_string(0).unwrap(), "a, \"b\"");
        assert_eq!(rows[1].get_long(1).unwrap(), 3);
        assert!(rows[0].get_long(1).is_err(), "an absent count is null");
        assert_eq!(rows[0].get_double(2).unwrap(), 0.1);
        assert!(rows[1].get_double(2).is_err());
        assert_eq!(rows[0].get_float(3).unwrap(), -1.0e-30);
        // A table without rows is one too.
        let empty = Columns::default().with("score", Values::Real(Vec::new()));
        empty.write(&path).unwrap();
        let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
    }
}
