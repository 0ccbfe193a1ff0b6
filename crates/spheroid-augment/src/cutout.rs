use ndarray::s;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;
use spheroid_imaging::SampleType;

use crate::{
    AugmentError, Image, Pixel, RandomResizedCropDraw, Range, ToneContract, Transform,
    contract::fills_an_end, geometry::check_window,
};

/// Covers a rectangle of random area, shape and place with one value, in all planes.
///
/// # Source
/// DeVries, Taylor, arXiv:1708.04552; Zhong et al., *Random erasing*, arXiv:1708.04896.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cutout {
    /// Area of the rectangle as a share of the image's, above 0 and at most 1.
    pub area: Range,
    /// Width over height, 0.01 to 100; equal ratios are equally likely.
    pub ratio: Range,
    /// What covers it, on the unit scale.
    pub fill: f32,
}

impl Default for Cutout {
    /// 2 to 33 % of the area, as random erasing takes them.
    fn default() -> Self {
        Self {
            area: Range::new(0.02, 0.33),
            ratio: Range::new(0.3, 3.3),
            fill: 0.0,
        }
    }
}

impl Transform for Cutout {
    type Draw = RandomResizedCropDraw;

    fn name(&self) -> &'static str {
        "cutout"
    }

    fn check(&self) -> Result<(), ParamError> {
        check_window(self.area, self.ratio)?;
        if self.fill.is_finite() {
            Ok(())
        } else {
            Err(ParamError::new("fill", self.fill, "finite"))
        }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> RandomResizedCropDraw {
        RandomResizedCropDraw::draw(self.area, self.ratio, rng)
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &RandomResizedCropDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        let (_, rows, columns) = image.dim();
        let window = draw.window(rows, columns)?;
        let (rows, columns) = (
            window.top..window.top + window.height,
            window.left..window.left + window.width,
        );
        Ok(image.with_samples(|samples| {
            let mut samples = samples.into_owned();
            samples
                .slice_mut(s![.., rows, columns])
                .fill(T::from_unit(self.fill));
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
    use crate::reference::cases;

    #[derive(Deserialize)]
    struct Params {
        top: usize,
        left: usize,
        height: usize,
        width: usize,
        value: f32,
    }

    #[test]
    fn agrees_with_torchvision() {
        for case in cases::<Params>("torchvision.json", "erase") {
            let (_, rows, columns) = case.image.dim();
            let params = &case.params;
            let draw = RandomResizedCropDraw {
                area: (params.height * params.width) as f64 / (rows * columns) as f64,
                ratio: params.width as f64 / params.height as f64,
                down: (params.top as f64 + 0.5) / (rows - params.height + 1) as f64,
                right: (params.left as f64 + 0.5) / (columns - params.width + 1) as f64,
            };
            let cutout = Cutout {
                fill: params.value,
                ..Cutout::default()
            };
            case.check(&cutout, &draw);
        }
    }
}
