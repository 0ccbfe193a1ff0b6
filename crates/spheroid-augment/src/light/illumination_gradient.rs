use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, fraction};
use spheroid_imaging::SampleType;

use super::shade;
use crate::{AugmentError, Image, Pixel, Range, ToneContract, Transform};

/// Brightens one side and darkens the other, evenly from corner to corner, in a random direction: a lamp
/// out of adjustment. Floating point is not clamped.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IlluminationGradient {
    /// Change at the outermost corner as a share, 0 to 1: 0.1 is + 10 % there and − 10 % opposite.
    pub strength: Range,
}

/// The gradient.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IlluminationGradientDraw {
    /// Change at the outermost corner as a share.
    pub strength: f64,
    /// Where it brightens: 0 to the right, 90 upwards.
    pub direction_degrees: f64,
}

impl Transform for IlluminationGradient {
    type Draw = IlluminationGradientDraw;

    fn name(&self) -> &'static str {
        "illumination_gradient"
    }

    fn check(&self) -> Result<(), ParamError> {
        self.strength
            .check("strength", 0.0, 1.0, "ascending, from 0 to 1")
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> IlluminationGradientDraw {
        IlluminationGradientDraw {
            strength: self.strength.draw(rng),
            direction_degrees: Range::new(-180.0, 180.0).draw(rng),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &IlluminationGradientDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        let strength = fraction("strength", draw.strength)?;
        let (up, right) = draw.direction_degrees.to_radians().sin_cos();
        if !up.is_finite() {
            let got = draw.direction_degrees;
            return Err(ParamError::new("direction_degrees", got, "finite").into());
        }
        let corner = up.abs() + right.abs();
        Ok(image.change_unit(|samples| {
            shade(samples, |row, column| {
                1.0 + strength * (column * right - row * up) / corner
            });
        }))
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::mixed(true)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn light_falls_from_one_corner_to_the_other() {
        let stack = Array3::from_elem((2, 5, 9), 1000_u16);
        let gradient = IlluminationGradient {
            strength: Range::only(0.2),
        }
        .build()
        .unwrap();
        let draw = IlluminationGradientDraw {
            strength: 0.2,
            direction_degrees: 45.0,
        };
        let view = gradient.apply(Image::new(&stack).unwrap(), &draw).unwrap();
        let at = |row: usize, column: usize| view.samples()[[1, row, column]];
        assert_eq!((at(0, 8), at(4, 0), at(2, 4)), (1200, 800, 1000));
        assert_eq!((at(0, 0), at(4, 8), at(2, 8)), (1000, 1000, 1100));
    }
}
