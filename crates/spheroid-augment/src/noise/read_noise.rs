use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, positive, within};
use spheroid_imaging::SampleType;

use super::add_gaussian;
use crate::{AugmentError, Image, Pixel, Range, ToneContract, Transform};

/// Adds the noise of a camera's amplifier: Gaussian, the same in dark and bright pixels, given in
/// electrons. Floating point is not clamped.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadNoise {
    /// Standard deviation in electrons, 0 to 10,000.
    pub electrons: Range,
    /// Electrons of a pixel at full scale, above 0 and not below those of the noise.
    pub full_well: f64,
}

/// The noise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadNoiseDraw {
    /// Standard deviation in electrons.
    pub electrons: f64,
    /// Fixes every pixel.
    pub seed: u64,
}

const MOST_ELECTRONS: f64 = 1e4;

impl Transform for ReadNoise {
    type Draw = ReadNoiseDraw;

    fn name(&self) -> &'static str {
        "read_noise"
    }

    fn check(&self) -> Result<(), ParamError> {
        self.electrons.check(
            "electrons",
            0.0,
            MOST_ELECTRONS,
            "ascending, from 0 to 10000",
        )?;
        if positive("full_well", self.full_well)? < self.electrons.to {
            let rule = "at least the largest number of electrons of the noise";
            return Err(ParamError::new("full_well", self.full_well, rule));
        }
        Ok(())
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> ReadNoiseDraw {
        ReadNoiseDraw {
            electrons: self.electrons.draw(rng),
            seed: rng.random(),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &ReadNoiseDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        let rule = "from 0 to 10000";
        let electrons = within("electrons", draw.electrons, 0.0, MOST_ELECTRONS, rule)?;
        let deviation = (electrons / self.full_well) as f32;
        Ok(image.change_unit(|samples| add_gaussian(samples, deviation, draw.seed)))
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::mixed(true)
    }
}
