use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, fraction};
use spheroid_imaging::SampleType;

use crate::{
    AugmentError, Range, ToneContract, Tones, Transform,
    tones::{Real, ToneMap, the_draw_maps_tones},
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

    the_draw_maps_tones!();

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::merged(false)
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
