use ndarray::Axis;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, fraction};
use spheroid_imaging::SampleType;

use crate::{AugmentError, Image, Pixel, ToneContract, Transform, contract::fills_an_end};

/// Covers whole focal planes with one value; one plane at least is left.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaneDropout {
    /// With which a plane is covered, 0 to 1.
    pub probability: f64,
    /// What covers it, on the unit scale.
    pub fill: f32,
}

/// Which planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaneDropoutDraw {
    /// Fixes them, however many there are.
    pub seed: u64,
}

impl PlaneDropout {
    /// For every plane whether it is left.
    fn kept(&self, draw: &PlaneDropoutDraw, planes: usize) -> Vec<bool> {
        let mut rng = ChaCha8Rng::seed_from_u64(draw.seed);
        let spared = rng.random_range(0..planes);
        let mut kept: Vec<bool> = (0..planes)
            .map(|_| !rng.random_bool(self.probability))
            .collect();
        if !kept.contains(&true) {
            kept[spared] = true;
        }
        kept
    }
}

impl Transform for PlaneDropout {
    type Draw = PlaneDropoutDraw;

    fn name(&self) -> &'static str {
        "plane_dropout"
    }

    fn check(&self) -> Result<(), ParamError> {
        fraction("probability", self.probability)?;
        if self.fill.is_finite() {
            Ok(())
        } else {
            Err(ParamError::new("fill", self.fill, "finite"))
        }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> PlaneDropoutDraw {
        PlaneDropoutDraw { seed: rng.random() }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &PlaneDropoutDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        let kept = self.kept(draw, image.dim().0);
        Ok(image.with_samples(|samples| {
            let mut samples = samples.into_owned();
            for (plane, kept) in kept.into_iter().enumerate() {
                if !kept {
                    samples
                        .index_axis_mut(Axis(0), plane)
                        .fill(T::from_unit(self.fill));
                }
            }
            samples
        }))
    }

    fn tone_contract(&self, sample_type: SampleType) -> ToneContract {
        ToneContract {
            clips: fills_an_end(self.fill, sample_type),
            ..ToneContract::selected(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_go_with_their_probability_and_one_stays() {
        let dropout = |probability| PlaneDropout {
            probability,
            fill: 0.0,
        };
        let kept = |probability: f64| {
            let kept = (0..2000).map(|seed| {
                let kept = dropout(probability).kept(&PlaneDropoutDraw { seed }, 4);
                assert!(kept.contains(&true));
                kept.iter().filter(|kept| **kept).count()
            });
            kept.sum::<usize>()
        };
        assert_eq!((kept(0.0), kept(1.0)), (8000, 2000));
        assert!((7000..7400).contains(&kept(0.1)));
    }
}
