//! The contrastive losses on a CPU: blocks of rows meet in pairs, and a tile of similarities serves the rows
//! of both blocks. No more than a tile a thread is ever held.

mod backward;
mod forward;
mod prepared;
mod product;
mod real;
mod schedule;
#[cfg(test)]
mod tests;

pub(super) use backward::backward;
pub(super) use forward::forward;
pub(super) use real::Real;

/// Numbers that a row keeps from the forward pass for the backward pass: the logarithm (base 2) of its
/// denominator and of the exponentials of its positives.
pub(super) const KEPT: usize = 2;
