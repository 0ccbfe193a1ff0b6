//! Effects that depend on the dose: curves, growth rates and combinations.
//!
//! 1. [`dose_series`] collects what of a plate's wells makes a series of doses, [`combinations`] which
//!    pairs of drugs were tested together and alone.
//! 2. [`LogLogisticConfig`] fits a curve to a series: EC50 with its interval, slope, both ends, and
//!    what is doubtful about them ([`DoseWarning`]).
//! 3. [`GrowthRateConfig`] tells what a drug does to growth where sizes before and after it are known.
//! 4. [`CombinationConfig`] compares two drugs together with what each does alone.
//!
//! Nothing here asks for a unit: an EC50 has the unit of the doses that were given.

mod combination;
mod growth_rate;
mod log_logistic;
mod monotone;
mod series;
mod sigmoid;

pub use combination::{CombinationConfig, CombinationExcess, CombinationTest, DoseWell, Excess};
pub use growth_rate::{GrowthRate, GrowthRateConfig, GrowthRateFitter, GrowthWell, gr_value};
pub use log_logistic::{
    DoseWarning, LogLogistic, LogLogisticConfig, LogLogisticFitter, LogLogisticParameters,
};
pub use series::{Combination, DoseSeries, combinations, dose_series};
