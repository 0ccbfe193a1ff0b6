//! Convolution of every channel by itself.

#[cfg(feature = "flex")]
mod flex;
#[cfg(test)]
mod tests;

use burn::tensor::{Tensor, module, ops::ConvOptions};

/// Convolves every channel of `maps` `[image, channel, row, column]` with its own of the `weights`
/// `[channel, 1, row, column]`. Maps are padded with `padding` zeros on every side.
///
/// On the Flex backend all three passes are our own, and results do not depend on the number of threads. Other
/// backends run what burn has for them.
///
/// # Panics
/// As burn's convolution does: when shapes do not fit or `stride` is 0.
pub fn depthwise_conv2d(
    maps: Tensor<4>,
    weights: Tensor<4>,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if flex::takes(&maps, &weights, stride, padding) {
        return flex::depthwise_conv2d(maps, weights, stride, padding);
    }
    let channels = maps.dims()[1];
    let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], channels);
    module::conv2d(maps, weights, None, options)
}
