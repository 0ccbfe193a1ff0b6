use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, fraction, within};
use spheroid_imaging::SampleType;

use crate::{AugmentError, Image, Pixel, ToneContract, Transform};

/// Takes some focal planes of a stack, in their order: two views of one well then differ in focus, not in
/// biology.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaneSampling {
    /// Number of planes that are taken, 1 to 1,000.
    pub planes: usize,
}

/// Which planes, as fractions of those that are left, so that one draw fits stacks of any depth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaneSamplingDraw {
    /// One number a plane, from 0 (first of those left) to 1 (behind the last).
    pub depths: Vec<f64>,
}

impl Transform for PlaneSampling {
    type Draw = PlaneSamplingDraw;

    fn name(&self) -> &'static str {
        "plane_sampling"
    }

    fn check(&self) -> Result<(), ParamError> {
        let rule = "from 1 to 1000";
        within("planes", self.planes, 1, 1000, rule).map(drop)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> PlaneSamplingDraw {
        PlaneSamplingDraw {
            depths: (0..self.planes)
                .map(|_| rng.random_range(0.0..1.0))
                .collect(),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &PlaneSamplingDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        let planes = image.dim().0;
        if draw.depths.len() != self.planes {
            let got = format!("{} numbers", draw.depths.len());
            return Err(ParamError::new("depths", got, "one number a plane").into());
        }
        if draw.depths.len() > planes {
            return Err(AugmentError::Planes {
                what: "plane_sampling",
                planes,
                rule: "as many as are taken, or more",
            });
        }
        let mut left: Vec<usize> = (0..planes).collect();
        let mut taken = Vec::with_capacity(draw.depths.len());
        for &depth in &draw.depths {
            let index = (fraction("depths", depth)? * left.len() as f64) as usize;
            taken.push(left.remove(index.min(left.len() - 1)));
        }
        taken.sort_unstable();
        Ok(image.select_planes(&taken))
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::selected(0)
    }

    fn only_moves_pixels(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use spheroid_core::DrawKey;

    use super::*;

    fn taken(planes: usize, depths: &[f64]) -> Vec<u8> {
        let stack = Array3::from_shape_fn((planes, 1, 1), |(plane, _, _)| plane as u8);
        let draw = PlaneSamplingDraw {
            depths: depths.to_vec(),
        };
        let sampling = PlaneSampling {
            planes: depths.len(),
        };
        let view = sampling.apply(Image::new(&stack).unwrap(), &draw).unwrap();
        view.into_samples().into_raw_vec_and_offset().0
    }

    #[test]
    fn depths_are_fractions_of_what_is_left() {
        for (depth, plane) in [(0.0, 0), (0.34, 1), (1.0, 2)] {
            assert_eq!(taken(3, &[depth]), [plane]);
        }
        assert_eq!(taken(4, &[0.9, 0.0, 0.0]), [0, 1, 3]);
    }

    #[test]
    fn every_plane_is_taken_about_equally_often() {
        let sampling = PlaneSampling { planes: 1 }.build().unwrap();
        let mut counts = [0; 3];
        for item in 0..3000 {
            let draw = sampling.draw(DrawKey {
                seed: 1,
                epoch: 0,
                item,
                view: 0,
            });
            counts[usize::from(taken(3, &draw.depths)[0])] += 1;
        }
        assert!(
            counts.iter().all(|count| (900..1100).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn more_planes_than_there_are_are_refused() {
        let stack = Array3::<u8>::zeros((2, 1, 1));
        let draw = PlaneSamplingDraw {
            depths: vec![0.1; 3],
        };
        let found = PlaneSampling { planes: 3 }.apply(Image::new(&stack).unwrap(), &draw);
        assert!(matches!(found, Err(AugmentError::Planes { planes: 2, .. })));
    }
}
