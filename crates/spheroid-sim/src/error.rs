use spheroid_core::{CoreError, Day, ParamError, WellId};
use spheroid_imaging::ImagingError;
use thiserror::Error;

/// Everything that can go wrong with a simulated plate.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SimError {
    /// A setting is outside what is allowed.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// A well that holds no spheroid.
    #[error("no spheroid in well {well} (day {day}): ask for one of the wells of the layout")]
    EmptyWell {
        /// The well that was asked for.
        well: WellId,
        /// The day that was asked for.
        day: Day,
    },
    /// A table could not be written.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// A stack could not be made or written.
    #[error(transparent)]
    Imaging(#[from] ImagingError),
}
