//! Two-dimensional convolution.

#[cfg(feature = "flex")]
mod flex;
#[cfg(feature = "flex")]
mod passes;
#[cfg(test)]
mod tests;
#[cfg(feature = "flex")]
mod winograd;

use burn::tensor::{Tensor, module, ops::ConvOptions};

/// Convolves images `[image, input, row, column]` with weights `[output, input, row, column]`; the result
/// is `[image, output, row, column]`. Images are padded with `padding` zeros on every side.
///
/// On the Flex backend all three passes are our own: but for small planes none builds the matrix of patches, and
/// results do not depend on the number of threads. Other backends run what burn has for them.
///
/// # Panics
/// As burn's convolution does: when shapes do not fit or `stride` is 0.
pub fn conv2d(images: Tensor<4>, weights: Tensor<4>, stride: usize, padding: usize) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if flex::takes(&images, &weights, stride, padding) {
        return flex::conv2d(images, weights, stride, padding);
    }
    let options = ConvOptions::new([stride, stride], [padding, padding], [1, 1], 1);
    module::conv2d(images, weights, None, options)
}
