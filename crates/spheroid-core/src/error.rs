use std::path::PathBuf;

use thiserror::Error;

use crate::ParamError;

/// Everything that can be wrong with a plate's description or with an embedding matrix.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CoreError {
    /// A setting is outside what is allowed.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// Text that is not a well name.
    #[error("`{text}` is not a well: write a row letter and a column number, such as B02 or AA01")]
    WellName {
        /// The text as given.
        text: String,
    },
    /// A number of wells that no standard plate has.
    #[error("no plate has {wells} wells: use 6, 12, 24, 48, 96, 384 or 1536")]
    PlateFormat {
        /// The number of wells that was asked for.
        wells: usize,
    },
    /// A day that is not a finite number.
    #[error("`{text}` is not a day: write a finite number of days, such as 7 or 7.5")]
    Day {
        /// The text as given.
        text: String,
    },
    /// A table lacks a column.
    #[error("{path}: no column `{column}` (found: {found}); see the data formats in the guide")]
    MissingColumn {
        /// The table.
        path: PathBuf,
        /// The column that is needed.
        column: &'static str,
        /// The columns that are there.
        found: String,
    },
    /// A row of a table is wrong.
    #[error("{path}, row {row}: {reason}")]
    Row {
        /// The table.
        path: PathBuf,
        /// Line number of the row, the header being line 1.
        row: u64,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A table or a pattern that holds nothing usable.
    #[error("{path}: {reason}")]
    Table {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A table that is not well-formed CSV.
    #[error("{path}: not a readable CSV table")]
    Csv {
        /// The table.
        path: PathBuf,
        /// What the CSV reader says.
        #[source]
        source: csv::Error,
    },
    /// A table that cannot be made a Parquet file.
    #[cfg(feature = "parquet")]
    #[error("{path}: cannot be written as Parquet")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the writer says.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// A wellmap file that is not well-formed TOML.
    #[error("{path}: not a readable TOML file")]
    Toml {
        /// The file.
        path: PathBuf,
        /// What the TOML reader says.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Rows and identifiers of an embedding matrix do not fit each other.
    #[error("{ids} row identifiers but {rows} embedding rows")]
    EmbeddingRows {
        /// Number of identifiers.
        ids: usize,
        /// Number of matrix rows.
        rows: usize,
    },
    /// An embedding holds NaN or infinity.
    #[error("embedding of {row}, feature {feature} is {value}: every value must be finite")]
    EmbeddingNotFinite {
        /// Identifier of the row.
        row: String,
        /// Column of the value, from 0.
        feature: usize,
        /// The value.
        value: f32,
    },
    /// Two embedding rows have the same identifier.
    #[error("two embeddings of {row}: a plate, well and day may occur once")]
    EmbeddingDuplicate {
        /// Identifier of the rows.
        row: String,
    },
    /// A file could not be read or written.
    #[error("{path}: cannot {action}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: "open", "read", "write", "rename".
        action: &'static str,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}
