use ndarray::ArrayView2;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, fraction, within};
use spheroid_imaging::SampleType;

use super::{
    Interpolation,
    resample::{Window, check_size, resample},
};
use crate::{AugmentError, Image, Pixel, Range, ToneContract, Transform};

/// Smaller shares are less than a pixel of any image.
const LEAST_SIDE: f64 = 1e-6;

/// Cuts out a window around the spheroid, whose mask the image must have, and brings it to a size, with
/// antialiasing.
///
/// The window's extent does not follow the spheroid's, so that its size stays visible; its place is the
/// middle of the mask's bounding box, moved as far as the frame asks for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpheroidCrop {
    /// Rows of the result, 1 to 32,768.
    pub rows: usize,
    /// Columns of the result, 1 to 32,768.
    pub columns: usize,
    /// Longer side of the window as a share of the image's shorter side, above 0 and at most 1.
    pub side: Range,
    /// Largest shift to either side as a share of the window's side, 0 to 1.
    pub shift: f64,
    /// The filter.
    #[serde(default)]
    pub interpolation: Interpolation,
}

/// The window.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpheroidCropDraw {
    /// Longer side as a share of the image's shorter side.
    pub side: f64,
    /// Shift towards larger rows, as a share of the window's.
    pub shift_rows: f64,
    /// Shift towards larger columns, as a share of the window's.
    pub shift_columns: f64,
}

impl SpheroidCrop {
    fn window(
        &self,
        draw: &SpheroidCropDraw,
        mask: ArrayView2<'_, bool>,
    ) -> Result<Window, AugmentError> {
        within("side", draw.side, LEAST_SIDE, 1.0, "from 1e-6 to 1")?;
        for (param, shift) in [
            ("shift_rows", draw.shift_rows),
            ("shift_columns", draw.shift_columns),
        ] {
            if !(-1.0..=1.0).contains(&shift) {
                return Err(ParamError::new(param, shift, "between −1 and 1").into());
            }
        }
        let (top, left, bottom, right) = bounding_box(mask).ok_or(AugmentError::NoMask {
            transform: self.name(),
        })?;
        let (rows, columns) = mask.dim();
        let longer = draw.side * rows.min(columns) as f64;
        let extent = |outputs: usize, most: usize| {
            let share = outputs as f64 / self.rows.max(self.columns) as f64;
            ((longer * share).round() as usize).clamp(1, most)
        };
        let (height, width) = (extent(self.rows, rows), extent(self.columns, columns));
        let place = |from: usize, to: usize, shift: f64, extent: usize, all: usize| {
            let middle = (from + to) as f64 / 2.0 + shift * extent as f64;
            ((middle - extent as f64 / 2.0).round().max(0.0) as usize).min(all - extent)
        };
        Ok(Window {
            top: place(top, bottom, draw.shift_rows, height, rows),
            left: place(left, right, draw.shift_columns, width, columns),
            height,
            width,
        })
    }
}

impl Transform for SpheroidCrop {
    type Draw = SpheroidCropDraw;

    fn name(&self) -> &'static str {
        "spheroid_crop"
    }

    fn check(&self) -> Result<(), ParamError> {
        check_size(self.rows, self.columns)?;
        let rule = "ascending, from 1e-6 to 1";
        self.side.check("side", LEAST_SIDE, 1.0, rule)?;
        fraction("shift", self.shift).map(drop)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> SpheroidCropDraw {
        let shift = Range::new(-self.shift, self.shift);
        SpheroidCropDraw {
            side: self.side.draw(rng),
            shift_rows: shift.draw(rng),
            shift_columns: shift.draw(rng),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &SpheroidCropDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        Ok(self.apply_to_unit(image, draw)?.into_pixels())
    }

    fn apply_to_unit<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &SpheroidCropDraw,
    ) -> Result<Image<'a, f32>, AugmentError> {
        let mask = image.mask().ok_or(AugmentError::NoMask {
            transform: self.name(),
        })?;
        let window = self.window(draw, mask)?;
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

/// First row, first column, and those behind the last ones of what is true.
fn bounding_box(mask: ArrayView2<'_, bool>) -> Option<(usize, usize, usize, usize)> {
    let mut found: Option<(usize, usize, usize, usize)> = None;
    for (row, line) in mask.outer_iter().enumerate() {
        let Some(first) = line.iter().position(|&inside| inside) else {
            continue;
        };
        let last = line.len() - line.iter().rev().position(|&inside| inside).unwrap_or(0);
        found = Some(
            found.map_or((row, first, row + 1, last), |(top, left, _, right)| {
                (top, left.min(first), row + 1, right.max(last))
            }),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array3};
    use spheroid_core::DrawKey;

    use super::*;

    const KEY: DrawKey = DrawKey {
        seed: 1,
        epoch: 0,
        item: 0,
        view: 0,
    };

    fn crop() -> SpheroidCrop {
        SpheroidCrop {
            rows: 10,
            columns: 20,
            side: Range::only(0.5),
            shift: 0.0,
            interpolation: Interpolation::Bilinear,
        }
    }

    #[test]
    fn the_window_lies_around_the_mask_and_inside_the_frame() {
        let mut mask = Array2::from_elem((40, 60), false);
        mask[[10, 30]] = true;
        mask[[15, 33]] = true;
        let draw = crop().draw(&mut KEY.rng());
        let window = crop().window(&draw, mask.view()).unwrap();
        let expected = Window {
            top: 8,
            left: 22,
            height: 10,
            width: 20,
        };
        assert_eq!(window, expected);
        mask[[0, 0]] = true;
        mask[[10, 30]] = false;
        mask[[15, 33]] = false;
        let window = crop().window(&draw, mask.view()).unwrap();
        assert_eq!((window.top, window.left), (0, 0));
    }

    #[test]
    fn without_a_spheroid_there_is_no_crop() {
        let stack = Array3::<u16>::zeros((1, 40, 60));
        let built = crop().build().unwrap();
        let draw = built.draw(KEY);
        let image = Image::new(&stack).unwrap();
        let found = built.apply(image.view(), &draw);
        assert!(matches!(found, Err(AugmentError::NoMask { .. })));
        let image = image.with_mask(Array2::from_elem((40, 60), false)).unwrap();
        assert!(matches!(
            built.apply(image.view(), &draw),
            Err(AugmentError::NoMask { .. })
        ));
    }
}
