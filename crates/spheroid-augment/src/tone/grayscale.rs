use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;
use spheroid_imaging::SampleType;

use super::rgb::{check_rgb, luminance, map_colors};
use crate::{AugmentError, Image, Pixel, ToneContract, Transform};

/// Replaces every colour by its luminance, in all three planes. For RGB images alone.
///
/// # Source
/// torchvision's `rgb_to_grayscale` with three output channels, on floating point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grayscale {}

impl Transform for Grayscale {
    type Draw = ();

    fn name(&self) -> &'static str {
        "grayscale"
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
        check_rgb(&image, self.name())?;
        Ok(image.change_unit(|samples| map_colors(samples, |color| [luminance(color); 3])))
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::mixed(false)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::reference::cases;

    #[test]
    fn agrees_with_torchvision() {
        for case in cases::<Value>("torchvision.json", "grayscale") {
            case.check(&Grayscale {}, &());
        }
    }
}
