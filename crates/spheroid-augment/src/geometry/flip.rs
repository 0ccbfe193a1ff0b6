use ndarray::Axis;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;
use spheroid_imaging::SampleType;

use crate::{AugmentError, Image, Pixel, ToneContract, Transform};

macro_rules! flip {
    ($(#[$doc:meta])* $flip:ident, $name:literal, $axis:literal) => {
        $(#[$doc])*
        ///
        /// Always: the step of a policy has the probability. Nothing is copied.
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $flip {}

        impl Transform for $flip {
            type Draw = ();

            fn name(&self) -> &'static str {
                $name
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
                Ok(image.map(
                    |mut samples| {
                        samples.invert_axis(Axis($axis + 1));
                        samples
                    },
                    |mut mask| {
                        mask.invert_axis(Axis($axis));
                        mask
                    },
                ))
            }

            fn tone_contract(&self, _: SampleType) -> ToneContract {
                ToneContract::selected(0)
            }

            fn only_moves_pixels(&self) -> bool {
                true
            }
        }
    };
}

flip!(
    /// Exchanges left and right.
    HorizontalFlip, "horizontal_flip", 1
);
flip!(
    /// Exchanges top and bottom.
    VerticalFlip, "vertical_flip", 0
);

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::reference::cases;

    #[test]
    fn agrees_with_torchvision() {
        for case in cases::<Value>("torchvision.json", "horizontal_flip") {
            case.check(&HorizontalFlip {}, &());
        }
        for case in cases::<Value>("torchvision.json", "vertical_flip") {
            case.check(&VerticalFlip {}, &());
        }
    }
}
