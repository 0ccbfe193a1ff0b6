//! Values between pixels, for transforms that bend the grid.

use ndarray::{Array2, Array3, ArrayView2, ArrayViewMut2};
use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;
use spheroid_imaging::SampleType;

use crate::{Image, ToneContract, contract::fills_an_end};

/// What lies beyond the border of an image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Border {
    /// One value, on the unit scale.
    Value(f32),
    /// The image, mirrored at the middle of its outermost pixels: no edge comes in, and no tone.
    Mirror,
}

impl Border {
    pub(crate) fn check(self) -> Result<(), ParamError> {
        match self {
            Self::Value(value) if !value.is_finite() => {
                Err(ParamError::new("border", value, "finite"))
            }
            _ => Ok(()),
        }
    }

    /// Number of values that may come in.
    pub(crate) fn added(self) -> usize {
        match self {
            Self::Value(_) => 1,
            Self::Mirror => 0,
        }
    }
}

/// The pixel that stands in for pixel `at` of a line of `pixels`.
pub(crate) fn mirror(at: isize, pixels: usize) -> usize {
    let last = pixels as isize - 1;
    if last == 0 {
        return 0;
    }
    let within = at.rem_euclid(2 * last);
    if within <= last {
        within as usize
    } else {
        (2 * last - within) as usize
    }
}

/// How a value between pixels is calculated where the grid is bent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// From the four pixels around.
    #[default]
    Bilinear,
    /// The nearest pixel: no tone comes in.
    Nearest,
}

/// Every plane with its pixels taken from the places (row, column) that `source` gives, and the mask by
/// its nearest pixels, false beyond the border unless that is a mirror.
///
/// Not generic over the sample type, so that the loops are compiled with this crate.
pub(crate) fn bend<'a>(
    image: Image<'a, f32>,
    sampling: Sampling,
    border: Border,
    source: impl Fn(usize, usize) -> (f64, f64),
) -> Image<'a, f32> {
    let mask_border = match border {
        Border::Value(_) => Border::Value(0.0),
        Border::Mirror => Border::Mirror,
    };
    image.map(
        |samples| {
            let mut out = Array3::zeros(samples.dim());
            for (plane, out) in samples.outer_iter().zip(out.outer_iter_mut()) {
                warp(plane, out, sampling, border, &source);
            }
            out.into()
        },
        |mask| {
            let inside = mask.map(|&inside| f32::from(u8::from(inside)));
            let mut out = Array2::zeros(inside.dim());
            warp(
                inside.view(),
                out.view_mut(),
                Sampling::Nearest,
                mask_border,
                &source,
            );
            out.mapv(|inside| inside > 0.5).into()
        },
    )
}

/// What bending does to tones.
pub(crate) fn contract(
    sampling: Sampling,
    border: Border,
    sample_type: SampleType,
) -> ToneContract {
    // A border of black or white brings in pixels at an end of the range.
    let clips = matches!(border, Border::Value(value) if fills_an_end(value, sample_type));
    match sampling {
        Sampling::Bilinear => ToneContract::mixed(clips),
        Sampling::Nearest => ToneContract {
            clips,
            ..ToneContract::selected(border.added())
        },
    }
}

/// Fills `out` with the values of `plane` at the places (row, column) that `source` gives for each output
/// pixel.
pub(crate) fn warp(
    plane: ArrayView2<'_, f32>,
    mut out: ArrayViewMut2<'_, f32>,
    sampling: Sampling,
    border: Border,
    source: impl Fn(usize, usize) -> (f64, f64),
) {
    let (rows, columns) = plane.dim();
    let beyond = |row: isize, column: isize| {
        if let Border::Value(value) = border
            && !((0..rows as isize).contains(&row) && (0..columns as isize).contains(&column))
        {
            return value;
        }
        plane[[mirror(row, rows), mirror(column, columns)]]
    };
    // So far out that all is border; keeps the conversion to whole numbers in range.
    const FAR: f64 = 1e9;
    for ((row, column), value) in out.indexed_iter_mut() {
        let (row, column) = source(row, column);
        let (row, column) = (row.clamp(-FAR, FAR), column.clamp(-FAR, FAR));
        *value = match sampling {
            Sampling::Nearest => {
                // Halves to even, as PyTorch rounds.
                beyond(
                    row.round_ties_even() as isize,
                    column.round_ties_even() as isize,
                )
            }
            Sampling::Bilinear => {
                let (top, left) = (floor(row), floor(column));
                let (down, right) = ((row - top as f64) as f32, (column - left as f64) as f32);
                let inside = top >= 0
                    && left >= 0
                    && (top as usize) + 1 < rows
                    && (left as usize) + 1 < columns;
                let [a, b, c, d] = if inside {
                    let (top, left) = (top as usize, left as usize);
                    [
                        [top, left],
                        [top, left + 1],
                        [top + 1, left],
                        [top + 1, left + 1],
                    ]
                    .map(|at| plane[at])
                } else {
                    [
                        beyond(top, left),
                        beyond(top, left + 1),
                        beyond(top + 1, left),
                        beyond(top + 1, left + 1),
                    ]
                };
                let upper = a * (1.0 - right) + b * right;
                let lower = c * (1.0 - right) + d * right;
                upper * (1.0 - down) + lower * down
            }
        };
    }
}

/// The next whole number below, without a call of the mathematical library.
fn floor(x: f64) -> isize {
    let towards_zero = x as isize;
    towards_zero - isize::from(towards_zero as f64 > x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_lies_in_the_middle_of_the_border_pixel() {
        let found: Vec<usize> = (-5..9).map(|at| mirror(at, 4)).collect();
        assert_eq!(found, [1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2]);
        assert_eq!((mirror(-7, 1), mirror(3, 1)), (0, 0));
    }
}
