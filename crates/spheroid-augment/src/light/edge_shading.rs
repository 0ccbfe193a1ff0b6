use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, fraction, within};
use spheroid_imaging::SampleType;

use super::shade;
use crate::{AugmentError, Image, Pixel, Range, ToneContract, Transform};

/// Darkens the image towards the wall of the well, whose middle may lie beside that of the image.
///
/// Nothing changes within half of the radius; from there the light falls smoothly to its least at the
/// radius, and stays there beyond.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EdgeShading {
    /// Share of the light that is lost at the wall, 0 to 1.
    pub strength: Range,
    /// Distance of the wall from the middle, in half images, 0.1 to 4.
    pub radius: Range,
    /// Largest distance between the middles of well and image along either axis, in half images, 0 to 1.
    pub shift: f64,
}

impl Default for EdgeShading {
    fn default() -> Self {
        Self {
            strength: Range::new(0.0, 0.3),
            radius: Range::new(1.0, 1.5),
            shift: 0.2,
        }
    }
}

/// The wall.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeShadingDraw {
    /// Share of the light that is lost at the wall.
    pub strength: f64,
    /// Distance of the wall from the middle of the well, in half images.
    pub radius: f64,
    /// Middle of the well, downwards from that of the image, in half images.
    pub down: f64,
    /// Middle of the well, to the right of that of the image, in half images.
    pub right: f64,
}

impl Transform for EdgeShading {
    type Draw = EdgeShadingDraw;

    fn name(&self) -> &'static str {
        "edge_shading"
    }

    fn check(&self) -> Result<(), ParamError> {
        self.strength
            .check("strength", 0.0, 1.0, "ascending, from 0 to 1")?;
        self.radius
            .check("radius", 0.1, 4.0, "ascending, from 0.1 to 4")?;
        fraction("shift", self.shift).map(drop)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> EdgeShadingDraw {
        let shift = Range::new(-self.shift, self.shift);
        EdgeShadingDraw {
            strength: self.strength.draw(rng),
            radius: self.radius.draw(rng),
            down: shift.draw(rng),
            right: shift.draw(rng),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &EdgeShadingDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        let strength = fraction("strength", draw.strength)?;
        let radius = within("radius", draw.radius, 0.1, 4.0, "from 0.1 to 4")?;
        for (param, shift) in [("down", draw.down), ("right", draw.right)] {
            within(param, shift, -1.0, 1.0, "between −1 and 1")?;
        }
        Ok(image.change_unit(|samples| {
            shade(samples, |row, column| {
                let distance = (row - draw.down).hypot(column - draw.right) / radius;
                let share = (2.0 * distance - 1.0).clamp(0.0, 1.0);
                1.0 - strength * share * share * (3.0 - 2.0 * share)
            });
        }))
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        // Nothing becomes brighter, but dark integers may be rounded to 0.
        ToneContract::mixed(true)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;

    #[test]
    fn the_middle_stays_and_the_wall_is_dark() {
        let stack = Array3::from_elem((1, 21, 21), 0.8_f32);
        let shading = EdgeShading::default().build().unwrap();
        let draw = EdgeShadingDraw {
            strength: 0.5,
            radius: 1.0,
            down: 0.0,
            right: 0.0,
        };
        let view = shading.apply(Image::new(&stack).unwrap(), &draw).unwrap();
        let line: Vec<f32> = view.samples().slice(ndarray::s![0, 10, 10..]).to_vec();
        assert_eq!((line[0], line[5]), (0.8, 0.8));
        assert!((line[10] - 0.4).abs() < 1e-6);
        assert!(line.windows(2).all(|pair| pair[1] <= pair[0]));
    }
}
