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
        Ok(image.change_unit(|samples, _| *samples = medians(samples, draw.radius)))
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::selected(0)
    }
}

/// What is no number is above all others.
fn medians(samples: &Array3<f32>, radius: usize) -> Array3<f32> {
    let (_, rows, columns) = samples.dim();
    let across = |at: usize, length: usize| {
        (0..=2 * radius)
            .map(move |offset| mirror(at as isize + offset as isize - radius as isize, length))
    };
    let mut window = Vec::with_capacity((2 * radius + 1).pow(2));
    Array3::from_shape_fn(samples.dim(), |(plane, row, column)| {
        window.clear();
        for row in across(row, rows) {
            window.extend(across(column, columns).map(|column| samples[[plane, row, column]]));
        }
        let middle = window.len() / 2;
        *window.select_nth_unstable_by(middle, f32::total_cmp).1
    })
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
}
