use ndarray::{Array3, Axis};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use spheroid_core::{Augment, DrawKey};

use crate::{AugmentError, error::not_empty};

/// Takes one focal plane of a stack: two views of one well then differ in focus, not in biology.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaneChoice;

/// Which plane, as a fraction of the stack, so that one draw fits stacks of any depth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PlaneDraw {
    /// From 0 (first plane) to 1 (behind the last one).
    pub depth: f64,
}

impl Augment<Array3<f32>> for PlaneChoice {
    type Draw = PlaneDraw;
    /// `[1, row, column]`
    type View = Array3<f32>;
    type Error = AugmentError;

    fn draw(&self, key: DrawKey) -> PlaneDraw {
        PlaneDraw {
            depth: key.rng().random_range(0.0..1.0),
        }
    }

    fn apply(&self, stack: &Array3<f32>, draw: &PlaneDraw) -> Result<Array3<f32>, AugmentError> {
        let (planes, _, _) = not_empty(stack)?;
        let plane = ((draw.depth.clamp(0.0, 1.0) * planes as f64) as usize).min(planes - 1);
        Ok(stack
            .index_axis(Axis(0), plane)
            .to_owned()
            .insert_axis(Axis(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plane_is_taken_about_equally_often() {
        let stack = Array3::from_shape_fn((3, 1, 1), |(plane, _, _)| plane as f32);
        let mut counts = [0; 3];
        for item in 0..3000 {
            let draw = PlaneChoice.draw(DrawKey {
                seed: 1,
                epoch: 0,
                item,
                view: 0,
            });
            counts[PlaneChoice.apply(&stack, &draw).unwrap()[[0, 0, 0]] as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (900..1100).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn the_end_of_the_range_is_the_last_plane() {
        let stack = Array3::from_shape_fn((3, 1, 1), |(plane, _, _)| plane as f32);
        for (depth, plane) in [(0.0, 0.0), (0.34, 1.0), (1.0, 2.0), (7.0, 2.0)] {
            assert_eq!(
                PlaneChoice.apply(&stack, &PlaneDraw { depth }).unwrap()[[0, 0, 0]],
                plane
            );
        }
    }

    #[test]
    fn an_empty_stack_is_refused() {
        let error = PlaneChoice.apply(&Array3::zeros((0, 4, 4)), &PlaneDraw { depth: 0.0 });
        assert!(matches!(
            error,
            Err(AugmentError::Empty {
                planes: 0,
                rows: 4,
                columns: 4
            })
        ));
    }
}
