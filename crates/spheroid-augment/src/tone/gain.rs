use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, fraction, within};
use spheroid_imaging::SampleType;

use crate::{
    AugmentError, Range, ToneContract, ToneEffect, Tones, Transform,
    tones::{Real, ToneMap, the_draw_maps_tones},
};

/// Multiplies all pixels by one factor near 1: what is left of the lamp after flattening.
///
/// Floating point is not clamped, so that no two tones of 16 bits become one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gain {
    /// Largest change as a share, 0 to below 1; 0.03 is ± 3 %.
    pub spread: f64,
}

/// The factor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GainDraw {
    /// Above 0 and at most 2.
    pub factor: f64,
}

impl ToneMap for GainDraw {
    fn map<V: Real>(&self, mut tones: Tones<'_, V>) -> Result<(), AugmentError> {
        let factor = V::of(within(
            "factor",
            self.factor,
            f64::MIN_POSITIVE,
            2.0,
            "above 0 and at most 2",
        )?);
        V::scale(tones.values(), factor);
        Ok(())
    }
}

impl Transform for Gain {
    type Draw = GainDraw;

    fn name(&self) -> &'static str {
        "gain"
    }

    fn check(&self) -> Result<(), ParamError> {
        if fraction("spread", self.spread)? < 1.0 {
            Ok(())
        } else {
            Err(ParamError::new("spread", self.spread, "below 1"))
        }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> GainDraw {
        GainDraw {
            factor: Range::new(1.0 - self.spread, 1.0 + self.spread).draw(rng),
        }
    }

    the_draw_maps_tones!();

    fn tone_contract(&self, sample_type: SampleType) -> ToneContract {
        match sample_type {
            SampleType::F32 => ToneContract {
                tones: ToneEffect::OneToOne,
                clips: true,
            },
            _ => ToneContract::merged(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use spheroid_core::DrawKey;

    use super::*;

    #[test]
    fn factors_fill_the_range_and_stay_in_it() {
        let gain = Gain { spread: 0.03 }.build().unwrap();
        let factors = (0..500).map(|item| {
            let key = DrawKey {
                seed: 0,
                epoch: 0,
                item,
                view: 0,
            };
            gain.draw(key).factor
        });
        let (least, most) = factors.fold((f64::INFINITY, 0.0_f64), |(least, most), factor| {
            (least.min(factor), most.max(factor))
        });
        assert!((0.97..0.972).contains(&least) && (1.028..=1.03).contains(&most));
    }

    #[test]
    fn spreads_that_make_no_sense_are_refused() {
        for spread in [-0.1, 1.0, f64::NAN] {
            assert!(Gain { spread }.build().is_err());
        }
    }
}
