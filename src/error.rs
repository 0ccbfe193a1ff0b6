use std::path::PathBuf;

use spheroid_augment::AugmentError;
use spheroid_core::{CoreError, Day, ParamError};
use spheroid_imaging::ImagingError;
use spheroid_rank::RankError;
use spheroid_report::ReportError;
use spheroid_sim::SimError;
use spheroid_ssl::SslError;
use spheroid_temporal::TemporalError;
use thiserror::Error;

/// Why a stage of the pipeline failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// A setting is outside what is allowed.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// A stack could not be prepared.
    #[error("{stack}: cannot be prepared")]
    Stack {
        /// Plate, well and day.
        stack: String,
        /// Why.
        #[source]
        source: ImagingError,
    },
    /// No image belongs to a well of the plate map.
    #[error("no well of images.csv is in the plate map: check the plate names and wells of both")]
    NothingInCommon,
    /// A plate without controls.
    #[error("no untreated well has images: mark the control wells as `untreated` in the plate map")]
    NoUntreated,
    /// Too few controls for an out-of-fold prediction.
    #[error(
        "{found} untreated wells have images of day {from} and day {to}; at least {needed} are needed"
    )]
    TooFewUntreated {
        /// Number of such wells.
        found: usize,
        /// Number that is needed.
        needed: usize,
        /// Day before the drug acts.
        from: Day,
        /// Day of the effect.
        to: Day,
    },
    /// No day to predict from, or none to predict.
    #[error(
        "images show day {days}: one day up to the drug day ({drug_day}) and one after it are needed"
    )]
    Days {
        /// The days that there are.
        days: String,
        /// The drug day of the settings.
        drug_day: Day,
    },
    /// A truth that cannot be compared with.
    #[error("truth.csv does not tell the treatments of the plate map apart")]
    Truth(#[source] RankError),
    /// A file of an earlier stage that cannot be used.
    #[error("{path}: {reason}")]
    Stage {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
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
    /// A JSON file is not what it should be.
    #[error("{path}: not a readable JSON file")]
    Json {
        /// The file.
        path: PathBuf,
        /// What the JSON reader says.
        #[source]
        source: serde_json::Error,
    },
    /// A table or an embedding is wrong.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// An image is wrong.
    #[error(transparent)]
    Imaging(#[from] ImagingError),
    /// A plate cannot be simulated.
    #[error(transparent)]
    Sim(#[from] SimError),
    /// An augmentation is wrong.
    #[error(transparent)]
    Augment(#[from] AugmentError),
    /// Training or embedding failed.
    #[error(transparent)]
    Ssl(#[from] SslError),
    /// The prediction failed.
    #[error(transparent)]
    Temporal(#[from] TemporalError),
    /// The ranking failed.
    #[error(transparent)]
    Rank(#[from] RankError),
    /// The report failed.
    #[error(transparent)]
    Report(#[from] ReportError),
}
