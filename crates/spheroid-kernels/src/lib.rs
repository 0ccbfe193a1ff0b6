//! What a training step spends its time in, for burn: contrastive losses on every backend, convolution,
//! batch norm and max pooling on the CPU.
//!
//! [`NtXent`] is the loss of SimCLR, [`SupCon`] that of any number of positives a row, [`InfoNce`] that of
//! two modalities. With the feature of its backend (`flex`, `ndarray`, `cuda`, `wgpu`, `cpu`) they are one fused
//! operation with its own gradient, in memory linear in the number of rows ([`is_fused`] tells; double
//! precision is fused on a CPU alone). A program that turns on burn's `fusion` also turns on that of this crate,
//! or it does not compile. Elsewhere they are tensor formulas: burn differentiates them, any device runs them, and they hold the matrix of all similarities
//! (4 MiB of `f32` at 1024 rows, 1 GiB at 16,384).
//!
//! [`conv2d`], [`depthwise_conv2d`], [`batch_norm`] and [`max_pool2d`] take plain tensors on any device, and so does a step of
//! [`AdamW`](AdamWStep). With the feature `flex`, tensors of that
//! backend go through operations of our own, with their gradients; others run what burn has for them.
//!
//! On Flex, memory of maps is used over and over: up to 256 MiB of it stay with the process.
//!
//! # What this crate will not do
//! It knows no encoder, no image and no training loop.

mod adamw;
mod batch_norm;
mod contrastive;
mod conv2d;
mod depthwise;
mod error;
#[cfg(feature = "flex")]
mod flex;
mod info_nce;
mod max_pool;
#[cfg(feature = "flex")]
mod memory;
mod normalize;
mod nt_xent;
#[cfg(any(feature = "flex", feature = "ndarray"))]
mod product;
#[cfg(any(feature = "flex", feature = "ndarray"))]
mod real;
mod sup_con;
#[cfg(feature = "flex")]
mod tiles;
#[cfg(feature = "flex")]
mod unfolded;
#[cfg(feature = "flex")]
mod windows;

pub use adamw::AdamWStep;
pub use batch_norm::{BatchNormed, Then, batch_norm, scale_and_shift};
pub use contrastive::{Extras, RowLosses, is_fused};
pub use conv2d::conv2d;
pub use depthwise::depthwise_conv2d;
pub use error::KernelError;
pub use info_nce::{InfoNce, InfoNceConfig};
pub use max_pool::max_pool2d;
pub use normalize::normalize_rows;
pub use nt_xent::{NtXent, NtXentConfig};
pub use sup_con::{Denominator, Placement, SupCon, SupConConfig};
