use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;
use spheroid_imaging::SampleType;

use crate::{
    AugmentError, Image, Pixel, ToneContract, Tones, Transform,
    tones::{self, Real, ToneMap},
};

/// Makes all tones equally frequent, as far as one map of tones can, over all planes together.
///
/// The histogram has 256 places for `u8` and 65,536 for `u16` and floating point, whose values between two
/// places are interpolated; those beyond the range are clamped.
///
/// # Source
/// OpenCV's `equalizeHist`, at the full depth of the samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Equalize {}

impl ToneMap for Equalize {
    fn map<V: Real>(&self, mut tones: Tones<'_, V>) -> Result<(), AugmentError> {
        let full = tones.full().unwrap_or(65_535.0);
        let place = |tone: f64| (tone.clamp(0.0, 1.0) * full).round() as usize;
        let mut below = vec![0_u64; full as usize + 1];
        let mut odd = None;
        tones.for_each(|tone, count| {
            if tone.is_finite() {
                below[place(tone)] += count;
            } else {
                odd = Some(tone);
            }
        });
        if let Some(value) = odd {
            return Err(AugmentError::NotFinite {
                transform: "equalize",
                value: value as f32,
            });
        }
        let least = below.iter().copied().find(|&count| count > 0).unwrap_or(0);
        let mut sum = 0;
        for count in &mut below {
            sum += *count;
            *count = sum;
        }
        let rest = sum - least;
        if rest == 0 {
            // One tone has no contrast that could be spread.
            return Ok(());
        }
        let share = |place: usize| below[place].saturating_sub(least) as f64 / rest as f64;
        tones.map(|tone| {
            let position = tone.clamp(0.0, 1.0) * full;
            let nearest = position.round();
            // Whole counts, as far as `f32` can hold them, stand at their place; what lies between two
            // places is interpolated.
            if (position - nearest).abs() < 0.01 {
                return share(nearest as usize);
            }
            let lower = position.floor();
            let (low, high) = (share(lower as usize), share(lower as usize + 1));
            low + (high - low) * (position - lower)
        });
        Ok(())
    }
}

impl Transform for Equalize {
    type Draw = ();

    fn name(&self) -> &'static str {
        "equalize"
    }

    fn check(&self) -> Result<(), ParamError> {
        Ok(())
    }

    fn draw(&self, _: &mut ChaCha8Rng) {}

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        (): &(),
    ) -> Result<Image<'a, T>, AugmentError> {
        tones::apply(image, self)
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        // The darkest and the brightest tone come to lie at the ends.
        ToneContract::merged(true)
    }

    fn map_tones<V: Real>(&self, tones: Tones<'_, V>, (): &()) -> Result<bool, AugmentError> {
        self.map(tones).map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{reference::cases, tones::Histogram};

    #[test]
    fn agrees_with_opencv() {
        for case in cases::<Value>("reference.json", "equalize_u8") {
            let image = case.image.mapv(|value| value as u8);
            let view = Equalize {}.apply(Image::new(image).unwrap(), &()).unwrap();
            assert_eq!(view.samples().mapv(f32::from), case.out);
        }
    }

    #[test]
    fn all_tones_of_16_bits_are_counted_apart() {
        let stack = ndarray::Array3::from_shape_fn((1, 100, 100), |(_, r, c)| {
            (30_000 + (r * c) % 300) as u16
        });
        let image = Image::new(&stack).unwrap();
        let before = Histogram::of(stack.view()).values.len();
        let view = Equalize {}.apply(image.view(), &()).unwrap();
        assert_eq!(Histogram::of(view.samples()).values.len(), before);
        // Floating point goes the same way.
        let unit = Equalize {}.apply(image.view().into_unit(), &()).unwrap();
        let same = unit
            .samples()
            .iter()
            .zip(view.samples())
            .all(|(a, b)| u16::from_unit(*a) == *b);
        assert!(same);
    }

    #[test]
    fn one_tone_stays_and_what_is_no_number_is_refused() {
        let one = ndarray::Array3::from_elem((1, 3, 3), 77_u8);
        let view = Equalize {}.apply(Image::new(&one).unwrap(), &()).unwrap();
        assert_eq!(view.samples(), one);
        let odd = ndarray::arr3(&[[[0.1, f32::NAN]]]);
        let found = Equalize {}.apply(Image::new(odd).unwrap(), &());
        assert!(matches!(found, Err(AugmentError::NotFinite { .. })));
    }
}
