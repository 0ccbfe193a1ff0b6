use ndarray::Array3;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use spheroid_core::{Augment, DrawKey, non_negative};

use crate::{AugmentError, error::not_empty};

/// Settings of [`ReadNoise`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadNoiseConfig {
    /// Standard deviation relative to the background, at least 0.
    pub deviation: f64,
}

impl ReadNoiseConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// When the deviation is negative or not finite.
    pub fn build(&self) -> Result<ReadNoise, AugmentError> {
        Ok(ReadNoise {
            deviation: non_negative("deviation", self.deviation)?,
        })
    }
}

/// Adds Gaussian noise, independent in every pixel of every plane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReadNoise {
    deviation: f64,
}

/// Seed of the noise field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadNoiseDraw {
    /// Fixes every pixel.
    pub seed: u64,
}

impl Augment<Array3<f32>> for ReadNoise {
    type Draw = ReadNoiseDraw;
    type View = Array3<f32>;
    type Error = AugmentError;

    fn draw(&self, key: DrawKey) -> ReadNoiseDraw {
        ReadNoiseDraw {
            seed: key.rng().random(),
        }
    }

    fn apply(
        &self,
        stack: &Array3<f32>,
        draw: &ReadNoiseDraw,
    ) -> Result<Array3<f32>, AugmentError> {
        not_empty(stack)?;
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(draw.seed);
        let deviation = self.deviation as f32;
        Ok(stack.mapv(|value| {
            let noise: f32 = StandardNormal.sample(&mut rng);
            value + deviation * noise
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_noise_has_the_stated_deviation() {
        let noise = ReadNoiseConfig { deviation: 0.05 }.build().unwrap();
        let view = noise
            .apply(&Array3::ones((2, 100, 100)), &ReadNoiseDraw { seed: 3 })
            .unwrap();
        let mean = view.mean().unwrap();
        let deviation = view.mapv(|v| (v - mean).powi(2)).mean().unwrap().sqrt();
        assert!((mean - 1.0).abs() < 0.002 && (deviation - 0.05).abs() < 0.001);
    }

    #[test]
    fn deviations_that_make_no_sense_are_refused() {
        for deviation in [-0.1, f64::INFINITY, f64::NAN] {
            assert!(ReadNoiseConfig { deviation }.build().is_err());
        }
    }
}
