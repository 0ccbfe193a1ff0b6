//! What transforms of colours share.

use ndarray::{Array3, ArrayView3};

use crate::{AugmentError, Image, Pixel, tones::Real};

/// Weights of red, green and blue in luminance, as PyTorch and Pillow round them (ITU-R BT.601).
const LUMINANCE: [f32; 3] = [0.2989, 0.587, 0.114];

pub(crate) fn luminance([red, green, blue]: [f32; 3]) -> f32 {
    LUMINANCE[0] * red + LUMINANCE[1] * green + LUMINANCE[2] * blue
}

/// Mean luminance on the unit scale.
pub(crate) fn mean_luminance<T: Pixel>(samples: ArrayView3<'_, T>) -> f64 {
    let of_plane = |plane: ndarray::ArrayView2<'_, T>| match plane.to_slice() {
        Some(pixels) if !T::INTEGER => f32::mean(bytemuck::cast_slice::<T, f32>(pixels)),
        _ => {
            let sum: f64 = plane.iter().map(|pixel| f64::from(pixel.to_counts())).sum();
            sum / plane.len() as f64 / T::FULL
        }
    };
    let planes = samples.outer_iter().map(of_plane);
    planes
        .zip(LUMINANCE)
        .map(|(mean, weight)| mean * f64::from(weight))
        .sum()
}

/// Replaces every colour; `samples` is in row-major order.
pub(crate) fn map_colors(samples: &mut Array3<f32>, color: impl Fn([f32; 3]) -> [f32; 3]) {
    let pixels = samples.len() / 3;
    let values = samples
        .as_slice_mut()
        .expect("samples are in row-major order");
    let (red, rest) = values.split_at_mut(pixels);
    let (green, blue) = rest.split_at_mut(pixels);
    for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
        [*red, *green, *blue] = color([*red, *green, *blue]);
    }
}

/// Accepts images that are declared RGB.
pub(crate) fn check_rgb<T: Pixel>(
    image: &Image<'_, T>,
    transform: &'static str,
) -> Result<(), AugmentError> {
    if image.is_rgb() {
        Ok(())
    } else {
        Err(AugmentError::NotRgb { transform })
    }
}
