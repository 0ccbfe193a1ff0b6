use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, fraction};
use spheroid_imaging::SampleType;

use crate::{
    AugmentError, Image, Pixel, Range, ToneContract, Tones, Transform,
    tones::{self, Real, ToneMap},
};

/// Inverts the pixels from a threshold upwards.
///
/// # Source
/// torchvision's `solarize` on floating point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Solarize {
    /// Threshold as a share of full scale, 0 to 1.
    pub threshold: Range,
}

/// The threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SolarizeDraw {
    /// As a share of full scale, 0 to 1.
    pub threshold: f64,
}

impl ToneMap for SolarizeDraw {
    fn map<V: Real>(&self, mut tones: Tones<'_, V>) -> Result<(), AugmentError> {
        let threshold = fraction("threshold", self.threshold)?;
        tones.map(|tone| if tone >= threshold { 1.0 - tone } else { tone });
        Ok(())
    }
}

impl Transform for Solarize {
    type Draw = SolarizeDraw;

    fn name(&self) -> &'static str {
        "solarize"
    }

    fn check(&self) -> Result<(), ParamError> {
        self.threshold
            .check("threshold", 0.0, 1.0, "ascending, from 0 to 1")
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> SolarizeDraw {
        SolarizeDraw {
            threshold: self.threshold.draw(rng),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &SolarizeDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        tones::apply(image, draw)
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::merged(false)
    }

    fn map_tones<V: Real>(
        &self,
        tones: Tones<'_, V>,
        draw: &SolarizeDraw,
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
        threshold: f64,
    }

    #[test]
    fn agrees_with_torchvision() {
        let cases = cases::<Params>("torchvision.json", "solarize");
        assert!(cases.len() >= 4);
        for case in cases {
            let draw = SolarizeDraw {
                threshold: case.params.threshold,
            };
            case.check(
                &Solarize {
                    threshold: Range::only(0.5),
                },
                &draw,
            );
        }
    }
}
