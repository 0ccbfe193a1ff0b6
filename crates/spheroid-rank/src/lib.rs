//! Discrepancies, ranking of treatments with intervals, and rank agreement.
//!
//! Four questions, in this order:
//!
//! 1. How far is a well from what was predicted of it? [`discrepancy`] lists the metrics;
//!    [`discrepancy::score_out_of_fold`] scores a plate.
//! 2. How strong is each treatment, and how sure is that? [`RankingConfig`] builds a [`Ranker`],
//!    which gives a [`Ranking`]. [`direction`] tells whether a deviation goes towards the reference
//!    drug or away from it.
//! 3. Is it more than chance? [`mann_whitney`] for a treatment, [`conformal`] for a well, and
//!    [`benjamini_hochberg`] over all treatments.
//! 4. Where the truth is known, how well does the order agree with it? [`KendallTauB`] and
//!    [`Spearman`].
//!
//! | discrepancy | use it when |
//! |---|---|
//! | [`Mahalanobis`] | by default: weighs every direction by how untreated wells scatter in it |
//! | [`StandardizedL2`] | features differ in scale and few wells tell how they go together |
//! | [`L2`] | features share one scale, as those of a pretrained network |
//! | [`Cosine`] | only the direction of a representation has a meaning |
//!
//! # What this crate will not do
//! It predicts nothing, reads no image and knows no clinical threshold: a rank is an order among the
//! treatments of an experiment.

mod aggregate;
mod benjamini_hochberg;
mod bootstrap;
pub mod conformal;
mod cosine;
mod direction;
pub mod discrepancy;
mod error;
mod kendall;
mod l2;
mod ledoit_wolf;
mod mahalanobis;
mod mann_whitney;
mod paired;
mod ranking;
mod spearman;
mod standardized_l2;

pub use aggregate::median;
pub use benjamini_hochberg::benjamini_hochberg;
pub use cosine::Cosine;
pub use direction::direction;
pub use error::RankError;
pub use kendall::KendallTauB;
pub use l2::L2;
pub use mahalanobis::{Mahalanobis, MahalanobisConfig};
pub use mann_whitney::mann_whitney;
pub use ranking::{RankedTreatment, Ranker, Ranking, RankingConfig, WellScore};
pub use spearman::Spearman;
pub use standardized_l2::{StandardizedL2, StandardizedL2Config};
