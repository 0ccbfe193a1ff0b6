//! Convolution with 3 × 3 kernels by Winograd's minimal filtering, F(3 × 3, 3 × 3).
//!
//! A tile of 3 × 3 results takes 25 products for every pair of channels instead of 81. With
//!
//! ```text
//!      ⎡ 2 -1 -2  1  0 ⎤        ⎡  1/2    0    0 ⎤
//!      ⎢ 0 -2 -1  1  0 ⎥        ⎢ -1/2 -1/2 -1/2 ⎥        ⎡ 1  1  1  1  0 ⎤
//! Bᵀ = ⎢ 0  2 -3  1  0 ⎥    G = ⎢ -1/6  1/6 -1/6 ⎥   Aᵀ = ⎢ 0  1 -1  2  0 ⎥
//!      ⎢ 0 -1  0  1  0 ⎥        ⎢  1/6  1/3  2/3 ⎥        ⎣ 0  1  1  4  1 ⎦
//!      ⎣ 0  2 -1 -2  1 ⎦        ⎣    0    0    1 ⎦
//! ```
//!
//! a tile is `Aᵀ[Σ (G g Gᵀ) ⊙ (Bᵀ d B)]A` for the 5 × 5 values `d` that it sees and the kernel `g`: 25 products
//! of matrices, one for each point. That is the forward pass, and with mirrored kernels the gradient of the
//! images. The gradient of the weights is the same with the gradient of a tile in the place of the kernel, summed over tiles instead
//! of channels. Within, channels lie side by side, so that all transforms work on vectors of channels.
//!
//! Results are off by some 3e-6 of the largest, and the gradient of the weights by up to 1.2e-5 when it sums a few hundred
//! tiles: five to ten times as far as sums in 32 bits. A value that is not finite spoils the whole of the tiles that see
//! it.
//!
//! # Source
//! Lavin, Gray 2015, "Fast Algorithms for Convolutional Neural Networks", arXiv 1509.09308; matrices by the method of
//! Toom and Cook at 0, 1, −1, 2 and ∞.

mod few_tiles;
mod many_tiles;
mod transform;

use pulp::{Arch, Simd, WithSimd};

use crate::{product::Product, unfolded::Geometry};
use transform::{Kernels, Tiles};

/// Side of a kernel and of a tile of results.
const SIDE: usize = 3;
/// Side of the values that a tile is made of, and of its transform.
const REACH: usize = 5;
const POINTS: usize = REACH * REACH;
/// The most tiles of an image, whose transforms shall stay in the cache.
const MOST: usize = 1024;
/// Channels below which transforms take longer than products.
const CHANNELS: usize = 32;

/// Whether it is faster than the convolution by its definition.
pub(super) fn pays(geometry: Geometry, out: [usize; 2]) -> bool {
    let Geometry {
        inputs,
        outputs,
        kernel,
        stride,
        padding,
        ..
    } = geometry;
    let tiles = Tiles::new(out).count();
    // Tiles reach beyond the results of small maps.
    let saves = 2 * SIDE * SIDE * out[0] * out[1] >= 3 * POINTS * tiles;
    kernel == [SIDE; 2]
        && stride == 1
        && padding < SIDE
        && inputs.min(outputs) >= CHANNELS
        && tiles <= MOST
        && saves
}

/// Whether there are more kernels than values of tiles: then they are what to hold in the cache.
fn has_few_tiles(geometry: Geometry, out: [usize; 2]) -> bool {
    let Geometry {
        images,
        inputs,
        outputs,
        ..
    } = geometry;
    inputs * outputs >= images * Tiles::new(out).count() * (inputs + outputs)
}

/// Results, `[image, output, row, column]`, of images `[image, input, row, column]` and weights `[output,
/// input, row, column]`.
pub(super) fn forward(
    arch: Arch,
    images: &[f32],
    weights: &[f32],
    geometry: Geometry,
    out: [usize; 2],
) -> Vec<f32> {
    let Geometry {
        inputs, outputs, ..
    } = geometry;
    let kernels = Kernels {
        weights,
        rows: inputs,
        columns: outputs,
        strides: [SIDE * SIDE, inputs * SIDE * SIDE],
        mirrored: false,
    };
    convolve(arch, images, kernels, geometry, out)
}

/// Gradient of the images from that of the results.
pub(super) fn input_gradient(
    arch: Arch,
    gradient: &[f32],
    weights: &[f32],
    geometry: Geometry,
    out: [usize; 2],
) -> Vec<f32> {
    let Geometry {
        inputs,
        outputs,
        size,
        padding,
        ..
    } = geometry;
    let kernels = Kernels {
        weights,
        rows: outputs,
        columns: inputs,
        strides: [inputs * SIDE * SIDE, SIDE * SIDE],
        mirrored: true,
    };
    let mirrored = Geometry {
        inputs: outputs,
        outputs: inputs,
        size: out,
        padding: SIDE - 1 - padding,
        ..geometry
    };
    convolve(arch, gradient, kernels, mirrored, size)
}

fn convolve(
    arch: Arch,
    images: &[f32],
    kernels: Kernels<'_>,
    geometry: Geometry,
    out: [usize; 2],
) -> Vec<f32> {
    if has_few_tiles(geometry, out) {
        few_tiles::convolve(arch, images, kernels, geometry, out)
    } else {
        many_tiles::convolve(arch, images, kernels, geometry, out)
    }
}

/// Gradient of the weights, `[output, input, row, column]`, from that of the results.
pub(super) fn weight_gradient(
    arch: Arch,
    images: &[f32],
    gradient: &[f32],
    geometry: Geometry,
    out: [usize; 2],
) -> Vec<f32> {
    if has_few_tiles(geometry, out) {
        few_tiles::weight_gradient(arch, images, gradient, geometry, out)
    } else {
        many_tiles::weight_gradient(arch, images, gradient, geometry, out)
    }
}

/// The product of one point.
struct Multiply<'a> {
    left: &'a [f32],
    left_pitch: usize,
    /// Whether the left side is multiplied as its transpose.
    transposed: bool,
    product: Product<'a, f32>,
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.transposed {
            self.product.of_columns(simd, self.left, self.left_pitch);
        } else {
            self.product.of_rows(simd, self.left, self.left_pitch);
        }
    }
}
