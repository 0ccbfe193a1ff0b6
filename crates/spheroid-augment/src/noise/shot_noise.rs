use ndarray::Array3;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson};
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, within};
use spheroid_imaging::SampleType;

use crate::{AugmentError, Image, Pixel, Range, ToneContract, Transform};

/// Counts photons anew: every pixel becomes a Poisson number of electrons about its own.
///
/// Pixels below 0 have no photons and stay. Floating point is not clamped.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShotNoise {
    /// Electrons of a pixel at full scale, 10 to 10,000,000; equal ratios are equally likely.
    pub full_well: Range,
}

/// The noise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShotNoiseDraw {
    /// Electrons of a pixel at full scale.
    pub full_well: f64,
    /// Fixes every pixel.
    pub seed: u64,
}

const LIMITS: [f64; 2] = [10.0, 1e7];

impl Transform for ShotNoise {
    type Draw = ShotNoiseDraw;

    fn name(&self) -> &'static str {
        "shot_noise"
    }

    fn check(&self) -> Result<(), ParamError> {
        let rule = "ascending, from 10 to 10000000";
        self.full_well
            .check("full_well", LIMITS[0], LIMITS[1], rule)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> ShotNoiseDraw {
        ShotNoiseDraw {
            full_well: self.full_well.draw_ratio(rng),
            seed: rng.random(),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &ShotNoiseDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        let rule = "from 10 to 10000000";
        let full_well = within("full_well", draw.full_well, LIMITS[0], LIMITS[1], rule)?;
        Ok(image.change_unit(|samples| count_photons(samples, full_well, draw.seed)))
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::mixed(true)
    }
}

fn count_photons(samples: &mut Array3<f32>, full_well: f64, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for value in samples {
        // The distribution refuses what has no photons, and what is no number.
        if let Ok(electrons) = Poisson::new(f64::from(*value) * full_well) {
            *value = (electrons.sample(&mut rng) / full_well) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variance_is_that_of_photons() {
        for (light, full_well) in [(0.5_f32, 10_000.0), (0.02, 100.0)] {
            let mut samples = Array3::from_elem((1, 200, 200), light);
            count_photons(&mut samples, full_well, 7);
            let electrons = samples.mapv(|value| f64::from(value) * full_well);
            let expected = f64::from(light) * full_well;
            let (mean, variance) = (electrons.mean().unwrap(), electrons.var(1.0));
            assert!((mean / expected - 1.0).abs() < 0.02, "{mean}");
            assert!((variance / expected - 1.0).abs() < 0.04, "{variance}");
        }
    }

    #[test]
    fn no_light_has_no_noise() {
        let mut samples = Array3::from_elem((1, 2, 2), 0.0_f32);
        samples[[0, 0, 0]] = -0.5;
        let before = samples.clone();
        count_photons(&mut samples, 1000.0, 7);
        assert_eq!(samples, before);
    }
}
