//! Max pooling in two dimensions.

#[cfg(feature = "flex")]
mod flex;
#[cfg(test)]
mod tests;

use burn::tensor::{Tensor, module, ops::MaxPoolOptions};

/// The greatest value of every window of `kernel` × `kernel` places of `maps` `[image, channel, row, column]`;
/// windows are `stride` apart, and `padding` places beyond every side belong to them that never win.
///
/// On the Flex backend it is an operation of our own (of windows up to 15 × 15 that are padded by half at most), whose gradient
/// goes to the first of equal values, as PyTorch's. Other backends run what burn has for them.
///
/// # Panics
/// As burn's does: when `kernel` or `stride` is 0, or a window is larger than the padded map.
pub fn max_pool2d(maps: Tensor<4>, kernel: usize, stride: usize, padding: usize) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if flex::takes(&maps, kernel, stride, padding) {
        return flex::max_pool2d(maps, kernel, stride, padding);
    }
    let options = MaxPoolOptions::new([kernel; 2]).with_stride([stride; 2]);
    module::max_pool2d(maps, options.with_padding([padding; 2]))
}
