//! Orders cancer drugs by how well they work, from bright-field microscopy of 3D tumour spheroids.
//!
//! This crate re-exports the workspace and composes it into the [`pipeline`].

pub mod crops;
mod error;
mod monitor;
mod plate;
pub mod prepare;

pub use error::PipelineError;
pub use monitor::Monitor;
pub use plate::Plate;
