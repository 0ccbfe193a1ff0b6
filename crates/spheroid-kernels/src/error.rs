use spheroid_core::ParamError;
use thiserror::Error;

/// Why a loss could not be computed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A setting is outside what is allowed.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// Rows that do not form pairs.
    #[error(
        "{rows} rows of {features} features do not form pairs: \
         stack two views of at least one image, 2N rows of at least one feature"
    )]
    Pairs {
        /// Number of rows given.
        rows: usize,
        /// Number of features given.
        features: usize,
    },
    /// Groups that do not belong to the rows.
    #[error(
        "{groups} groups are given for {rows} rows of {features} features: give one group a row"
    )]
    Groups {
        /// Number of rows given.
        rows: usize,
        /// Number of features given.
        features: usize,
        /// Number of groups given.
        groups: usize,
    },
    /// No two rows belong together.
    #[error(
        "all {rows} rows are of different groups: a batch needs at least two rows of one group"
    )]
    NoPositives {
        /// Number of rows given.
        rows: usize,
    },
    /// All rows belong together.
    #[error(
        "all {rows} rows are of one group: without the positives nothing is left to compare with"
    )]
    NoNegatives {
        /// Number of rows given.
        rows: usize,
    },
    /// Two sides of different shapes.
    #[error(
        "the two sides have shapes {image:?} and {text:?}: give as many rows and features of both"
    )]
    Sides {
        /// Rows and features of the first.
        image: [usize; 2],
        /// Rows and features of the second.
        text: [usize; 2],
    },
    /// A row without a direction.
    #[error(
        "row {row} is all zeros and has no direction to compare: the model puts out nothing for it; \
         lower the learning rate or leave the last ReLU away"
    )]
    ZeroRow {
        /// Index of the row; those of a bank or of a second side come after the others.
        row: usize,
    },
    /// A row that is no number, or whose length is none.
    #[error(
        "row {row} holds a value that is infinite or not a number, or is too long: training has diverged, or \
         an input is not finite; lower the learning rate"
    )]
    NotFinite {
        /// Index of the row; those of a bank or of a second side come after the others.
        row: usize,
    },
    /// A temperature of more than one value.
    #[error("the temperature has {given} values: give one for all rows")]
    Temperature {
        /// Number of values given.
        given: usize,
    },
    /// A memory bank that does not fit.
    #[error("the bank has {given} features and the rows {features}: give as many")]
    Bank {
        /// Features of the bank.
        given: usize,
        /// Features of the rows.
        features: usize,
    },
}
