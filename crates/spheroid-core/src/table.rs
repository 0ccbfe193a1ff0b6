use std::{collections::BTreeMap, fs::File, path::Path};

use crate::CoreError;

/// A table larger than this is refused before it is read: a plate's tables have some thousand rows.
const MAX_TABLE_BYTES: u64 = 256 << 20;

/// A CSV table whose known columns may bear pycytominer's `Metadata_` prefix.
pub(crate) struct Table<'a> {
    path: &'a Path,
    columns: Vec<String>,
    records: Vec<csv::StringRecord>,
}

impl<'a> Table<'a> {
    pub(crate) fn read(path: &'a Path) -> Result<Self, CoreError> {
        let csv_error = |source: csv::Error| CoreError::Csv {
            path: path.to_owned(),
            source,
        };
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(open_limited(path)?);
        let columns = reader
            .headers()
            .map_err(csv_error)?
            .iter()
            .map(|name| name.trim_start_matches('\u{feff}').to_owned())
            .collect();
        let records = reader
            .records()
            .collect::<Result<Vec<_>, _>>()
            .map_err(csv_error)?;
        Ok(Self {
            path,
            columns,
            records,
        })
    }

    /// Position of a column by its name, with or without prefix.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns
            .iter()
            .position(|column| plain_name(column).eq_ignore_ascii_case(name))
    }

    pub(crate) fn required(&self, name: &'static str) -> Result<usize, CoreError> {
        self.column(name).ok_or_else(|| CoreError::MissingColumn {
            path: self.path.to_owned(),
            column: name,
            found: self.columns.join(", "),
        })
    }

    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.records.iter().map(move |record| Row {
            table: self,
            record,
        })
    }
}

/// One row of a [`Table`].
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    table: &'a Table<'a>,
    record: &'a csv::StringRecord,
}

impl<'a> Row<'a> {
    pub(crate) fn text(&self, column: usize) -> &'a str {
        self.record.get(column).unwrap_or_default()
    }

    /// The text of a column that may not be empty.
    pub(crate) fn filled(&self, column: usize) -> Result<&'a str, CoreError> {
        match self.text(column) {
            "" => Err(self.error(format!("`{}` is empty", self.table.columns[column]))),
            text => Ok(text),
        }
    }

    pub(crate) fn parse<T>(&self, column: usize) -> Result<T, CoreError>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
    {
        self.filled(column)?
            .parse()
            .map_err(|error: T::Err| self.error(error.to_string()))
    }

    /// The columns other than `known`, by name; empty values are left out.
    pub(crate) fn extra(&self, known: &[usize]) -> BTreeMap<String, String> {
        self.table
            .columns
            .iter()
            .enumerate()
            .filter(|(column, _)| !known.contains(column))
            .map(|(column, name)| (plain_name(name).to_owned(), self.text(column).to_owned()))
            .filter(|(_, value)| !value.is_empty())
            .collect()
    }

    pub(crate) fn error(&self, reason: String) -> CoreError {
        let row = self.record.position().map_or(0, csv::Position::line);
        CoreError::Row {
            path: self.table.path.to_owned(),
            row,
            reason,
        }
    }
}

/// Opens a file that is going to be held in memory as a whole.
pub(crate) fn open_limited(path: &Path) -> Result<File, CoreError> {
    let io = |source| CoreError::Io {
        path: path.to_owned(),
        action: "open",
        source,
    };
    let refuse = |reason: String| {
        Err(CoreError::Table {
            path: path.to_owned(),
            reason,
        })
    };
    let file = File::open(path).map_err(io)?;
    let about = file.metadata().map_err(io)?;
    if about.is_dir() {
        return refuse("is a folder where a file was expected".to_owned());
    }
    if about.len() > MAX_TABLE_BYTES {
        let (found, most) = (about.len(), MAX_TABLE_BYTES);
        return refuse(format!("has {found} bytes; a table may have {most}"));
    }
    Ok(file)
}

fn plain_name(column: &str) -> &str {
    column.strip_prefix("Metadata_").unwrap_or(column)
}
