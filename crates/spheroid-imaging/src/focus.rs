use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;

use crate::{FocalStack, ImagingError, Sample, sample::with_samples};

/// Mean gradient magnitude of a plane: large in focus, small when blurred.
///
/// ```text
/// S = mean over all pixels of √(gx² + gy²)
/// ```
/// with central differences inside the frame and one-sided differences at its edges, as
/// `numpy.gradient` takes them. The unit is that of the intensities per pixel, so values of two
/// planes compare only at one exposure and one magnification.
///
/// # Errors
/// When the plane has fewer than two rows or columns, or a pixel is not finite.
///
/// # Source
/// The gradient-magnitude ("Tenengrad-like") family of Pertuz, Puig and Garcia, *Analysis of focus
/// measure operators for shape-from-focus*, Pattern Recognition 46 (2013),
/// doi:10.1016/j.patcog.2012.11.011. **Differs from it in:** the magnitude is not squared, and the
/// gradient is numpy's, not Sobel's.
///
/// # Example
/// ```
/// use ndarray::arr2;
/// use spheroid_imaging::sharpness;
///
/// let ramp = arr2(&[[0.0_f32, 3.0, 6.0], [4.0, 7.0, 10.0]]);
/// assert_eq!(sharpness(ramp.view())?, 5.0);
/// # Ok::<(), spheroid_imaging::ImagingError>(())
/// ```
pub fn sharpness(plane: ArrayView2<'_, f32>) -> Result<f64, ImagingError> {
    let value = mean_gradient(plane)?;
    if value.is_finite() {
        return Ok(value);
    }
    let culprit = plane.indexed_iter().find(|(_, value)| !value.is_finite());
    // Without a culprit the differences themselves overflowed: name the largest value instead.
    let ((row, column), &value) = culprit
        .or_else(|| {
            plane
                .indexed_iter()
                .max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))
        })
        .expect("the plane has at least two rows and columns");
    Err(ImagingError::NotFinite { row, column, value })
}

/// Index of the plane with the greatest [`sharpness`]; the first of equals.
///
/// # Errors
/// When the planes have fewer than two rows or columns.
pub fn sharpest_plane(stack: &FocalStack) -> Result<usize, ImagingError> {
    let planes = (0..stack.planes()).into_par_iter();
    let values: Result<Vec<f64>, ImagingError> = with_samples!(stack.samples(), array => {
        planes.map(|p| mean_gradient(array.index_axis(Axis(0), p))).collect()
    });
    let mut sharpest = (0, f64::NEG_INFINITY);
    for (plane, value) in values?.into_iter().enumerate() {
        if value > sharpest.1 {
            sharpest = (plane, value);
        }
    }
    Ok(sharpest.0)
}

fn mean_gradient<T: Sample>(plane: ArrayView2<'_, T>) -> Result<f64, ImagingError> {
    let (rows, columns) = plane.dim();
    if rows < 2 || columns < 2 {
        return Err(ImagingError::TooSmall {
            what: "a gradient",
            rows,
            columns,
            least: 2,
        });
    }
    // Rows in `f32` and in one stretch of memory, so that the inner loop vectorises.
    let mut window = [0, 1, 2].map(|_| vec![0.0_f32; columns]);
    let load = |row: usize, into: &mut Vec<f32>| {
        for (slot, &sample) in into.iter_mut().zip(plane.row(row)) {
            *slot = sample.to_f64() as f32;
        }
    };
    load(0, &mut window[0]);
    load(1, &mut window[1]);
    let mut magnitudes = vec![0.0_f32; columns];
    let mut sum = 0.0;
    for row in 0..rows {
        let (above, below) = (row.saturating_sub(1), (row + 1).min(rows - 1));
        if below > row && row > 0 {
            load(below, &mut window[below % 3]);
        }
        let per_row = 1.0 / (below - above) as f32;
        let (above, here, below) = (
            &window[above % 3],
            window[row % 3].as_slice(),
            &window[below % 3],
        );
        for (column, magnitude) in magnitudes.iter_mut().enumerate() {
            let (left, right) = (column.saturating_sub(1), (column + 1).min(columns - 1));
            let per_column = if right - left == 2 { 0.5 } else { 1.0 };
            let gx = (here[right] - here[left]) * per_column;
            let gy = (below[column] - above[column]) * per_row;
            *magnitude = (gx * gx + gy * gy).sqrt();
        }
        sum += magnitudes
            .iter()
            .map(|&magnitude| f64::from(magnitude))
            .sum::<f64>();
    }
    Ok(sum / (rows as f64 * columns as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Samples;
    use ndarray::{Array2, Array3, arr2, s};
    use serde::Deserialize;
    use spheroid_testkit::{Tolerance, assert_close, json_fixture};

    #[derive(Deserialize)]
    struct Measures {
        gradients: Vec<Gradient>,
    }

    #[derive(Deserialize)]
    struct Gradient {
        shape: [usize; 2],
        values: Vec<f32>,
        sharpness: f64,
    }

    #[test]
    fn gradients_are_those_of_numpy() {
        let Measures { gradients } = json_fixture(env!("CARGO_MANIFEST_DIR"), "measures.json");
        assert_eq!(gradients.len(), 4);
        for Gradient {
            shape,
            values,
            sharpness: expected,
        } in gradients
        {
            let plane = Array2::from_shape_vec(shape, values).unwrap();
            let found = sharpness(plane.view()).unwrap();
            assert_close(&[found], &[expected], Tolerance::F32);
            let turned = sharpness(plane.t()).unwrap();
            assert_close(&[turned], &[expected], Tolerance::F32);
        }
    }

    #[test]
    fn a_constant_plane_has_no_gradient() {
        assert_eq!(
            sharpness(Array2::from_elem((4, 5), 0.7).view()).unwrap(),
            0.0
        );
    }

    #[test]
    fn the_plane_with_the_finest_detail_is_the_sharpest() {
        let mut samples = Array3::from_elem((4, 16, 16), 1000_u16);
        for plane in [1, 2] {
            samples.slice_mut(s![plane, .., ..;2]).fill(1400);
        }
        samples.slice_mut(s![3, .., 8..]).fill(1400);
        // Columns that alternate have central differences of 0 inside the frame.
        let stack = FocalStack::new(Samples::U16(samples.clone())).unwrap();
        assert_eq!(sharpest_plane(&stack).unwrap(), 1);
        samples.slice_mut(s![1..3, .., ..]).fill(1000);
        let stack = FocalStack::new(Samples::U16(samples.clone())).unwrap();
        assert_eq!(sharpest_plane(&stack).unwrap(), 3);
        let bytes = samples.mapv(|v| (v / 100) as u8);
        assert_eq!(
            sharpest_plane(&FocalStack::new(Samples::U8(bytes)).unwrap()).unwrap(),
            3
        );
    }

    #[test]
    fn of_equals_the_first_is_taken() {
        let stack = FocalStack::new(Samples::U8(Array3::zeros((3, 2, 2)))).unwrap();
        assert_eq!(sharpest_plane(&stack).unwrap(), 0);
    }

    #[test]
    fn planes_without_a_gradient_are_refused() {
        for shape in [(0, 3), (1, 3), (3, 1)] {
            let error = sharpness(Array2::zeros(shape).view()).unwrap_err();
            assert!(
                matches!(error, ImagingError::TooSmall { least: 2, .. }),
                "{error}"
            );
        }
        let error = sharpness(arr2(&[[0.0, 1.0], [f32::NAN, 1.0]]).view()).unwrap_err();
        assert!(
            matches!(
                error,
                ImagingError::NotFinite {
                    row: 1,
                    column: 0,
                    ..
                }
            ),
            "{error}"
        );
        let far = arr2(&[[f32::MAX, f32::MIN], [0.0, 0.0]]);
        assert!(matches!(
            sharpness(far.view()),
            Err(ImagingError::NotFinite { .. })
        ));
    }
}
