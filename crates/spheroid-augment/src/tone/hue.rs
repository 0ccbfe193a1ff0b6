use ndarray::Array3;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, within};
use spheroid_imaging::SampleType;

use super::rgb::{check_rgb, map_colors};
use crate::{AugmentError, Image, Pixel, Range, ToneContract, Transform};

/// Turns every hue by one angle. For RGB images alone.
///
/// # Source
/// torchvision's `adjust_hue` on floating point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hue {
    /// Largest turn to either side as a share of the full circle, 0 to 0.5.
    pub strength: f64,
}

/// The angle.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HueDraw {
    /// As a share of the full circle, −0.5 to 0.5.
    pub turn: f64,
}

pub(crate) const HUE_RULE: &str = "from 0 to 0.5";

pub(crate) fn check_turn(turn: f64) -> Result<f64, ParamError> {
    within("turn", turn, -0.5, 0.5, "between −0.5 and 0.5")
}

pub(crate) fn turn_hue(samples: &mut Array3<f32>, turn: f64) {
    let turn = turn as f32;
    map_colors(samples, |color| {
        let [red, green, blue] = color.map(|value| value.clamp(0.0, 1.0));
        let most = red.max(green).max(blue);
        let least = red.min(green).min(blue);
        let range = most - least;
        if range == 0.0 {
            // Grey has no hue.
            return [most; 3];
        }
        let saturation = range / most;
        let [from_red, from_green, from_blue] =
            [red, green, blue].map(|value| (most - value) / range);
        let sixths = if most == red {
            from_blue - from_green
        } else if most == green {
            2.0 + from_red - from_blue
        } else {
            4.0 + from_green - from_red
        };
        // Both lie within one circle of 0, so one step brings their sum back; a call of `floor` would
        // cost more than all the rest.
        let hue = sixths / 6.0 + turn;
        let hue = if hue < 0.0 {
            hue + 1.0
        } else if hue >= 1.0 {
            hue - 1.0
        } else {
            hue
        };
        let sector = (hue * 6.0) as u8;
        let within = hue * 6.0 - f32::from(sector);
        let toned = |share: f32| (share * most).clamp(0.0, 1.0);
        let p = toned(1.0 - saturation);
        let q = toned(1.0 - saturation * within);
        let t = toned(1.0 - saturation + saturation * within);
        match sector {
            1 => [q, most, p],
            2 => [p, most, t],
            3 => [p, q, most],
            4 => [t, p, most],
            5 => [most, p, q],
            _ => [most, t, p],
        }
    });
}

impl Transform for Hue {
    type Draw = HueDraw;

    fn name(&self) -> &'static str {
        "hue"
    }

    fn check(&self) -> Result<(), ParamError> {
        within("strength", self.strength, 0.0, 0.5, HUE_RULE).map(drop)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> HueDraw {
        HueDraw {
            turn: Range::new(-self.strength, self.strength).draw(rng),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &HueDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        check_rgb(&image, self.name())?;
        let turn = check_turn(draw.turn)?;
        Ok(image.change_unit(|samples| turn_hue(samples, turn)))
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::mixed(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::cases;

    #[derive(Deserialize)]
    struct Params {
        factor: f64,
    }

    #[test]
    fn agrees_with_torchvision() {
        let cases = cases::<Params>("torchvision.json", "hue");
        assert!(cases.len() >= 4);
        for case in cases {
            let draw = HueDraw {
                turn: case.params.factor,
            };
            case.check(&Hue { strength: 0.5 }, &draw);
        }
    }
}
