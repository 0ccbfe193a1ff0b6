use std::path::PathBuf;

use spheroid_core::{CoreError, ParamError};
use thiserror::Error;

/// Why wells could not be scored or treatments not be ranked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RankError {
    /// A setting is outside what is allowed.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// No discrepancy has this name.
    #[error("there is no discrepancy `{name}`: use one of {known}")]
    UnknownDiscrepancy {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// Two sizes that must agree do not.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// What was counted.
        what: &'static str,
        /// The number that would fit.
        expected: usize,
        /// The number that was given.
        found: usize,
    },
    /// Rows without a feature.
    #[error("rows have no feature: at least one is needed")]
    NoFeatures,
    /// A matrix holds NaN or infinity.
    #[error("{what}, row {row}, feature {feature} is {value}: every value must be finite")]
    NotFinite {
        /// Which matrix.
        what: &'static str,
        /// Row of the value, from 0.
        row: usize,
        /// Column of the value, from 0.
        feature: usize,
        /// The value.
        value: f32,
    },
    /// A row index that is beyond the rows or occurs twice.
    #[error("{what} row {row} of {rows} rows: give each existing row once")]
    BadRow {
        /// Which list of rows.
        what: &'static str,
        /// The index.
        row: usize,
        /// Number of rows.
        rows: usize,
    },
    /// Too few wells to compare with.
    #[error(
        "{found} {what} wells, but at least {needed} are needed: mark more of them in the plate \
         map, or join plates"
    )]
    TooFewWells {
        /// Group of the wells.
        what: &'static str,
        /// Number of wells that were given.
        found: usize,
        /// Least number that can be used.
        needed: usize,
    },
    /// Too many wells for a matrix of their pairs.
    #[error(
        "{found} wells, but at most {most} can be compared with each other: take a plate at a time"
    )]
    TooManyWells {
        /// Number of wells that were given.
        found: usize,
        /// Largest number that can be used.
        most: usize,
    },
    /// The reference gives no scale.
    #[error("{metric}: the reference residuals give no scale: {reason}")]
    DegenerateReference {
        /// Name of the metric.
        metric: &'static str,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// A value that these data do not define.
    #[error("{what} is undefined: {reason}")]
    Undefined {
        /// What was to be computed.
        what: &'static str,
        /// Why it has no value.
        reason: String,
    },
    /// Nothing to rank.
    #[error("no well scores: there is nothing to rank")]
    NoWells,
    /// A score is NaN or infinite.
    #[error("plate {plate}, well {well}: score is {score}, but it must be finite")]
    ScoreNotFinite {
        /// Name of the plate.
        plate: String,
        /// Position on it.
        well: String,
        /// The score.
        score: f64,
    },
    /// A score that has no logarithm.
    #[error(
        "plate {plate}, well {well}: score is {score}, but on a logarithmic scale it must be above 0; \
         set `scale` to linear when scores may be 0 or negative"
    )]
    ScoreNotPositive {
        /// Name of the plate.
        plate: String,
        /// Position on it.
        well: String,
        /// The score.
        score: f64,
    },
    /// More of something than memory or time allow.
    #[error("{found} {what}, but at most {most} are allowed")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// Number that was given.
        found: usize,
        /// Largest number that is accepted.
        most: usize,
    },
    /// A plate with too few untreated wells to standardise it.
    #[error(
        "plate {plate} has {found} untreated wells, but at least {needed} are needed to standardise \
         it: mark more of them in the plate map, or leave the plate out"
    )]
    PlateTooFewUntreated {
        /// Name of the plate.
        plate: String,
        /// Number of its untreated wells.
        found: usize,
        /// Least number that can be used.
        needed: usize,
    },
    /// The untreated wells of a plate give no scale.
    #[error(
        "plate {plate}: at least half of its untreated wells agree in {what}, so that it has no \
         scale; leave that out"
    )]
    PlateWithoutScale {
        /// Name of the plate.
        plate: String,
        /// What does not vary.
        what: String,
    },
    /// A well that the plate does not have.
    #[error("plate {plate} has {format} wells, and well {well} is not one of them")]
    WellOffPlate {
        /// Name of the plate.
        plate: String,
        /// The position.
        well: String,
        /// Number of wells of the format.
        format: usize,
    },
    /// A well has two scores.
    #[error("plate {plate}, well {well} has two scores: a well counts once")]
    DuplicateWell {
        /// Name of the plate.
        plate: String,
        /// Position on it.
        well: String,
    },
    /// A number of a well in a dose series is outside what is allowed.
    #[error("well {well} of the dose series: {what} is {value}, but it must be {rule}")]
    BadDoseWell {
        /// Position in what was given, from 0.
        well: usize,
        /// Which of its numbers.
        what: &'static str,
        /// The number.
        value: f64,
        /// What would have been accepted.
        rule: &'static str,
    },
    /// A concentration that no well can have.
    #[error(
        "plate {plate}, well {well}: concentration of {drug} is {concentration}, but it must be \
         finite and not negative"
    )]
    BadConcentration {
        /// Name of the plate.
        plate: String,
        /// Position on it.
        well: String,
        /// Name of the drug.
        drug: String,
        /// The concentration.
        concentration: f64,
    },
    /// Too few doses for a curve.
    #[error(
        "{found} distinct doses, but the curve needs at least {needed}: test more concentrations, \
         or fix the response at dose 0"
    )]
    TooFewDoses {
        /// Number of distinct doses that were given.
        found: usize,
        /// Least number that can be used.
        needed: usize,
    },
    /// Untreated wells that did not grow leave no growth to compare with.
    #[error(
        "untreated wells grew by {doublings:.3} doublings on average, but growth rates need more than \
         0: check the sizes before and after, or take a longer time between them"
    )]
    UntreatedDidNotGrow {
        /// Mean of log₂(end / start).
        doublings: f64,
    },
    /// Two treatments share a name.
    #[error(
        "treatment `{treatment}` has another group or other doses on plate {plate}, well {well}: \
         one name must mean one treatment"
    )]
    TreatmentConflict {
        /// The shared name.
        treatment: String,
        /// Plate of the well that contradicts the earlier ones.
        plate: String,
        /// Position on it.
        well: String,
    },
    /// A table could not be written.
    #[error("{path}: cannot write the table")]
    Csv {
        /// The table.
        path: PathBuf,
        /// What the CSV writer says.
        #[source]
        source: csv::Error,
    },
    /// A file could not be written.
    #[error(transparent)]
    Core(#[from] CoreError),
}
