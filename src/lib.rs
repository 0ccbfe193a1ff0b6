//! Orders cancer drugs by how well they work, from bright-field microscopy of 3D tumour spheroids.
//!
//! This crate re-exports the crates of the workspace under short names and composes them into the
//! stages of the main job ([`job`]): [`Plate`] → [`crops`] → [`pretrain`] → [`embed`] → [`ranking`].

pub mod crops;
pub mod dose;
pub mod embed;
mod error;
pub mod job;
pub mod labelled;
mod monitor;
mod plate;
pub mod prepare;
pub mod pretrain;
pub mod ranking;
mod report_page;
mod results;
pub mod simulated;
pub mod supervised;
pub mod views;

pub use error::PipelineError;
pub use monitor::{Learning, Monitor};
pub use plate::Plate;

pub use spheroid_augment as augment;
pub use spheroid_core as core;
pub use spheroid_imaging as imaging;
pub use spheroid_kernels as kernels;
pub use spheroid_rank as rank;
pub use spheroid_report as report;
pub use spheroid_sim as sim;
pub use spheroid_ssl as ssl;
pub use spheroid_temporal as temporal;
