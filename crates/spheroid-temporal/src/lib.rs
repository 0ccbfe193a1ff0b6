//! Predictors over series of representations, fitted on untreated wells.
//!
//! What would this well look like at the last day, had it not been treated? A predictor learns that
//! from untreated wells and is asked about all wells; how far the truth lies from its answer is the
//! effect that the ranking orders.
//!
//! | predictor | use it when |
//! |---|---|
//! | [`Persistence`] | as the baseline that stands in every table: nothing changes |
//! | [`MeanChange`] | there are few untreated wells: every well changes as they do on average |
//! | [`Ridge`] | the change depends on how the well looked before |
//!
//! [`out_of_fold`] asks a predictor about every well without letting an untreated well meet a
//! predictor that was fitted on it; [`skill`] compares the answers with persistence.
//!
//! # Which days may be given
//! A predictor may see only what came **before the drug acts**. Of a plate that is dosed on day 7
//! and read on day 10, days 8 and 9 of a treated well already show the effect: a predictor that is
//! given them predicts the treated state and the score vanishes. Cut the series with
//! [`Trajectories::select_days`] to the last day before the drug and the day of reading.
//!
//! # What this crate will not do
//! It trains no network, knows no treatment and ranks nothing.

mod error;
mod horizon;
mod mean_change;
mod out_of_fold;
mod persistence;
mod ridge;
mod trajectories;

pub use error::TemporalError;
pub use mean_change::{MeanChange, MeanChangeFitted};
pub use out_of_fold::{Folds, MIN_UNTREATED, out_of_fold, skill};
pub use persistence::Persistence;
pub use ridge::{Ridge, RidgeConfig, RidgeFitted};
pub use trajectories::{Trajectories, Well};
