use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, within};
use spheroid_imaging::SampleType;

use crate::{
    AugmentError, Range, ToneContract, Tones, Transform,
    tones::{Real, ToneMap, the_draw_maps_tones},
};

/// Multiplies every pixel by one factor and clamps to the range from 0 to full scale.
///
/// # Source
/// torchvision's `adjust_brightness` on floating point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Brightness {
    /// Largest change: factors lie between 1 − strength, but not below 0, and 1 + strength.
    pub strength: f64,
}

/// The factor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrightnessDraw {
    /// At least 0; 1 changes nothing.
    pub factor: f64,
}

/// Larger changes leave black and white alone, and far larger ones are not finite in `f32`.
const MOST_STRENGTH: f64 = 1000.0;

/// Accepts strengths of brightness, contrast and saturation.
pub(crate) fn check_strength(param: &'static str, strength: f64) -> Result<(), ParamError> {
    within(param, strength, 0.0, MOST_STRENGTH, "from 0 to 1000").map(drop)
}

/// Accepts factors of brightness, contrast and saturation.
pub(crate) fn check_factor(factor: f64) -> Result<f64, ParamError> {
    within("factor", factor, 0.0, 1.0 + MOST_STRENGTH, "from 0 to 1001")
}

/// Factors around 1 as torchvision draws them.
pub(crate) fn draw_factor(strength: f64, rng: &mut ChaCha8Rng) -> f64 {
    Range::new((1.0 - strength).max(0.0), 1.0 + strength).draw(rng)
}

impl ToneMap for BrightnessDraw {
    fn map<V: Real>(&self, mut tones: Tones<'_, V>) -> Result<(), AugmentError> {
        tones.affine_clamped(check_factor(self.factor)?, 0.0);
        Ok(())
    }
}

impl Transform for Brightness {
    type Draw = BrightnessDraw;

    fn name(&self) -> &'static str {
        "brightness"
    }

    fn check(&self) -> Result<(), ParamError> {
        check_strength("strength", self.strength)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> BrightnessDraw {
        BrightnessDraw {
            factor: draw_factor(self.strength, rng),
        }
    }

    the_draw_maps_tones!();

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::merged(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::cases;

    #[derive(Deserialize)]
    struct Params {
        factor: f64,
    }

    #[test]
    fn agrees_with_torchvision() {
        let cases = cases::<Params>("torchvision.json", "brightness");
        assert!(cases.len() >= 6);
        for case in cases {
            let draw = BrightnessDraw {
                factor: case.params.factor,
            };
            case.check(&Brightness { strength: 1.0 }, &draw);
        }
    }
}
