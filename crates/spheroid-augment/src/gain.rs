use ndarray::Array3;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use spheroid_core::{Augment, DrawKey, fraction};

use crate::{AugmentError, error::not_empty};

/// Settings of [`Gain`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GainConfig {
    /// Largest change of brightness as a share, 0 to 1; 0.03 is ± 3 %.
    pub spread: f64,
}

impl GainConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// When the spread is not between 0 and 1.
    pub fn build(&self) -> Result<Gain, AugmentError> {
        Ok(Gain {
            spread: fraction("spread", self.spread)?,
        })
    }
}

/// Multiplies all planes of a stack by one factor: what is left of the lamp after flattening.
///
/// One to one on tones: no value is clamped and no two values become one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gain {
    spread: f64,
}

/// The factor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GainDraw {
    /// Above 0.
    pub factor: f64,
}

impl Augment<Array3<f32>> for Gain {
    type Draw = GainDraw;
    type View = Array3<f32>;
    type Error = AugmentError;

    fn draw(&self, key: DrawKey) -> GainDraw {
        GainDraw {
            factor: 1.0 + key.rng().random_range(-self.spread..=self.spread),
        }
    }

    fn apply(&self, stack: &Array3<f32>, draw: &GainDraw) -> Result<Array3<f32>, AugmentError> {
        not_empty(stack)?;
        Ok(stack * draw.factor as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_fill_the_range_and_stay_in_it() {
        let gain = GainConfig { spread: 0.03 }.build().unwrap();
        let factors: Vec<f64> = (0..500)
            .map(|item| {
                gain.draw(DrawKey {
                    seed: 0,
                    epoch: 0,
                    item,
                    view: 0,
                })
                .factor
            })
            .collect();
        let least = factors.iter().copied().fold(f64::INFINITY, f64::min);
        let most = factors.iter().copied().fold(0.0, f64::max);
        assert!((0.97..0.972).contains(&least) && (1.028..=1.03).contains(&most));
    }

    #[test]
    fn planes_share_the_factor() {
        let gain = GainConfig { spread: 0.5 }.build().unwrap();
        let stack = Array3::from_shape_fn((2, 2, 2), |(p, r, c)| (1 + p + r + c) as f32);
        let view = gain.apply(&stack, &GainDraw { factor: 0.5 }).unwrap();
        assert_eq!(view, stack * 0.5);
    }

    #[test]
    fn spreads_that_make_no_sense_are_refused() {
        for spread in [-0.1, 1.1, f64::NAN] {
            assert!(GainConfig { spread }.build().is_err());
        }
    }
}
