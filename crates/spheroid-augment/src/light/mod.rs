//! Uneven light.

mod edge_shading;
mod illumination_gradient;

pub use edge_shading::{EdgeShading, EdgeShadingDraw};
pub use illumination_gradient::{IlluminationGradient, IlluminationGradientDraw};

use ndarray::Array3;

/// Multiplies all planes by a field: `factor` of the place, from −1 to 1 downwards and to the right, between
/// the middles of the outermost pixels.
fn shade(samples: &mut Array3<f32>, factor: impl Fn(f64, f64) -> f64) {
    let (_, rows, columns) = samples.dim();
    let place = |at: usize, length: usize| match length {
        1 => 0.0,
        _ => 2.0 * at as f64 / (length - 1) as f64 - 1.0,
    };
    for row in 0..rows {
        for column in 0..columns {
            let factor = factor(place(row, rows), place(column, columns)) as f32;
            for value in samples.slice_mut(ndarray::s![.., row, column]) {
                *value *= factor;
            }
        }
    }
}
