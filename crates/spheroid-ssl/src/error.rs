use std::path::PathBuf;

use burn::store::RecordError;
use spheroid_core::{CoreError, ParamError};
use spheroid_kernels::KernelError;
use thiserror::Error;

/// Why an encoder could not be built, trained, stored or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SslError {
    /// A setting is outside what is allowed.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// A name that stands for nothing.
    #[error("{what} `{name}` is unknown: use one of {known}")]
    Unknown {
        /// What was looked for: encoder, method, device.
        what: &'static str,
        /// The name as given.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// A device whose backend was not compiled in.
    #[error("device `{device}` was not compiled in: build with `--features {device}`")]
    NotCompiled {
        /// The device, which is also the name of the cargo feature.
        device: &'static str,
    },
    /// A device that is compiled in but does not work on this machine.
    #[error("device `{device}` does not work on this machine: {reason}")]
    DeviceUnusable {
        /// The device.
        device: &'static str,
        /// What its first operation said.
        reason: String,
    },
    /// Images that the encoder or method does not work on.
    #[error("image {index} is {found}; expected {expected}")]
    Image {
        /// Position in what was given.
        index: usize,
        /// Its shape or fault.
        found: String,
        /// What would have been right.
        expected: String,
    },
    /// Too few images to train on.
    #[error("{images} images are fewer than one batch of {batch}: lower the batch size")]
    TooFewImages {
        /// Number of images.
        images: usize,
        /// Batch size.
        batch: usize,
    },
    /// The loss is no longer finite.
    #[error("the loss became {loss} in epoch {epoch}: lower the learning rate ({learning_rate})")]
    Diverged {
        /// Epoch, from 1.
        epoch: usize,
        /// The loss.
        loss: f64,
        /// Peak learning rate of the run.
        learning_rate: f64,
    },
    /// A view could not be made.
    #[error("no view of image {index} could be made")]
    View {
        /// Position of the image.
        index: usize,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A checkpoint of another run.
    #[error(
        "{path}: the checkpoint was made with other settings or images: use those again, another \
         folder, or start anew"
    )]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
    },
    /// A weights or checkpoint file that cannot be used.
    #[error("{path}: {reason}")]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A JSON file that cannot be used.
    #[error("{path}: not a readable JSON file")]
    Json {
        /// The file.
        path: PathBuf,
        /// What the JSON reader says.
        #[source]
        source: serde_json::Error,
    },
    /// The loss refused its input.
    #[error(transparent)]
    Loss(#[from] KernelError),
    /// A file could not be written, or a table is wrong.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A file could not be read, listed or removed.
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
}

impl SslError {
    pub(crate) fn record(path: &std::path::Path, error: RecordError) -> Self {
        Self::Model {
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }
}
