use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;
use spheroid_imaging::SampleType;

use super::{
    brightness::{check_factor, check_strength, draw_factor},
    rgb::mean_luminance,
};
use crate::{
    AugmentError, Image, Pixel, ToneContract, Tones, Transform,
    tones::{self, Real, ToneMap},
};

/// Moves every pixel away from the mean or towards it, by one factor, and clamps to the range from 0 to
/// full scale.
///
/// The mean is taken over all planes of a focal stack, so that equal tones stay equal from plane to plane,
/// and over the luminance of an RGB image.
///
/// # Source
/// torchvision's `adjust_contrast` on floating point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contrast {
    /// Largest change: factors lie between 1 − strength, but not below 0, and 1 + strength.
    pub strength: f64,
}

/// The factor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContrastDraw {
    /// At least 0; 1 changes nothing, 0 leaves the mean alone.
    pub factor: f64,
}

impl ToneMap for ContrastDraw {
    fn map<V: Real>(&self, tones: Tones<'_, V>) -> Result<(), AugmentError> {
        About {
            factor: self.factor,
            pivot: tones.mean(),
        }
        .map(tones)
    }
}

/// A change of contrast about a pivot on the unit scale.
struct About {
    factor: f64,
    pivot: f64,
}

impl ToneMap for About {
    fn map<V: Real>(&self, mut tones: Tones<'_, V>) -> Result<(), AugmentError> {
        let factor = check_factor(self.factor)?;
        tones.affine_clamped(factor, (1.0 - factor) * self.pivot);
        Ok(())
    }
}

/// About the mean of all planes, or of the luminance of an RGB image.
pub(crate) fn change_contrast<'a, T: Pixel>(
    image: Image<'a, T>,
    draw: ContrastDraw,
) -> Result<Image<'a, T>, AugmentError> {
    if !image.is_rgb() {
        return tones::apply(image, &draw);
    }
    let pivot = mean_luminance(image.samples());
    let factor = draw.factor;
    tones::apply(image, &About { factor, pivot })
}

impl Transform for Contrast {
    type Draw = ContrastDraw;

    fn name(&self) -> &'static str {
        "contrast"
    }

    fn check(&self) -> Result<(), ParamError> {
        check_strength("strength", self.strength)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> ContrastDraw {
        ContrastDraw {
            factor: draw_factor(self.strength, rng),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &ContrastDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        change_contrast(image, *draw)
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::merged(true)
    }

    fn map_tones<V: Real>(
        &self,
        tones: Tones<'_, V>,
        draw: &ContrastDraw,
    ) -> Result<bool, AugmentError> {
        draw.map(tones).map(|()| true)
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
        let cases = cases::<Params>("torchvision.json", "contrast");
        assert!(cases.len() >= 6);
        for case in cases {
            let draw = ContrastDraw {
                factor: case.params.factor,
            };
            case.check(&Contrast { strength: 1.0 }, &draw);
        }
    }
}
