use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, within};
use spheroid_imaging::SampleType;

use crate::{
    AugmentError, Range, ToneContract, ToneEffect, Tones, Transform,
    tones::{Real, ToneMap, the_draw_maps_tones},
};

/// Raises every pixel, clamped to the range from 0 to full scale, to a power: above 1 darkens.
///
/// # Source
/// torchvision's `adjust_gamma` on floating point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gamma {
    /// Exponent, 0.1 to 5; equal ratios are equally likely.
    pub gamma: Range,
}

/// The exponent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GammaDraw {
    /// 0.1 to 5; 1 changes nothing.
    pub gamma: f64,
}

const LIMITS: [f64; 2] = [0.1, 5.0];

impl ToneMap for GammaDraw {
    fn map<V: Real>(&self, mut tones: Tones<'_, V>) -> Result<(), AugmentError> {
        let gamma = within("gamma", self.gamma, LIMITS[0], LIMITS[1], "from 0.1 to 5")?;
        tones.map(|tone| tone.clamp(0.0, 1.0).powf(gamma));
        Ok(())
    }
}

impl Transform for Gamma {
    type Draw = GammaDraw;

    fn name(&self) -> &'static str {
        "gamma"
    }

    fn check(&self) -> Result<(), ParamError> {
        self.gamma
            .check("gamma", LIMITS[0], LIMITS[1], "ascending, from 0.1 to 5")
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> GammaDraw {
        GammaDraw {
            gamma: self.gamma.draw_ratio(rng),
        }
    }

    the_draw_maps_tones!();

    fn tone_contract(&self, sample_type: SampleType) -> ToneContract {
        match sample_type {
            // Up to the ends of the range, beyond which pixels are clamped.
            SampleType::F32 => ToneContract {
                tones: ToneEffect::OneToOne,
                clips: false,
            },
            // Dark tones of integers may be rounded to 0, bright ones to full scale.
            _ => ToneContract::merged(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::cases;

    #[derive(Deserialize)]
    struct Params {
        gamma: f64,
    }

    #[test]
    fn agrees_with_torchvision() {
        let cases = cases::<Params>("torchvision.json", "gamma");
        assert!(cases.len() >= 2);
        for case in cases {
            let draw = GammaDraw {
                gamma: case.params.gamma,
            };
            case.check(
                &Gamma {
                    gamma: Range::only(1.0),
                },
                &draw,
            );
        }
    }
}
