//! Contrastive losses for burn, the same on every backend.
//!
//! [`NtXent`] is the loss of SimCLR. It is a tensor formula: burn differentiates it, any device runs
//! it, and it holds the `[2N, 2N]` similarity matrix (4 MiB of `f32` at 1024 rows, 1 GiB at 16,384).
//!
//! # What this crate will not do
//! It knows no encoder, no image and no training loop.

mod error;
mod nt_xent;

pub use error::KernelError;
pub use nt_xent::{NtXent, NtXentConfig};
