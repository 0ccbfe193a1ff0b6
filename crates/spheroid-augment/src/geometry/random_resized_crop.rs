use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, fraction, within};
use spheroid_imaging::SampleType;

use super::{
    Interpolation,
    resample::{Window, check_size, resample},
};
use crate::{AugmentError, Image, Pixel, Range, ToneContract, Transform};

/// Cuts out a window of random area, shape and place, and brings it to a size, with antialiasing.
///
/// Only the pixels of the window are read, straight from the stored samples.
///
/// # Source
/// Szegedy et al., *Going deeper with convolutions* (2015), section 6. Differs from torchvision's
/// `RandomResizedCrop` where a window of the drawn area and shape does not fit into the frame: its shape
/// is brought nearer to the frame's with the area kept, where torchvision draws again, which
/// favours small windows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomResizedCrop {
    /// Rows of the result, 1 to 32,768.
    pub rows: usize,
    /// Columns of the result, 1 to 32,768.
    pub columns: usize,
    /// Area of the window as a share of the image's, above 0 and at most 1.
    #[serde(default = "RandomResizedCrop::default_area")]
    pub area: Range,
    /// Width over height of the window, from 0.01 to 100; equal ratios are equally likely.
    #[serde(default = "RandomResizedCrop::default_ratio")]
    pub ratio: Range,
    /// The filter.
    #[serde(default)]
    pub interpolation: Interpolation,
}

impl RandomResizedCrop {
    /// Windows of 8 to 100 % of the area, as SimCLR takes them.
    pub fn new(rows: usize, columns: usize) -> Self {
        Self {
            rows,
            columns,
            area: Self::default_area(),
            ratio: Self::default_ratio(),
            interpolation: Interpolation::default(),
        }
    }

    fn default_area() -> Range {
        Range::new(0.08, 1.0)
    }

    fn default_ratio() -> Range {
        Range::new(3.0 / 4.0, 4.0 / 3.0)
    }
}

/// The window, relative to the image, so that one draw fits images of any size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomResizedCropDraw {
    /// Area as a share of the image's, above 0 and at most 1.
    pub area: f64,
    /// Width over height, above 0.
    pub ratio: f64,
    /// Place from the uppermost (0) to the lowest (1).
    pub down: f64,
    /// Place from the leftmost (0) to the rightmost (1).
    pub right: f64,
}

impl RandomResizedCropDraw {
    pub(crate) fn draw(area: Range, ratio: Range, rng: &mut ChaCha8Rng) -> Self {
        Self {
            area: area.draw(rng),
            ratio: ratio.draw_ratio(rng),
            down: rng.random_range(0.0..=1.0),
            right: rng.random_range(0.0..=1.0),
        }
    }

    /// The window in pixels of an image of `rows` × `columns`, at least one pixel.
    ///
    /// # Errors
    /// When a number of the draw is outside what is allowed.
    pub(crate) fn window(&self, rows: usize, columns: usize) -> Result<Window, ParamError> {
        for (param, value) in [("down", self.down), ("right", self.right)] {
            fraction(param, value)?;
        }
        let rule = "from 1e-12 to 1";
        within("area", self.area, LEAST_AREA, 1.0, rule)?;
        let ratio = within("ratio", self.ratio, 0.01, 100.0, "from 0.01 to 100")?;
        let area = self.area * rows as f64 * columns as f64;
        let width = (area * ratio).sqrt().min(columns as f64);
        let height = (area / width).min(rows as f64);
        let width = (area / height).min(columns as f64);
        let whole = |side: f64, most: usize| (side.round() as usize).clamp(1, most);
        let (height, width) = (whole(height, rows), whole(width, columns));
        let place = |share: f64, room: usize| ((share * (room + 1) as f64) as usize).min(room);
        Ok(Window {
            top: place(self.down, rows - height),
            left: place(self.right, columns - width),
            height,
            width,
        })
    }
}

/// Smaller shares are less than a pixel of any image.
const LEAST_AREA: f64 = 1e-12;

/// Settings and draw of a random window, shared with [`Cutout`](crate::Cutout).
pub(crate) fn check_window(area: Range, ratio: Range) -> Result<(), ParamError> {
    area.check("area", LEAST_AREA, 1.0, "ascending, from 1e-12 to 1")?;
    ratio.check("ratio", 0.01, 100.0, "ascending, from 0.01 to 100")
}

impl Transform for RandomResizedCrop {
    type Draw = RandomResizedCropDraw;

    fn name(&self) -> &'static str {
        "random_resized_crop"
    }

    fn check(&self) -> Result<(), ParamError> {
        check_size(self.rows, self.columns)?;
        check_window(self.area, self.ratio)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> RandomResizedCropDraw {
        RandomResizedCropDraw::draw(self.area, self.ratio, rng)
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &RandomResizedCropDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        Ok(self.apply_to_unit(image, draw)?.into_pixels())
    }

    fn apply_to_unit<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &RandomResizedCropDraw,
    ) -> Result<Image<'a, f32>, AugmentError> {
        let (_, rows, columns) = image.dim();
        let window = draw.window(rows, columns)?;
        Ok(resample(
            image,
            window,
            [self.rows, self.columns],
            self.interpolation,
        ))
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::mixed(self.interpolation == Interpolation::Bicubic)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_window_that_does_not_fit_keeps_its_area() {
        let draw = RandomResizedCropDraw {
            area: 0.5,
            ratio: 4.0,
            down: 0.0,
            right: 1.0,
        };
        let window = draw.window(100, 100).unwrap();
        assert_eq!((window.height, window.width), (50, 100));
        let window = RandomResizedCropDraw { ratio: 0.1, ..draw }
            .window(100, 100)
            .unwrap();
        assert_eq!((window.height, window.width, window.left), (100, 50, 50));
    }

    proptest! {
        #[test]
        fn every_window_is_inside_and_of_the_drawn_area(
            area in 0.01..=1.0, ratio in 0.2..5.0, down in 0.0..=1.0, right in 0.0..=1.0,
            rows in 1_usize..300, columns in 1_usize..300,
        ) {
            let draw = RandomResizedCropDraw { area, ratio, down, right };
            let window = draw.window(rows, columns).unwrap();
            prop_assert!(window.height >= 1 && window.top + window.height <= rows);
            prop_assert!(window.width >= 1 && window.left + window.width <= columns);
            let found = (window.height * window.width) as f64;
            let slack = (window.height + window.width) as f64;
            prop_assert!((found - area * (rows * columns) as f64).abs() <= slack);
        }
    }
}
