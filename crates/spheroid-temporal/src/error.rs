use spheroid_core::{Day, ParamError};
use thiserror::Error;

/// Why a predictor could not be fitted or asked.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum TemporalError {
    /// A setting is outside what is allowed.
    #[error(transparent)]
    Param(#[from] ParamError),
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
    /// An axis is too short.
    #[error("{found} {what}, but at least {least} must be given")]
    TooFew {
        /// What was counted.
        what: &'static str,
        /// The number that was given.
        found: usize,
        /// Least number that can be used.
        least: usize,
    },
    /// A representation holds NaN or infinity.
    #[error("{well}, feature {feature} is {value}: every value must be finite")]
    NotFinite {
        /// Plate, well and day, or the position where names are not known.
        well: String,
        /// Column of the value, from 0.
        feature: usize,
        /// The value.
        value: f32,
    },
    /// Days that do not rise.
    #[error("day {later} follows day {earlier}: days must be distinct and in rising order")]
    DayOrder {
        /// The day that stands first.
        earlier: Day,
        /// The day that stands behind it.
        later: Day,
    },
    /// A day that the series does not have.
    #[error("there is no day {day} in the series (days: {present})")]
    NoSuchDay {
        /// The day that was asked for.
        day: Day,
        /// The days that are there.
        present: String,
    },
    /// The predictor was fitted for other days.
    #[error("fitted to predict day {fitted}, asked to predict day {asked}: fit it on these days")]
    FittedDays {
        /// Days at fitting, such as `10 from 7`.
        fitted: String,
        /// Days at asking.
        asked: String,
    },
    /// One well occurs twice.
    #[error("{well} occurs twice: give each well once")]
    DuplicateWell {
        /// Plate and well.
        well: String,
    },
    /// An index beyond the wells.
    #[error("there is no well {index}: the series holds {wells} wells")]
    NoSuchWell {
        /// The index that was asked for.
        index: usize,
        /// Number of wells.
        wells: usize,
    },
    /// Too few wells to learn from.
    #[error(
        "{found} untreated wells, but at least {needed} are needed: mark more wells as untreated \
         in the plate map, or join plates"
    )]
    TooFewWells {
        /// Number of wells that were given.
        found: usize,
        /// Least number that can be used.
        needed: usize,
    },
    /// Persistence makes no error, so nothing can be compared with it.
    #[error("skill is undefined: untreated wells do not change from day {from} to day {to}")]
    NoChange {
        /// Last day given to the predictor.
        from: Day,
        /// Day of the target.
        to: Day,
    },
}
