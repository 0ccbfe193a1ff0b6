use std::f64::consts::FRAC_1_SQRT_2;

use ndarray::{Array2, ArrayView2, Zip, s};
use serde::{Deserialize, Serialize};

use super::mask_index;
use crate::{ImagingError, Window, resample_area};

/// The longer side of the reduced plane whose grain is measured, in pixels: fine enough to tell
/// cells apart, coarse enough to average the camera's noise away.
const TEXTURE_SIDE: usize = 512;
/// Distances of the two pixels of a pair, in pixels of the reduced plane.
const DISTANCES: [usize; 4] = [1, 2, 4, 8];

/// Grain: how unlike two points of the spheroid are that lie a given distance apart.
///
/// Haralick's measures of the symmetric co-occurrence matrix, in the limit of as many grey levels
/// as there are tones: they are summed over the pairs themselves, so that nothing is quantised.
///
/// # Source
/// Haralick, Shanmugam, Dinstein, *Textural features for image classification*, IEEE Trans. SMC 3
/// (1973), doi:10.1109/TSMC.1973.4309314, features 2 and 3.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Texture {
    /// Mean squared difference of intensity; 0 for an even spheroid.
    pub contrast: f64,
    /// Mean absolute difference of intensity; 0 for an even spheroid.
    pub dissimilarity: f64,
    /// Correlation of the two intensities, −1 to 1; `None` for an even spheroid.
    pub correlation: Option<f64>,
}

/// Pairs of pixels at a distance.
pub(super) struct Pairs {
    /// In pixels of the plane.
    pub(super) distance: f64,
    pub(super) texture: Option<Texture>,
}

/// Measures `flat` under `mask`, whose pixels have the side `scale`.
pub(super) fn measure(
    mask: &Array2<bool>,
    scale: f64,
    flat: ArrayView2<'_, f32>,
) -> Result<[Pairs; DISTANCES.len()], ImagingError> {
    let (rows, columns) = flat.dim();
    let side = (rows.max(columns) as f64 / TEXTURE_SIDE as f64).max(1.0);
    let sample = Sample::take(mask, scale, flat, side)?;
    Ok(DISTANCES.map(|distance| Pairs {
        distance: distance as f64 * side,
        texture: sample.as_ref().and_then(|sample| sample.texture(distance)),
    }))
}

/// The part of the reduced plane that holds the mask.
struct Sample {
    /// Less the first value inside the mask, so that an even spheroid is 0 all over.
    values: Array2<f64>,
    inside: Array2<bool>,
    /// What rounding in the reduction may make of an even spheroid.
    rounding: f64,
}

impl Sample {
    /// Reduces `flat` to pixels of the given side, at least 1, around the mask; `None` when no
    /// centre of a pixel of the reduced plane lies in the mask.
    fn take(
        mask: &Array2<bool>,
        scale: f64,
        flat: ArrayView2<'_, f32>,
        side: f64,
    ) -> Result<Option<Self>, ImagingError> {
        let (rows, columns) = flat.dim();
        let in_mask = |length: usize, mask_length: usize| -> Vec<usize> {
            (0..(length as f64 / side) as usize)
                .map(|index| mask_index((index as f64 + 0.5) * side, scale, mask_length))
                .collect()
        };
        let (mask_rows, mask_columns) =
            (in_mask(rows, mask.nrows()), in_mask(columns, mask.ncols()));
        let taken_rows = extent(&mask_rows, |row| mask.row(row).iter().any(|&inside| inside));
        let taken_columns = extent(&mask_columns, |column| {
            mask.column(column).iter().any(|&inside| inside)
        });
        let (Some((top, height)), Some((left, width))) = (taken_rows, taken_columns) else {
            return Ok(None);
        };
        // Only what is needed of the plane, so that the rest is not read.
        let whole = |start: usize, length: usize, limit: usize| {
            let end = ((start + length) as f64 * side).ceil() as usize;
            (start as f64 * side) as usize..end.min(limit)
        };
        let (plane_rows, plane_columns) = (whole(top, height, rows), whole(left, width, columns));
        let window = Window {
            top: top as f64 * side - plane_rows.start as f64,
            left: left as f64 * side - plane_columns.start as f64,
            height: height as f64 * side,
            width: width as f64 * side,
        };
        let near = flat.slice(s![plane_rows, plane_columns]);
        let values = resample_area(near, window, height, width, 1.0)?;
        // Values at the end of the range overflow in the mean.
        if let Some(((row, column), &value)) = values.indexed_iter().find(|(_, v)| !v.is_finite()) {
            let centre = |index: usize| ((index as f64 + 0.5) * side) as usize;
            let (row, column) = (centre(top + row), centre(left + column));
            return Err(ImagingError::NotFinite { row, column, value });
        }
        let inside = Array2::from_shape_fn((height, width), |(row, column)| {
            mask[(mask_rows[top + row], mask_columns[left + column])]
        });
        let first = values
            .iter()
            .zip(&inside)
            .find(|&(_, &inside)| inside)
            .map(|(&value, _)| f64::from(value));
        let rounding = if side > 1.0 {
            4.0 * f64::from(f32::EPSILON)
        } else {
            0.0
        };
        Ok(first.map(|first| Self {
            values: values.mapv(|value| f64::from(value) - first),
            inside,
            rounding: rounding * first.abs(),
        }))
    }

    /// Haralick's measures over the pairs at 0°, 45°, 90° and 135° together; `None` when there are
    /// none. Oblique steps are rounded to whole pixels.
    fn texture(&self, distance: usize) -> Option<Texture> {
        let oblique = (distance as f64 * FRAC_1_SQRT_2).round() as isize;
        let distance = distance as isize;
        let steps = [
            (0, distance),
            (oblique, oblique),
            (distance, 0),
            (oblique, -oblique),
        ];
        let sums = steps
            .map(|step| self.sums(step))
            .into_iter()
            .fold(Sums::default(), Sums::join);
        if sums.pairs == 0 {
            return None;
        }
        let pairs = sums.pairs as f64;
        let contrast = sums.squared_difference / pairs;
        let variance = sums.square / (2.0 * pairs) - (sums.value / (2.0 * pairs)).powi(2);
        Some(Texture {
            contrast,
            dissimilarity: sums.difference / pairs,
            // The covariance of the pairs is their variance less half of their contrast.
            correlation: (variance > self.rounding * self.rounding)
                .then(|| (1.0 - 0.5 * contrast / variance).clamp(-1.0, 1.0)),
        })
    }

    /// Sums over the pairs of pixels `step` rows and columns apart, both inside.
    fn sums(&self, (down, right): (isize, isize)) -> Sums {
        let (rows, columns) = self.values.dim();
        let (down, aside) = (down.unsigned_abs(), right.unsigned_abs());
        if down >= rows || aside >= columns {
            return Sums::default();
        }
        let (near, far) = if right < 0 {
            (s![..rows - down, aside..], s![down.., ..columns - aside])
        } else {
            (s![..rows - down, ..columns - aside], s![down.., aside..])
        };
        let mut sums = Sums::default();
        Zip::from(self.values.slice(near))
            .and(self.values.slice(far))
            .and(self.inside.slice(near))
            .and(self.inside.slice(far))
            .for_each(|&a, &b, &a_inside, &b_inside| {
                if a_inside && b_inside {
                    sums.add(a, b);
                }
            });
        sums
    }
}

/// First index whose mask index is wanted, and number of indices from there to the last such.
fn extent(mask_indices: &[usize], wanted: impl Fn(usize) -> bool) -> Option<(usize, usize)> {
    let first = mask_indices.iter().position(|&index| wanted(index))?;
    let last = mask_indices.iter().rposition(|&index| wanted(index))?;
    Some((first, last - first + 1))
}

/// Sums over pairs.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    pairs: u64,
    difference: f64,
    squared_difference: f64,
    /// Of either value.
    value: f64,
    square: f64,
}

impl Sums {
    fn add(&mut self, a: f64, b: f64) {
        let difference = a - b;
        self.pairs += 1;
        self.difference += difference.abs();
        self.squared_difference += difference * difference;
        self.value += a + b;
        self.square += a * a + b * b;
    }

    fn join(self, other: Self) -> Self {
        Self {
            pairs: self.pairs + other.pairs,
            difference: self.difference + other.difference,
            squared_difference: self.squared_difference + other.squared_difference,
            value: self.value + other.value,
            square: self.square + other.square,
        }
    }
}
