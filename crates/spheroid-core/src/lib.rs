//! Vocabulary and shared traits of `spheroid`.
//!
//! What a plate is made of ([`WellId`], [`PlateFormat`], [`Treatment`], [`Day`]), the two tables that
//! describe one ([`ImageTable`], [`PlateMap`]), the matrix that all later stages exchange
//! ([`Embeddings`]), the tables that are handed to other programs ([`Columns`]), and the few traits through which the other crates meet ([`StackSource`],
//! [`Augment`], [`Embed`], [`Forecast`], [`Discrepancy`], [`RankMetric`]).
//!
//! # What this crate will not do
//! It decodes no image, trains nothing and computes no statistic.

pub mod atomic;
mod columns;
mod day;
mod draw;
mod embeddings;
mod error;
mod images;
mod param;
mod plate_map;
mod table;
mod traits;
mod treatment;
mod warning;
mod well;
mod wellmap;

pub use columns::{Columns, Values};
pub use day::Day;
pub use draw::DrawKey;
pub use embeddings::Embeddings;
pub use error::CoreError;
pub use images::{ImageTable, PlaneFile, StackEntry, StackKey};
pub use param::{ParamError, at_least, fraction, non_negative, positive, within};
pub use plate_map::{PlateMap, PlateWell, WellRecord};
pub use traits::{Augment, Direction, Discrepancy, Embed, Fit, Forecast, RankMetric, StackSource};
pub use treatment::{Dose, Group, Treatment};
pub use warning::Warning;
pub use well::{PlateFormat, WellId};
