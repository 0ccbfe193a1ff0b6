use std::path::PathBuf;

use spheroid_core::{CoreError, ParamError};
use spheroid_imaging::ImagingError;
use thiserror::Error;

/// Why a transform could not be built, read or applied.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AugmentError {
    /// A setting or a draw is outside what is allowed.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// A setting of a policy's step is outside what is allowed.
    #[error("step {step} of {group} (`{transform}`)")]
    Step {
        /// What it is a step of: a view group or the anchor.
        group: String,
        /// Number of the step, from 1.
        step: usize,
        /// Name of its transform.
        transform: &'static str,
        /// What is wrong with it.
        #[source]
        source: ParamError,
    },
    /// An image without pixels.
    #[error("an image of {planes} planes of {rows} × {columns} px has nothing to augment")]
    Empty {
        /// Number of planes.
        planes: usize,
        /// Rows of a plane.
        rows: usize,
        /// Columns of a plane.
        columns: usize,
    },
    /// A number of planes that the transform does not work on.
    #[error("{what} needs {rule} planes, but the image has {planes}")]
    Planes {
        /// What needs them.
        what: &'static str,
        /// Number of planes that there are.
        planes: usize,
        /// How many there should be.
        rule: &'static str,
    },
    /// Colours were to be changed of an image that has none.
    #[error(
        "`{transform}` mixes planes as colours, but these are focal planes: declare an RGB image, or \
         leave the transform out"
    )]
    NotRgb {
        /// Name of the transform.
        transform: &'static str,
    },
    /// The spheroid must be known and is not.
    #[error("`{transform}` needs the mask of the spheroid: segment the image first")]
    NoMask {
        /// Name of the transform.
        transform: &'static str,
    },
    /// An image that is too small.
    #[error(
        "`{transform}` needs {needed_rows} × {needed_columns} px, but the image has {rows} × {columns}"
    )]
    TooSmall {
        /// Name of the transform.
        transform: &'static str,
        /// Rows that are needed.
        needed_rows: usize,
        /// Columns that are needed.
        needed_columns: usize,
        /// Rows of the image.
        rows: usize,
        /// Columns of the image.
        columns: usize,
    },
    /// A pixel that is NaN or infinite.
    #[error("`{transform}` needs finite pixels, but there is {value}")]
    NotFinite {
        /// Name of the transform.
        transform: &'static str,
        /// The value.
        value: f32,
    },
    /// A draw of another transform or policy.
    #[error("a draw of `{draw}` cannot be applied by `{transform}`")]
    ForeignDraw {
        /// Name of the transform.
        transform: &'static str,
        /// What was drawn.
        draw: String,
    },
    /// A name that no policy has.
    #[error("there is no policy `{name}`: use one of {names}, or the path of a JSON file")]
    UnknownPolicy {
        /// The name as given.
        name: String,
        /// The names that there are.
        names: String,
    },
    /// The planes could not be compared in sharpness.
    #[error("the sharpest plane could not be found")]
    Focus(#[source] ImagingError),
    /// A file could not be read or written.
    #[error("{path}: cannot {action}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A file that holds no policy.
    #[error("{path}: not a readable policy")]
    Json {
        /// The file.
        path: PathBuf,
        /// What the JSON reader says.
        #[source]
        source: serde_json::Error,
    },
}
