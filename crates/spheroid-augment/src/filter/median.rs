use ndarray::Array3;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;
use spheroid_imaging::SampleType;

use crate::{AugmentError, Image, Pixel, ToneContract, Transform, geometry::mirror};

/// Replaces every pixel by the median of a square around it, at the full depth of the samples.
///
/// # Source
/// SciPy's `median_filter` with mode `mirror`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Median {
    /// Least and largest number of pixels from the middle of the square to its edge, 0 to 15.
    pub radius: [usize; 2],
}

/// The square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MedianDraw {
    /// Pixels from the middle of the square to its edge, 0 to 15.
    pub radius: usize,
}

const MOST_RADIUS: usize = 15;

impl Transform for Median {
    type Draw = MedianDraw;

    fn name(&self) -> &'static str {
        "median"
    }

    fn check(&self) -> Result<(), ParamError> {
        let [from, to] = self.radius;
        if from <= to && to <= MOST_RADIUS {
            Ok(())
        } else {
            let rule = "ascending, from 0 to 15";
            Err(ParamError::new("radius", format!("{from} to {to}"), rule))
        }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> MedianDraw {
        MedianDraw {
            radius: rng.random_range(self.radius[0]..=self.radius[1]),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &MedianDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        if draw.radius > MOST_RADIUS {
            return Err(ParamError::new("radius", draw.radius, "from 0 to 15").into());
        }
        if draw.radius == 0 {
            return Ok(image);
        }
        // Every stored value survives the unit scale.
        Ok(image.change_unit(|samples| *samples = medians(samples, draw.radius)))
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::selected(0)
    }
}

fn medians(samples: &Array3<f32>, radius: usize) -> Array3<f32> {
    if radius == 1 && !samples.iter().any(|value| value.is_nan()) {
        medians_of_nine(samples)
    } else {
        medians_of_any(samples, radius)
    }
}

/// What is no number is above all others.
fn medians_of_any(samples: &Array3<f32>, radius: usize) -> Array3<f32> {
    let (_, rows, columns) = samples.dim();
    let across = |at: usize, length: usize| {
        (0..=2 * radius)
            .map(move |offset| mirror(at as isize + offset as isize - radius as isize, length))
    };
    let mut window = Vec::with_capacity((2 * radius + 1).pow(2));
    Array3::from_shape_fn(samples.dim(), |(plane, row, column)| {
        window.clear();
        for row in across(row, rows) {
            // Without the sign that would bring it below all others.
            let unsigned = |value: f32| if value.is_nan() { f32::NAN } else { value };
            window.extend(
                across(column, columns).map(|column| unsigned(samples[[plane, row, column]])),
            );
        }
        let middle = window.len() / 2;
        *window.select_nth_unstable_by(middle, f32::total_cmp).1
    })
}

/// Squares of 3 × 3, without NaN.
///
/// Three numbers of a column are put in order once and serve three squares; the median of nine is then the
/// median of the largest of the least, the median of the middle and the least of the largest ones.
/// Everything is a minimum or a maximum of whole rows.
fn medians_of_nine(samples: &Array3<f32>) -> Array3<f32> {
    let (_, rows, columns) = samples.dim();
    let mut out = samples.clone();
    // Ordered columns, with one more to either side.
    let [mut least, mut middle, mut largest] = [(); 3].map(|()| vec![0.0_f32; columns + 2]);
    for (plane, mut out) in samples.outer_iter().zip(out.outer_iter_mut()) {
        let plane = plane.to_slice().expect("samples are in row-major order");
        let out = out.as_slice_mut().expect("samples are in row-major order");
        for (row, out) in out.chunks_exact_mut(columns).enumerate() {
            let line = |offset: isize| {
                let from = mirror(row as isize + offset, rows) * columns;
                &plane[from..from + columns]
            };
            let (above, here, below) = (line(-1), line(0), line(1));
            for column in 0..columns {
                let [low, mid, high] = ordered([above[column], here[column], below[column]]);
                least[column + 1] = low;
                middle[column + 1] = mid;
                largest[column + 1] = high;
            }
            for ordered in [&mut least, &mut middle, &mut largest] {
                ordered[0] = ordered[1 + mirror(-1, columns)];
                ordered[columns + 1] = ordered[1 + mirror(columns as isize, columns)];
            }
            for column in 0..columns {
                let three = |of: &[f32]| [of[column], of[column + 1], of[column + 2]];
                let [a, b, c] = three(&least);
                let [d, e, f] = three(&largest);
                let candidates = [a.max(b).max(c), ordered(three(&middle))[1], d.min(e).min(f)];
                out[column] = ordered(candidates)[1];
            }
        }
    }
    out
}

fn ordered([a, b, c]: [f32; 3]) -> [f32; 3] {
    let (low, high) = (a.min(b), a.max(b));
    [low.min(c), low.max(high.min(c)), high.max(c)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::cases;

    #[test]
    fn agrees_with_scipy() {
        let cases = cases::<MedianDraw>("reference.json", "median");
        assert!(cases.len() >= 3);
        for case in cases {
            case.check(&Median { radius: [1, 3] }, &case.params);
        }
    }

    #[test]
    fn squares_of_nine_are_taken_as_any_others() {
        for shape in [(2, 9, 13), (1, 1, 7), (1, 6, 1), (1, 2, 2), (1, 1, 1)] {
            let samples = Array3::from_shape_fn(shape, |(p, r, c)| {
                ((p * 31 + r * 7919 + c * 104_729) % 23) as f32
            });
            assert_eq!(medians_of_nine(&samples), medians_of_any(&samples, 1));
        }
        let odd = ndarray::arr3(&[[[1.0, f32::NAN, 2.0]]]);
        assert_eq!(medians(&odd, 1)[[0, 0, 1]], 2.0);
        assert_eq!(medians(&odd.mapv(|value| -value), 1)[[0, 0, 1]], -1.0);
    }
}
