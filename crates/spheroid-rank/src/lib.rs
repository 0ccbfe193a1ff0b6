//! Discrepancies, ranking of treatments with intervals, and rank agreement.
//!
//! Four questions, in this order:
//!
//! 1. How far is a well from what was predicted of it? [`discrepancy`] lists the metrics;
//!    [`discrepancy::score_out_of_fold`] scores a plate.
//! 2. How strong is each treatment, and how sure is that? [`RankingConfig`] builds a [`Ranker`],
//!    which gives a [`Ranking`] with intervals, tiers and sets of ranks. Before it, [`plate_quality`]
//!    tells whether a plate can carry a ranking, [`PositionTest`] whether position matters, and
//!    [`standardize_scores`] joins plates. [`direction`] tells whether a deviation goes towards the reference
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
pub mod conformal;
mod cosine;
mod direction;
pub mod discrepancy;
mod draws;
mod error;
mod kendall;
mod l2;
mod ledoit_wolf;
mod mahalanobis;
mod mann_whitney;
mod median_polish;
mod moderation;
mod paired;
mod position;
mod quality;
mod rank_sets;
mod ranking;
mod resolution;
mod scale;
mod scatter;
mod spearman;
mod sphering;
mod standardize;
mod standardized_l2;
mod well_score;

pub use aggregate::{Aggregate, median};
pub use benjamini_hochberg::benjamini_hochberg;
pub use cosine::Cosine;
pub use direction::direction;
pub use error::RankError;
pub use kendall::KendallTauB;
pub use l2::L2;
pub use mahalanobis::{Mahalanobis, MahalanobisConfig};
pub use mann_whitney::mann_whitney;
pub use median_polish::{MedianPolish, MedianPolishConfig, Polished, remove_position_effects};
pub use position::{Position, PositionEffect, PositionTest, PositionTestConfig};
pub use quality::{PlateQuality, PlateVerdict, plate_quality};
pub use rank_sets::{RankCoverage, RankSet};
pub use ranking::{RankedTreatment, Ranker, Ranking, RankingConfig};
pub use resolution::Resolution;
pub use scale::Scale;
pub use spearman::Spearman;
pub use sphering::{Sphering, SpheringConfig, SpheringFitted, SpheringMethod};
pub use standardize::{MIN_UNTREATED_OF_PLATE, standardize_features, standardize_scores};
pub use standardized_l2::{StandardizedL2, StandardizedL2Config};
pub use well_score::WellScore;
