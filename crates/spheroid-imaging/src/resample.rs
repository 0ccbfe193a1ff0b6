use ndarray::{Array2, ArrayView2};
use spheroid_core::{ParamError, at_least, positive};

use crate::ImagingError;

/// A rectangle on a plane, in pixels; it may reach beyond the frame.
///
/// Pixel `(row, column)` covers `row..row + 1` and `column..column + 1`, so the whole of a plane
/// is `top: 0, left: 0` with its number of rows and columns as height and width.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Upper edge.
    pub top: f64,
    /// Left edge.
    pub left: f64,
    /// Extent downwards, > 0.
    pub height: f64,
    /// Extent to the right, > 0.
    pub width: f64,
}

impl Window {
    /// The whole of a plane of `rows` × `columns` pixels.
    pub fn whole(rows: usize, columns: usize) -> Self {
        Self {
            top: 0.0,
            left: 0.0,
            height: rows as f64,
            width: columns as f64,
        }
    }
}

/// Brings `window` of a plane to `out_rows` × `out_columns` pixels by area averaging.
///
/// Each output pixel is the mean of the rectangle that it covers, border pixels counting with the
/// fraction that lies inside; what lies beyond the frame has the value `fill`. Reducing this way
/// neither aliases nor rings, and keeps the mean. Enlarging gives blocks, softened where their
/// edges fall inside an output pixel.
///
/// # Shapes
/// `plane` `[row, column]`, output `[out_rows, out_columns]`.
///
/// # Errors
/// When the window is not finite or a side of it below a millionth of a pixel, the output would have no
/// pixel, `fill` is not finite, or the plane is empty. NaN in the plane spreads to the pixels that it
/// touches.
///
/// # Example
/// ```
/// use ndarray::arr2;
/// use spheroid_imaging::{Window, resample_area};
///
/// let plane = arr2(&[[1.0_f32, 2.0, 3.0]]);
/// let half = resample_area(plane.view(), Window::whole(1, 3), 1, 2, 0.0)?;
/// assert_eq!(half, arr2(&[[4.0 / 3.0, 8.0 / 3.0]]));
/// # Ok::<(), spheroid_imaging::ImagingError>(())
/// ```
pub fn resample_area(
    plane: ArrayView2<'_, f32>,
    window: Window,
    out_rows: usize,
    out_columns: usize,
    fill: f32,
) -> Result<Array2<f32>, ImagingError> {
    let (rows, columns) = plane.dim();
    if plane.is_empty() {
        return Err(ImagingError::Empty {
            planes: 1,
            rows,
            columns,
        });
    }
    at_least("out_rows", out_rows, 1, "at least 1")?;
    at_least("out_columns", out_columns, 1, "at least 1")?;
    /// Narrower ones would fall between two numbers.
    const LEAST_SIDE: f64 = 1e-6;
    for (param, side) in [
        ("window.height", window.height),
        ("window.width", window.width),
    ] {
        if positive(param, side)? < LEAST_SIDE {
            return Err(ParamError::new(param, side, "at least 1e-6 pixels").into());
        }
    }
    for (param, value) in [
        ("window.top", window.top),
        ("window.left", window.left),
        ("fill", f64::from(fill)),
    ] {
        if !value.is_finite() {
            return Err(ParamError::new(param, value, "finite").into());
        }
    }

    let vertical = coverage(window.top, window.height, out_rows, rows);
    let horizontal = coverage(window.left, window.width, out_columns, columns);
    // Rows first: adding whole rows runs along memory, and leaves the costlier gathering along
    // columns to the few rows of the output.
    let mut reduced = vec![0.0_f32; columns];
    let mut out = Array2::zeros((out_rows, out_columns));
    for (span, mut out_row) in vertical.iter().zip(out.rows_mut()) {
        reduced.fill(span.outside * fill);
        for (&weight, source) in span
            .weights
            .iter()
            .zip(plane.rows().into_iter().skip(span.start))
        {
            for (sum, &value) in reduced.iter_mut().zip(source) {
                *sum += weight * value;
            }
        }
        for (span, value) in horizontal.iter().zip(&mut out_row) {
            let covered = &reduced[span.start..span.start + span.weights.len()];
            *value = span
                .weights
                .iter()
                .zip(covered)
                .map(|(w, v)| w * v)
                .sum::<f32>()
                + span.outside * fill;
        }
    }
    Ok(out)
}

/// What one output pixel covers along one axis; `weights` and `outside` add up to 1.
struct Span {
    /// First source pixel that is covered.
    start: usize,
    /// Share of each covered source pixel, from `start` on.
    weights: Vec<f32>,
    /// Share of what lies beyond the frame.
    outside: f32,
}

fn coverage(from: f64, extent: f64, outputs: usize, pixels: usize) -> Vec<Span> {
    let step = extent / outputs as f64;
    (0..outputs)
        .map(|output| {
            let low = from + step * output as f64;
            let high = low + step;
            let inside = (
                low.clamp(0.0, pixels as f64),
                high.clamp(0.0, pixels as f64),
            );
            let start = inside.0.floor() as usize;
            let end = (inside.1.ceil() as usize).max(start);
            let share = |a: f64, b: f64| ((b - a) / step).clamp(0.0, 1.0) as f32;
            let weights = (start..end)
                .map(|pixel| share(inside.0.max(pixel as f64), inside.1.min((pixel + 1) as f64)))
                .collect();
            // From the exact lengths, not from the rounded weights.
            let outside = share(0.0, (step - (inside.1 - inside.0)).max(0.0));
            Span {
                start: start.min(pixels),
                weights,
                outside,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;
    use proptest::prelude::*;
    use serde::Deserialize;
    use spheroid_testkit::{Tolerance, assert_close, json_fixture};

    #[derive(Deserialize)]
    struct Measures {
        resample: Reference,
    }

    #[derive(Deserialize)]
    struct Reference {
        shape: [usize; 2],
        values: Vec<f32>,
        windows: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        window: [f64; 4],
        out: [usize; 2],
        fill: f32,
        values: Vec<f64>,
    }

    #[test]
    fn every_pixel_is_the_integral_over_what_it_covers() {
        let Measures {
            resample:
                Reference {
                    shape,
                    values,
                    windows,
                },
        } = json_fixture(env!("CARGO_MANIFEST_DIR"), "measures.json");
        let plane = Array2::from_shape_vec(shape, values).unwrap();
        assert_eq!(windows.len(), 7);
        for Case {
            window: [top, left, height, width],
            out,
            fill,
            values,
        } in windows
        {
            let window = Window {
                top,
                left,
                height,
                width,
            };
            let found = resample_area(plane.view(), window, out[0], out[1], fill).unwrap();
            assert_close(found.as_slice().unwrap(), &values, Tolerance::F32);
        }
    }

    #[test]
    fn the_whole_plane_at_its_size_is_itself() {
        let plane = Array2::from_shape_fn((7, 5), |(r, c)| (r * 5 + c) as f32);
        let found = resample_area(plane.view(), Window::whole(7, 5), 7, 5, 9.0).unwrap();
        assert_eq!(found, plane);
        let turned = resample_area(plane.t(), Window::whole(5, 7), 5, 7, 9.0).unwrap();
        assert_eq!(turned, plane.t());
    }

    #[test]
    fn beyond_the_frame_there_is_fill() {
        let plane = arr2(&[[1.0]]);
        for (top, left) in [
            (5.0, 0.0),
            (-5.0, 0.0),
            (0.0, 7.0),
            (0.0, -7.0),
            (1e300, -1e300),
        ] {
            let window = Window {
                top,
                left,
                height: 2.0,
                width: 3.0,
            };
            let found = resample_area(plane.view(), window, 2, 2, 0.25).unwrap();
            assert_eq!(found, Array2::from_elem((2, 2), 0.25), "{top} {left}");
        }
    }

    #[test]
    fn bad_windows_are_refused() {
        let plane = arr2(&[[1.0]]);
        let whole = Window::whole(1, 1);
        for window in [
            Window {
                height: 0.0,
                ..whole
            },
            Window {
                width: -1.0,
                ..whole
            },
            Window {
                height: f64::NAN,
                ..whole
            },
            Window {
                top: f64::NAN,
                ..whole
            },
            Window {
                left: f64::INFINITY,
                ..whole
            },
        ] {
            let result = resample_area(plane.view(), window, 1, 1, 0.0);
            assert!(matches!(result, Err(ImagingError::Param(_))), "{window:?}");
        }
        for (rows, columns, fill) in [(0, 1, 0.0), (1, 0, 0.0), (1, 1, f32::NAN)] {
            let result = resample_area(plane.view(), whole, rows, columns, fill);
            assert!(matches!(result, Err(ImagingError::Param(_))));
        }
        let empty = Array2::zeros((0, 1));
        let result = resample_area(empty.view(), whole, 1, 1, 0.0);
        assert!(matches!(result, Err(ImagingError::Empty { .. })));
    }

    proptest! {
        #[test]
        fn reducing_keeps_the_mean_and_the_range(
            (rows, columns) in (1_usize..30, 1_usize..30),
            (out_rows, out_columns) in (1_usize..12, 1_usize..12),
            values in prop::collection::vec(0.0_f32..1.0, 900),
        ) {
            let plane = Array2::from_shape_fn((rows, columns), |(r, c)| values[r * 30 + c]);
            let window = Window::whole(rows, columns);
            let found =
                resample_area(plane.view(), window, out_rows, out_columns, 0.0).unwrap();
            let (before, after) = (plane.mean().unwrap(), found.mean().unwrap());
            prop_assert!((before - after).abs() < 1e-5, "{before} {after}");
            prop_assert!(found.iter().all(|&v| (-1e-6..1.0 + 1e-5).contains(&v)));
        }
    }
}
