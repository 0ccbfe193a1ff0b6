use spheroid_core::ParamError;
use thiserror::Error;

/// Why a transform could not be built or applied.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AugmentError {
    /// A setting is outside what is allowed.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// A stack without pixels.
    #[error("a stack of {planes} planes of {rows} × {columns} px has nothing to augment")]
    Empty {
        /// Number of planes.
        planes: usize,
        /// Rows of a plane.
        rows: usize,
        /// Columns of a plane.
        columns: usize,
    },
}

/// Shape of a stack that has at least one pixel.
pub(crate) fn not_empty(
    stack: &ndarray::Array3<f32>,
) -> Result<(usize, usize, usize), AugmentError> {
    let (planes, rows, columns) = stack.dim();
    if stack.is_empty() {
        return Err(AugmentError::Empty {
            planes,
            rows,
            columns,
        });
    }
    Ok((planes, rows, columns))
}
