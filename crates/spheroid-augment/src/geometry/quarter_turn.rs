use ndarray::{Axis, CowArray, Dimension};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;
use spheroid_imaging::SampleType;

use crate::{AugmentError, Image, Pixel, ToneContract, Transform};

/// Rotates by a right angle, a half turn or not at all, each as likely as the others; copies nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuarterTurn {}

/// The angle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuarterTurnDraw {
    /// Number of right angles, anticlockwise; 4 are as 0.
    pub turns: u8,
}

impl Transform for QuarterTurn {
    type Draw = QuarterTurnDraw;

    fn name(&self) -> &'static str {
        "quarter_turn"
    }

    fn check(&self) -> Result<(), ParamError> {
        Ok(())
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> QuarterTurnDraw {
        QuarterTurnDraw {
            turns: rng.random_range(0..4),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &QuarterTurnDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        Ok(image.map(
            |samples| turned(samples, draw.turns),
            |mask| turned(mask, draw.turns),
        ))
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::selected(0)
    }

    fn only_moves_pixels(&self) -> bool {
        true
    }
}

/// The last two axes, turned.
fn turned<A, D: Dimension>(mut array: CowArray<'_, A, D>, turns: u8) -> CowArray<'_, A, D> {
    let (rows, columns) = (Axis(array.ndim() - 2), Axis(array.ndim() - 1));
    if turns % 2 == 1 {
        array.swap_axes(rows.0, columns.0);
    }
    if matches!(turns % 4, 1 | 2) {
        array.invert_axis(rows);
    }
    if matches!(turns % 4, 2 | 3) {
        array.invert_axis(columns);
    }
    array
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::cases;

    #[test]
    fn agrees_with_pytorch() {
        let cases = cases::<QuarterTurnDraw>("torchvision.json", "quarter_turns");
        assert!(cases.len() >= 3);
        for case in cases {
            case.check(&QuarterTurn {}, &case.params);
        }
    }
}
