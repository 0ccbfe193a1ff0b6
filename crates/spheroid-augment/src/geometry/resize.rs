use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;
use spheroid_imaging::SampleType;

use super::{
    Interpolation,
    resample::{Window, check_size, resample},
};
use crate::{AugmentError, Image, Pixel, ToneContract, Transform};

/// Brings the whole image to a size, with antialiasing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Rows of the result, 1 to 32,768.
    pub rows: usize,
    /// Columns of the result, 1 to 32,768.
    pub columns: usize,
    /// The filter.
    #[serde(default)]
    pub interpolation: Interpolation,
}

impl Transform for Resize {
    type Draw = ();

    fn name(&self) -> &'static str {
        "resize"
    }

    fn check(&self) -> Result<(), ParamError> {
        check_size(self.rows, self.columns)
    }

    fn draw(&self, _: &mut ChaCha8Rng) {}

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &(),
    ) -> Result<Image<'a, T>, AugmentError> {
        Ok(self.apply_to_unit(image, draw)?.into_pixels())
    }

    fn apply_to_unit<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        (): &(),
    ) -> Result<Image<'a, f32>, AugmentError> {
        let (_, height, width) = image.dim();
        let window = Window {
            top: 0,
            left: 0,
            height,
            width,
        };
        Ok(resample(
            image,
            window,
            [self.rows, self.columns],
            self.interpolation,
        ))
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        // Bicubic overshoots, and integers end at their range.
        ToneContract::mixed(self.interpolation == Interpolation::Bicubic)
    }
}
