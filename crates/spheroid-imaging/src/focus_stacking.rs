use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis};
use rayon::prelude::*;

use crate::{FocalStack, ImagingError, Sample, sample::with_samples};

/// Distance to which the evidence for a plane is gathered, in pixels, by each of two passes.
const RADIUS: usize = 8;

/// One picture that is sharp everywhere, and from where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct FocusStacked {
    /// A stack of one plane. Every sample is that of one of the planes, in the same pixel.
    pub image: FocalStack,
    /// Plane, from 0, that each pixel was taken from: a map of depth.
    pub depth_map: Array2<u32>,
}

/// Extended depth of field: of every pixel the sample of the plane that is sharpest around it.
///
/// Sharpness is the sum-modified Laplacian, gathered twice over a square of 17 × 17 pixels, so that
/// the choice follows texture and not noise; of equals the first plane is taken. No sample is
/// averaged, so type and tones stay as they are; seams between planes may show where the light
/// differs.
///
/// # Errors
/// When the planes have fewer than three rows or columns, or a pixel is not finite.
///
/// # Source
/// Nayar and Nakagawa, *Shape from focus*, IEEE Trans. PAMI 16 (1994), doi:10.1109/34.308479, equations
/// 6 to 8 with a step of one pixel. **Differs from it in:** there is no threshold, and the window is
/// the square convolved with itself.
///
/// # Example
/// ```
/// use ndarray::Array3;
/// use spheroid_imaging::{FocalStack, Samples, focus_stack};
///
/// // The left half is in focus on plane 0, the right on plane 1.
/// let sharp = |p, c| if (c < 40) == (p == 0) { (c % 2) as u16 * 1000 } else { 500 };
/// let samples = Array3::from_shape_fn((2, 50, 80), |(p, _, c)| sharp(p, c));
/// let stacked = focus_stack(&FocalStack::new(Samples::U16(samples))?)?;
/// assert_eq!((stacked.depth_map[[25, 10]], stacked.depth_map[[25, 70]]), (0, 1));
/// # Ok::<(), spheroid_imaging::ImagingError>(())
/// ```
pub fn focus_stack(stack: &FocalStack) -> Result<FocusStacked, ImagingError> {
    let (_, rows, columns) = stack.dim();
    if rows < 3 || columns < 3 {
        return Err(ImagingError::TooSmall {
            what: "focus stacking",
            rows,
            columns,
            least: 3,
        });
    }
    let depth_map = with_samples!(stack.samples(), array => sharpest(array.view())?);
    let samples = with_samples!(stack.samples(), array => {
        Sample::wrap(chosen(array.view(), &depth_map))
    });
    let image = FocalStack::new(samples)?
        .with_pixel_size(stack.pixel_size())
        .with_white_is_zero(stack.white_is_zero());
    Ok(FocusStacked { image, depth_map })
}

/// For each pixel the plane with the most energy around it.
fn sharpest<T: Sample>(planes: ArrayView3<'_, T>) -> Result<Array2<u32>, ImagingError> {
    let (_, rows, columns) = planes.dim();
    let mut most = Array2::from_elem((rows, columns), -1.0_f32);
    let mut sharpest = Array2::zeros((rows, columns));
    for (number, plane) in (0_u32..).zip(planes.axis_iter(Axis(0))) {
        if let Some(((row, column), value)) = plane
            .indexed_iter()
            .map(|(at, sample)| (at, sample.to_f64() as f32))
            .find(|(_, value)| !value.is_finite())
        {
            return Err(ImagingError::NotFinite { row, column, value });
        }
        let mut energy = modified_laplacian(plane);
        for _ in 0..2 {
            sum_along_rows(&mut energy);
            sum_along_columns(&mut energy);
        }
        let pixels = most.iter_mut().zip(sharpest.iter_mut()).zip(&energy);
        for ((most, sharpest), &energy) in pixels {
            if energy > *most {
                (*most, *sharpest) = (energy, number);
            }
        }
    }
    Ok(sharpest)
}

fn chosen<T: Sample>(planes: ArrayView3<'_, T>, depth_map: &Array2<u32>) -> Array3<T> {
    let (_, rows, columns) = planes.dim();
    Array3::from_shape_fn((1, rows, columns), |(_, row, column)| {
        planes[(depth_map[(row, column)] as usize, row, column)]
    })
}

/// `|2I − left − right| + |2I − above − below|`; beyond the frame the nearest pixel is repeated.
fn modified_laplacian<T: Sample>(plane: ArrayView2<'_, T>) -> Array2<f32> {
    let (rows, columns) = plane.dim();
    let mut energy = Array2::zeros((rows, columns));
    let row = |row: usize| -> Vec<f32> {
        plane
            .row(row)
            .iter()
            .map(|sample| sample.to_f64() as f32)
            .collect()
    };
    let slice = energy
        .as_slice_mut()
        .expect("a new array is in row-major order");
    slice
        .par_chunks_mut(columns)
        .enumerate()
        .for_each(|(at, out)| {
            let here = row(at);
            let (above, below) = (row(at.saturating_sub(1)), row((at + 1).min(rows - 1)));
            for (column, out) in out.iter_mut().enumerate() {
                let (left, right) = (
                    here[column.saturating_sub(1)],
                    here[(column + 1).min(columns - 1)],
                );
                let twice = 2.0 * here[column];
                *out = (twice - left - right).abs() + (twice - above[column] - below[column]).abs();
            }
        });
    energy
}

/// Replaces each value by the mean of those up to [`RADIUS`] to either side, within the frame.
fn sum_along_rows(image: &mut Array2<f32>) {
    let columns = image.ncols();
    let slice = image
        .as_slice_mut()
        .expect("energies are in row-major order");
    slice.par_chunks_mut(columns).for_each(|row| {
        let source = row.to_vec();
        // In `f64`, so that what leaves the window leaves nothing behind.
        let mut sum: f64 = source
            .iter()
            .take(RADIUS)
            .map(|&value| f64::from(value))
            .sum();
        for column in 0..columns {
            if column + RADIUS < columns {
                sum += f64::from(source[column + RADIUS]);
            }
            if column > RADIUS {
                sum -= f64::from(source[column - RADIUS - 1]);
            }
            let count = (column + RADIUS).min(columns - 1) + 1 - column.saturating_sub(RADIUS);
            row[column] = (sum / count as f64) as f32;
        }
    });
}

/// As [`sum_along_rows`], up and down.
fn sum_along_columns(image: &mut Array2<f32>) {
    let (rows, columns) = image.dim();
    let source = image.clone();
    let mut sums = vec![0.0_f64; columns];
    let add = |sums: &mut [f64], row: usize, sign: f64| {
        for (sum, &value) in sums.iter_mut().zip(source.row(row)) {
            *sum += sign * f64::from(value);
        }
    };
    for row in 0..RADIUS.min(rows) {
        add(&mut sums, row, 1.0);
    }
    for row in 0..rows {
        if row + RADIUS < rows {
            add(&mut sums, row + RADIUS, 1.0);
        }
        if row > RADIUS {
            add(&mut sums, row - RADIUS - 1, -1.0);
        }
        let count = (row + RADIUS).min(rows - 1) + 1 - row.saturating_sub(RADIUS);
        for (out, &sum) in image.row_mut(row).iter_mut().zip(&sums) {
            *out = (sum / count as f64) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Samples;
    use ndarray::s;
    use proptest::prelude::*;

    fn noise((rows, columns): (usize, usize)) -> Array2<f32> {
        let mut state = 3_u32;
        Array2::from_shape_simple_fn((rows, columns), || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            1000.0 + (state >> 22) as f32
        })
    }

    fn blurred(image: &Array2<f32>, radius: usize) -> Array2<f32> {
        let (rows, columns) = image.dim();
        Array2::from_shape_fn((rows, columns), |(r, c)| {
            let window = image.slice(s![
                r.saturating_sub(radius)..(r + radius + 1).min(rows),
                c.saturating_sub(radius)..(c + radius + 1).min(columns)
            ]);
            window.mean().unwrap()
        })
    }

    #[test]
    fn regions_in_focus_are_put_together() {
        let truth = noise((90, 120));
        let soft = blurred(&truth, 3);
        // Three slanted regions, each in focus on one plane.
        let region = |r: usize, c: usize| ((r / 3 + c) / 50).min(2);
        let planes = Array3::from_shape_fn((3, 90, 120), |(p, r, c)| {
            let source = if region(r, c) == p { &truth } else { &soft };
            source[(r, c)] as u16
        });
        let found = focus_stack(&FocalStack::new(Samples::U16(planes.clone())).unwrap()).unwrap();
        let wrong = found
            .depth_map
            .indexed_iter()
            .filter(|&((r, c), &plane)| plane as usize != region(r, c))
            .count();
        // At most some pixels to either side of the seams.
        assert!(wrong < 90 * 2 * 4, "{wrong}");
        let Samples::U16(image) = found.image.samples() else {
            panic!("type changed")
        };
        let error = |image: ArrayView2<'_, u16>| -> f64 {
            let square = |(&a, &b): (&u16, &f32)| (f64::from(a) - f64::from(b.floor())).powi(2);
            image.iter().zip(&truth).map(square).sum::<f64>()
        };
        let stacked = error(image.index_axis(Axis(0), 0));
        for plane in planes.axis_iter(Axis(0)) {
            assert!(stacked < 0.1 * error(plane), "{stacked}");
        }
    }

    #[test]
    fn one_plane_is_its_own_picture() {
        let plane = noise((20, 30)).insert_axis(Axis(0));
        let stack = FocalStack::new(Samples::F32(plane)).unwrap();
        let found = focus_stack(&stack).unwrap();
        assert_eq!(found.image, stack);
        assert!(found.depth_map.iter().all(|&plane| plane == 0));
    }

    #[test]
    fn planes_that_cannot_be_stacked_are_refused() {
        let flat = FocalStack::new(Samples::U8(Array3::zeros((2, 2, 9)))).unwrap();
        assert!(matches!(
            focus_stack(&flat),
            Err(ImagingError::TooSmall { .. })
        ));
        let mut planes = Array3::zeros((2, 5, 5));
        planes[(1, 2, 3)] = f32::NAN;
        let stack = FocalStack::new(Samples::F32(planes)).unwrap();
        let error = focus_stack(&stack).unwrap_err();
        assert!(
            matches!(
                error,
                ImagingError::NotFinite {
                    row: 2,
                    column: 3,
                    ..
                }
            ),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn every_sample_is_that_of_a_plane(
            (planes, rows, columns) in (1_usize..4, 3_usize..25, 3_usize..25),
            seed in any::<u64>(),
        ) {
            let samples = Array3::from_shape_fn((planes, rows, columns), |(p, r, c)| {
                (seed.wrapping_mul((p * 977 + r * 31 + c * 7 + 1) as u64) >> 40) as i16
            });
            let stack = FocalStack::new(Samples::I16(samples.clone())).unwrap();
            let FocusStacked { image, depth_map } = focus_stack(&stack).unwrap();
            let Samples::I16(image) = image.samples() else { panic!("type changed") };
            for ((r, c), &plane) in depth_map.indexed_iter() {
                prop_assert_eq!(image[(0, r, c)], samples[(plane as usize, r, c)]);
            }
        }
    }
}
