use spheroid_core::{CoreError, PlateFormat, WellId};
use thiserror::Error;

/// Why no report could be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// There is nothing to report.
    #[error("`ranking` is empty: a report needs at least one ranked treatment")]
    EmptyRanking,
    /// A number that no plot or table can show.
    #[error("{field} is {value}: it must be finite and at most 1e100 in size")]
    Number {
        /// The field and what it belongs to.
        field: String,
        /// The number.
        value: f64,
    },
    /// A number outside the range of its kind.
    #[error("{field} is {value}: it must {rule}")]
    Range {
        /// The field and what it belongs to.
        field: String,
        /// The number.
        value: f64,
        /// What it must do, as the end of "it must …".
        rule: &'static str,
    },
    /// A drug whose concentrations are all zero.
    #[error("dose response of `{drug}` has no positive concentration: its axis needs at least one")]
    NoDose {
        /// Name of the drug.
        drug: String,
    },
    /// An interval whose ends are in the wrong order.
    #[error("{field} runs from {low} to {high}: the lower end must come first")]
    Interval {
        /// The field and what it belongs to.
        field: String,
        /// End that should be lower.
        low: f64,
        /// End that should be higher.
        high: f64,
    },
    /// A well that the plate does not have.
    #[error("plate {plate} has {} wells and no well {well}", usize::from(*format))]
    OutsidePlate {
        /// Name of the plate.
        plate: String,
        /// The well.
        well: WellId,
        /// The format of the report.
        format: PlateFormat,
    },
    /// Something that may occur once occurs again.
    #[error("{what} occurs more than once in `{field}`")]
    Repeated {
        /// The list.
        field: &'static str,
        /// What is repeated.
        what: String,
    },
    /// Training points out of order.
    #[error("`training` has epoch {epoch} after epoch {before}: epochs must increase")]
    EpochOrder {
        /// The earlier entry.
        before: usize,
        /// The entry that follows it.
        epoch: usize,
    },
    /// A thumbnail without pixels, or one too large for a page.
    #[error("thumbnail of {what} is {rows} × {columns} pixels: each side must be 1 to 1024")]
    ThumbnailSize {
        /// Treatment, well and day.
        what: String,
        /// Height in pixels.
        rows: usize,
        /// Width in pixels.
        columns: usize,
    },
    /// The file could not be written.
    #[error(transparent)]
    Core(#[from] CoreError),
}
