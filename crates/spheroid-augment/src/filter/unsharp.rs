use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, within};
use spheroid_imaging::SampleType;

use super::{Kernel, blur, gaussian_blur::MOST_SIGMA};
use crate::{AugmentError, Image, Pixel, Range, ToneContract, Transform};

/// Sharpens: adds a multiple of what a Gaussian blur takes away, and clamps to the range from 0 to full
/// scale.
///
/// # Source
/// scikit-image's `unsharp_mask`, but for the border, which is mirrored here.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unsharp {
    /// Standard deviation of the blur in pixels, 0.2 to 100.
    pub sigma: Range,
    /// Multiple that is added, 0 to 100.
    pub amount: Range,
}

/// How much is sharpened.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnsharpDraw {
    /// Standard deviation of the blur in pixels.
    pub sigma: f64,
    /// Multiple that is added.
    pub amount: f64,
}

impl Transform for Unsharp {
    type Draw = UnsharpDraw;

    fn name(&self) -> &'static str {
        "unsharp"
    }

    fn check(&self) -> Result<(), ParamError> {
        self.sigma
            .check("sigma", 0.2, MOST_SIGMA, "ascending, from 0.2 to 100")?;
        self.amount
            .check("amount", 0.0, 100.0, "ascending, from 0 to 100")
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> UnsharpDraw {
        UnsharpDraw {
            sigma: self.sigma.draw(rng),
            amount: self.amount.draw(rng),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &UnsharpDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        let sigma = within("sigma", draw.sigma, 0.2, MOST_SIGMA, "from 0.2 to 100")?;
        let amount = within("amount", draw.amount, 0.0, 100.0, "from 0 to 100")? as f32;
        Ok(image.change_unit(|samples| {
            let mut blurred = samples.clone();
            blur(&mut blurred, &Kernel::gaussian(sigma));
            samples.zip_mut_with(&blurred, |value, blurred| {
                *value = (*value + amount * (*value - blurred)).clamp(0.0, 1.0);
            });
        }))
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::mixed(true)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::s;
    use spheroid_testkit::{Tolerance, assert_close};

    use super::*;
    use crate::reference::cases;

    #[derive(Deserialize)]
    struct Params {
        radius: f64,
        amount: f64,
        margin: usize,
    }

    #[test]
    fn agrees_with_scikit_image_inside_of_the_border() {
        let cases = cases::<Params>("reference.json", "unsharp");
        assert!(cases.len() >= 2);
        for case in cases {
            let unsharp = Unsharp {
                sigma: Range::only(1.0),
                amount: Range::only(1.0),
            };
            let draw = UnsharpDraw {
                sigma: case.params.radius,
                amount: case.params.amount,
            };
            let view = unsharp.apply(case.image(), &draw).unwrap().into_samples();
            let (_, rows, columns) = view.dim();
            let margin = case.params.margin;
            let inside = s![.., margin..rows - margin, margin..columns - margin];
            let [found, expected]: [Vec<f32>; 2] =
                [&view, &case.out].map(|samples| samples.slice(inside).iter().copied().collect());
            assert!(found.len() > 100);
            assert_close(&found, &expected, Tolerance::F32);
        }
    }
}
