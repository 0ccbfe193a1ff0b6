use ndarray::{ArrayView2, Zip};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, non_negative};
use spheroid_imaging::{SampleType, squared_distances};

use super::{ColorJitter, ColorJitterDraw};
use crate::{AugmentError, Image, Pixel, ToneContract, Transform};

/// Distorts the colours of the background and leaves every tone of the spheroid alone.
///
/// Inside of the mask, which the image must have, pixels keep their values exactly. Outside they
/// pass smoothly to the distorted image over a given distance, so that no edge is drawn around the
/// spheroid.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackgroundJitter {
    /// What happens to the background.
    pub jitter: ColorJitter,
    /// Distance from the spheroid over which the jitter sets in, in pixels, at least 0.
    pub softness: f64,
}

impl Transform for BackgroundJitter {
    type Draw = ColorJitterDraw;

    fn name(&self) -> &'static str {
        "background_jitter"
    }

    fn check(&self) -> Result<(), ParamError> {
        self.jitter.check()?;
        non_negative("softness", self.softness).map(drop)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> ColorJitterDraw {
        self.jitter.draw(rng)
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &ColorJitterDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        let weights = self.weights(image.mask().ok_or(AugmentError::NoMask {
            transform: self.name(),
        })?);
        let jittered = self
            .jitter
            .apply(image.view().into_unit(), draw)?
            .into_samples();
        Ok(image.change_unit(|samples| {
            for (mut plane, jittered) in samples.outer_iter_mut().zip(jittered.outer_iter()) {
                Zip::from(&mut plane).and(&jittered).and(&weights).for_each(
                    |value, &jittered, &weight| {
                        // Where the mask is, nothing is calculated, and so nothing rounded.
                        if weight > 0.0 {
                            *value += weight * (jittered - *value);
                        }
                    },
                );
            }
        }))
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::mixed(true)
    }
}

impl BackgroundJitter {
    /// Share of the distorted image in every pixel: 0 inside of the mask, 1 far from it.
    fn weights(&self, mask: ArrayView2<'_, bool>) -> ndarray::Array2<f32> {
        squared_distances(&mask.to_owned()).mapv(|squared| {
            if squared == 0.0 {
                return 0.0;
            }
            let share = (squared.sqrt() / (self.softness + 1.0)).min(1.0);
            (share * share * (3.0 - 2.0 * share)) as f32
        })
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use spheroid_core::DrawKey;

    use super::*;

    #[test]
    fn the_spheroid_keeps_its_tones_and_the_background_does_not() {
        let stack = Array3::from_shape_fn((2, 32, 32), |(p, r, c)| {
            (20_000 + 500 * p + 300 * r + 7 * c) as u16
        });
        let settings = BackgroundJitter {
            jitter: ColorJitter {
                brightness: 0.5,
                contrast: 0.5,
                ..ColorJitter::default()
            },
            softness: 6.0,
        };
        let built = settings.build().unwrap();
        let draw = built.draw(DrawKey {
            seed: 2,
            epoch: 0,
            item: 0,
            view: 0,
        });
        let image = Image::new(&stack).unwrap().with_box(10, 10, 8, 8).unwrap();
        let view = built.apply(image.view(), &draw).unwrap();
        let far = settings.jitter.apply(image.view(), &draw).unwrap();
        let mut steps = Vec::new();
        for ((place, &after), &before) in view.samples().indexed_iter().zip(&stack) {
            let (_, row, column) = place;
            if (10..18).contains(&row) && (10..18).contains(&column) {
                assert_eq!(after, before);
            } else if row > 25 {
                assert!(after.abs_diff(far.samples()[place]) <= 1);
            } else if (column, place.0) == (12, 0) && row > 17 {
                steps.push(f64::from(after) - f64::from(before));
            }
        }
        // From the spheroid outwards the change sets in without a jump.
        let most = steps
            .iter()
            .fold(0.0_f64, |most, step| most.max(step.abs()));
        assert!(steps[0].abs() < 0.1 * most && most > 1000.0, "{steps:?}");
        assert!(built.apply(Image::new(&stack).unwrap(), &draw).is_err());
    }
}
