use std::path::PathBuf;

use spheroid_augment::AugmentError;
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
    /// A batch that is too small for the method.
    #[error("{method} needs at least {needed} {what} in a batch, got {found}")]
    Batch {
        /// The method.
        method: &'static str,
        /// What there is too little of.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        needed: usize,
    },
    /// More views than the method compares.
    #[error("{method} compares 2 views of an image, got {found}: use a policy of two views")]
    TooManyViews {
        /// The method.
        method: &'static str,
        /// Number of views.
        found: usize,
    },
    /// A method that learns from labels or descriptions, of which there are none.
    #[error("{method} learns from {what}, and there are none: use another method")]
    NothingToLearnFrom {
        /// The method.
        method: &'static str,
        /// What it asked for.
        what: &'static str,
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
    /// What follows the training failed.
    #[error("the training was stopped by what follows it")]
    Stopped(#[source] Box<dyn std::error::Error + Send + Sync>),
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
    /// Patches could not be hidden.
    #[error(transparent)]
    Augment(#[from] AugmentError),
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
    /// The error with the number of an image in place of its position in a batch.
    pub fn renumbered(self, number: impl Fn(usize) -> usize) -> Self {
        match self {
            Self::Image {
                index,
                found,
                expected,
            } => Self::Image {
                index: number(index),
                found,
                expected,
            },
            other => other,
        }
    }
}
