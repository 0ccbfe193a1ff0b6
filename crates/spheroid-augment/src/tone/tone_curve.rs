use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, within};
use spheroid_imaging::SampleType;

use crate::{
    AugmentError, Range, ToneContract, ToneEffect, Tones, Transform,
    tones::{Real, ToneMap, the_draw_maps_tones},
};

/// Sends tones through a smooth random curve that rises everywhere and keeps 0 and full scale.
///
/// Different tones of 16 bits stay different in floating point; values beyond the range are left as they are.
///
/// # Source
/// Piecewise cubic Hermite interpolation that keeps monotony: Fritsch and Butland, SIAM J. Sci. Stat.
/// Comput. 5 (1984), doi:10.1137/0905021, as SciPy's `PchipInterpolator`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToneCurve {
    /// Number of knots, the two ends included, 3 to 32, at equal distances.
    pub knots: usize,
    /// Largest logarithm by which a piece between two knots is steeper or flatter than the others, 0 to 0.5.
    ///
    /// Up to there no piece becomes so flat that neighbouring tones of 16 bits would fall together.
    pub strength: f64,
}

impl Default for ToneCurve {
    fn default() -> Self {
        Self {
            knots: 5,
            strength: 0.4,
        }
    }
}

/// The curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToneCurveDraw {
    /// Values at knots of equal distance from 0 to full scale: 0, rising, 1.
    pub values: Vec<f64>,
}

impl ToneMap for ToneCurveDraw {
    fn map<V: Real>(&self, mut tones: Tones<'_, V>) -> Result<(), AugmentError> {
        let rises = self.values.windows(2).all(|pair| pair[0] < pair[1]);
        let ends = (self.values.first(), self.values.last()) == (Some(&0.0), Some(&1.0));
        if !(rises && ends && self.values.len() >= 3) {
            let got = format!("{:?}", self.values);
            let rule = "three or more numbers that rise from 0 to 1";
            return Err(ParamError::new("values", got, rule).into());
        }
        let last = (self.values.len() - 1) as f64;
        let knots: Vec<f64> = (0..self.values.len())
            .map(|knot| knot as f64 / last)
            .collect();
        let curve = Pchip::new(&knots, &self.values);
        tones.map(|tone| {
            if (0.0..=1.0).contains(&tone) {
                curve.at(tone)
            } else {
                tone
            }
        });
        Ok(())
    }
}

/// Cubic pieces between knots.
struct Pchip<'a> {
    x: &'a [f64],
    y: &'a [f64],
    slopes: Vec<f64>,
}

impl<'a> Pchip<'a> {
    /// Through at least three knots with ascending `x`.
    fn new(x: &'a [f64], y: &'a [f64]) -> Self {
        let widths: Vec<f64> = x.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let rises = y.windows(2).map(|pair| pair[1] - pair[0]);
        let secants: Vec<f64> = rises
            .zip(&widths)
            .map(|(rise, width)| rise / width)
            .collect();
        let end = |near: usize, far: usize| {
            let (w0, w1, s0, s1) = (widths[near], widths[far], secants[near], secants[far]);
            let slope = ((2.0 * w0 + w1) * s0 - w0 * s1) / (w0 + w1);
            if slope.signum() != s0.signum() {
                0.0
            } else if s0.signum() != s1.signum() && slope.abs() > 3.0 * s0.abs() {
                3.0 * s0
            } else {
                slope
            }
        };
        let inner = |knot: usize| {
            let (s0, s1) = (secants[knot - 1], secants[knot]);
            if s0 * s1 <= 0.0 {
                return 0.0;
            }
            let w0 = 2.0 * widths[knot] + widths[knot - 1];
            let w1 = widths[knot] + 2.0 * widths[knot - 1];
            (w0 + w1) / (w0 / s0 + w1 / s1)
        };
        let last = x.len() - 1;
        let slopes = (0..=last).map(|knot| match knot {
            0 => end(0, 1),
            _ if knot == last => end(last - 1, last - 2),
            _ => inner(knot),
        });
        Self {
            x,
            y,
            slopes: slopes.collect(),
        }
    }

    fn at(&self, value: f64) -> f64 {
        let piece = self
            .x
            .partition_point(|&knot| knot <= value)
            .clamp(1, self.x.len() - 1)
            - 1;
        let width = self.x[piece + 1] - self.x[piece];
        let t = (value - self.x[piece]) / width;
        let (y0, y1) = (self.y[piece], self.y[piece + 1]);
        let (d0, d1) = (width * self.slopes[piece], width * self.slopes[piece + 1]);
        let cubic = 2.0 * (y0 - y1) + d0 + d1;
        let square = 3.0 * (y1 - y0) - 2.0 * d0 - d1;
        ((cubic * t + square) * t + d0) * t + y0
    }
}

impl Transform for ToneCurve {
    type Draw = ToneCurveDraw;

    fn name(&self) -> &'static str {
        "tone_curve"
    }

    fn check(&self) -> Result<(), ParamError> {
        let rule = "from 3 to 32";
        within("knots", self.knots, 3, 32, rule)?;
        within("strength", self.strength, 0.0, 0.5, "from 0 to 0.5").map(drop)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> ToneCurveDraw {
        let logarithm = Range::new(-self.strength, self.strength);
        let steps: Vec<f64> = (1..self.knots).map(|_| logarithm.draw(rng).exp()).collect();
        let total: f64 = steps.iter().sum();
        let mut values = vec![0.0];
        let mut sum = 0.0;
        for step in &steps[..steps.len() - 1] {
            sum += step / total;
            values.push(sum);
        }
        values.push(1.0);
        ToneCurveDraw { values }
    }

    the_draw_maps_tones!();

    fn tone_contract(&self, sample_type: SampleType) -> ToneContract {
        match sample_type {
            SampleType::F32 => ToneContract {
                tones: ToneEffect::OneToOne,
                clips: false,
            },
            // The tones next to the ends may be rounded to them.
            _ => ToneContract::merged(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use spheroid_core::DrawKey;
    use spheroid_testkit::{Tolerance, assert_close};

    use super::*;
    use crate::{
        Pixel,
        reference::{Case, cases},
    };

    #[derive(Deserialize)]
    struct Curve {
        x: Vec<f64>,
        y: Vec<f64>,
    }

    #[test]
    fn agrees_with_scipy() {
        let found = cases::<Curve>("reference.json", "tone_curve");
        assert!(found.len() >= 3);
        for Case { params, image, out } in found {
            let curve = Pchip::new(&params.x, &params.y);
            let found: Vec<f64> = image.iter().map(|&value| curve.at(value.into())).collect();
            assert_close(&found, out.as_slice().unwrap(), Tolerance::F32);
        }
    }

    #[test]
    fn every_curve_rises_and_keeps_all_tones_of_16_bits() {
        let settings = ToneCurve {
            knots: 9,
            strength: 0.5,
        };
        for item in 0..20 {
            let key = DrawKey {
                seed: 4,
                epoch: 0,
                item,
                view: 0,
            };
            let draw = settings.draw(&mut key.rng());
            let mut values: Vec<f32> = (0..=u16::MAX).map(Pixel::to_unit).collect();
            draw.map(Tones::of_pixels(&mut values)).unwrap();
            assert!(values.windows(2).all(|pair| pair[0] < pair[1]));
            assert_eq!((values[0], values[65_535]), (0.0, 1.0));
        }
    }
}
