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
//! 3. Could untreated wells have given the same? [`conformal_p_value`] asks it of a well,
//!    [`permutation_test`] or, by ranks alone, [`mann_whitney`] of a treatment; [`benjamini_hochberg`] adjusts for the number of questions.
//!    [`energy_distance`], [`squared_mmd`] and [`mean_average_precision`] ask it of all features at once
//!    and see effects of any kind, in which a score has no part.
//! 4. Where the truth is known, how well does the order agree with it? One of the measures below.
//!    [`rank_average`] joins several orders.
//!
//! Where drugs were tested at several doses, [`dose`] fits their curves and growth rates, and tells what
//! combinations do beyond single drugs.
//!
//! | discrepancy | use it when |
//! |---|---|
//! | [`Mahalanobis`] | by default: weighs every direction by how untreated wells scatter in it |
//! | [`StandardizedL2`] | features differ in scale and few wells tell how they go together |
//! | [`L2`] | features share one scale, as those of a pretrained network |
//! | [`L1`] | as [`L2`], and single features go astray |
//! | [`Cosine`] | only the direction of a representation has a meaning |
//! | [`NearestNeighbours`] | untreated wells fall into groups, and there are many of them |
//! | [`OneClassSvm`] | the same, with a smooth outline of the groups |
//!
//! | agreement with the truth | what it tells |
//! |---|---|
//! | [`KendallTauB`] | surplus of pairs in the right order; the usual figure |
//! | [`Spearman`] | correlation of ranks |
//! | [`WeightedTau`] | as [`KendallTauB`], the top of the list counting most |
//! | [`ConcordanceIndex`] | share of pairs in the right order |
//! | [`RankBiasedOverlap`] | how alike the tops of the lists are, whatever the order within them |
//! | [`Ndcg`] | how much of the effect stands at the top |
//! | [`AveragePrecision`] | how purely the effective treatments stand at the top |
//!
//! # What this crate will not do
//! It predicts nothing, reads no image and knows no clinical threshold: a rank is an order among the
//! treatments of an experiment.

mod aggregate;
mod average_precision;
mod benjamini_hochberg;
mod concordance;
mod conformal;
mod cosine;
mod direction;
pub mod discrepancy;
pub mod dose;
mod draws;
mod energy_distance;
mod error;
mod kendall;
mod l1;
mod l2;
mod label_permutation;
mod ledoit_wolf;
mod mahalanobis;
mod mann_whitney;
mod mean_average_precision;
mod median_polish;
mod mmd;
mod moderation;
mod ndcg;
mod nearest_neighbours;
mod one_class;
mod paired;
mod pairs;
mod permutation;
mod position;
mod principal_components;
mod quality;
mod rank_average;
mod rank_biased_overlap;
mod rank_sets;
mod ranking;
mod resolution;
mod scale;
mod scatter;
mod spearman;
mod sphering;
mod standardize;
mod standardized_l2;
mod weighted_tau;
mod well_score;

pub use aggregate::{Aggregate, median};
pub use average_precision::AveragePrecision;
pub use benjamini_hochberg::benjamini_hochberg;
pub use concordance::ConcordanceIndex;
pub use conformal::{conformal_p_value, smallest_conformal_p_value};
pub use cosine::Cosine;
pub use direction::direction;
pub use energy_distance::energy_distance;
pub use error::RankError;
pub use kendall::KendallTauB;
pub use l1::L1;
pub use l2::L2;
pub use label_permutation::PermutationTest;
pub use mahalanobis::{Mahalanobis, MahalanobisConfig};
pub use mann_whitney::mann_whitney;
pub use mean_average_precision::{MeanAveragePrecision, Similarity, mean_average_precision};
pub use median_polish::{MedianPolish, MedianPolishConfig, Polished, remove_position_effects};
pub use mmd::squared_mmd;
pub use ndcg::Ndcg;
pub use nearest_neighbours::{NearestNeighbours, NearestNeighboursConfig};
pub use one_class::{OneClassSvm, OneClassSvmConfig};
pub use permutation::permutation_test;
pub use position::{Position, PositionEffect, PositionTest, PositionTestConfig};
pub use principal_components::{PrincipalComponents, principal_components};
pub use quality::{PlateQuality, PlateVerdict, plate_quality};
pub use rank_average::rank_average;
pub use rank_biased_overlap::RankBiasedOverlap;
pub use rank_sets::{RankCoverage, RankSet};
pub use ranking::{RankedTreatment, Ranker, Ranking, RankingConfig};
pub use resolution::Resolution;
pub use scale::Scale;
pub use spearman::Spearman;
pub use sphering::{Sphering, SpheringConfig, SpheringFitted, SpheringMethod};
pub use standardize::{MIN_UNTREATED_OF_PLATE, standardize_features, standardize_scores};
pub use standardized_l2::{StandardizedL2, StandardizedL2Config};
pub use weighted_tau::WeightedTau;
pub use well_score::WellScore;
