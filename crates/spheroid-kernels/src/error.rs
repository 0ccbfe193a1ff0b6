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
}
