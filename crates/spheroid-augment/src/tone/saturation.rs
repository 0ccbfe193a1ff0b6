use ndarray::Array3;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;
use spheroid_imaging::SampleType;

use super::{
    brightness::{check_factor, check_strength, draw_factor},
    rgb::{check_rgb, luminance, map_colors},
};
use crate::{AugmentError, Image, Pixel, ToneContract, Transform};

/// Moves every colour away from its luminance or towards it, by one factor, and clamps to the range from
/// 0 to full scale. For RGB images alone: on focal planes it would invent tones that no plane has.
///
/// # Source
/// torchvision's `adjust_saturation` on floating point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saturation {
    /// Largest change: factors lie between 1 − strength, but not below 0, and 1 + strength.
    pub strength: f64,
}

/// The factor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaturationDraw {
    /// At least 0; 1 changes nothing, 0 leaves greys alone.
    pub factor: f64,
}

pub(crate) fn saturate(samples: &mut Array3<f32>, factor: f64) {
    let factor = factor as f32;
    map_colors(samples, |color| {
        let grey = (1.0 - factor) * luminance(color);
        color.map(|value| (factor * value + grey).clamp(0.0, 1.0))
    });
}

impl Transform for Saturation {
    type Draw = SaturationDraw;

    fn name(&self) -> &'static str {
        "saturation"
    }

    fn check(&self) -> Result<(), ParamError> {
        check_strength("strength", self.strength)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> SaturationDraw {
        SaturationDraw {
            factor: draw_factor(self.strength, rng),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &SaturationDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        check_rgb(&image, self.name())?;
        let factor = check_factor(draw.factor)?;
        Ok(image.change_unit(|samples| saturate(samples, factor)))
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::mixed(true)
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
        let cases = cases::<Params>("torchvision.json", "saturation");
        assert!(cases.len() >= 3);
        for case in cases {
            let draw = SaturationDraw {
                factor: case.params.factor,
            };
            case.check(&Saturation { strength: 1.0 }, &draw);
        }
    }
}
