use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, within};
use spheroid_imaging::SampleType;

use super::add_gaussian;
use crate::{AugmentError, Image, Pixel, Range, ToneContract, Transform};

/// Adds Gaussian noise of random strength. Floating point is not clamped.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianNoise {
    /// Standard deviation as a share of full scale, 0 to 1.
    pub deviation: Range,
}

/// The noise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianNoiseDraw {
    /// Standard deviation as a share of full scale.
    pub deviation: f64,
    /// Fixes every pixel.
    pub seed: u64,
}

impl Transform for GaussianNoise {
    type Draw = GaussianNoiseDraw;

    fn name(&self) -> &'static str {
        "gaussian_noise"
    }

    fn check(&self) -> Result<(), ParamError> {
        self.deviation
            .check("deviation", 0.0, 1.0, "ascending, from 0 to 1")
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> GaussianNoiseDraw {
        GaussianNoiseDraw {
            deviation: self.deviation.draw(rng),
            seed: rng.random(),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &GaussianNoiseDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        let deviation = within("deviation", draw.deviation, 0.0, 1.0, "from 0 to 1")?;
        Ok(image.change_unit(|samples| add_gaussian(samples, deviation as f32, draw.seed)))
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
    fn the_noise_has_the_stated_deviation() {
        let noise = GaussianNoise {
            deviation: Range::only(0.05),
        };
        let stack = Array3::from_elem((2, 100, 100), 32_768_u16);
        let draw = GaussianNoiseDraw {
            deviation: 0.05,
            seed: 3,
        };
        let view = noise
            .build()
            .unwrap()
            .apply(Image::new(&stack).unwrap(), &draw)
            .unwrap();
        let view = view.samples().mapv(Pixel::to_unit);
        let (mean, deviation) = (view.mean().unwrap(), view.std(0.0));
        assert!((mean - 0.5).abs() < 0.002 && (deviation - 0.05).abs() < 0.001);
    }
}
