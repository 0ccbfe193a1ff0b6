use ndarray::s;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;
use spheroid_imaging::SampleType;

use super::resample::check_size;
use crate::{AugmentError, Image, Pixel, ToneContract, Transform};

/// Cuts out the middle, without resampling.
///
/// As torchvision's `CenterCrop`, but an image that is too small is refused and not padded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CenterCrop {
    /// Rows of the result.
    pub rows: usize,
    /// Columns of the result.
    pub columns: usize,
}

impl Transform for CenterCrop {
    type Draw = ();

    fn name(&self) -> &'static str {
        "center_crop"
    }

    fn check(&self) -> Result<(), ParamError> {
        check_size(self.rows, self.columns)
    }

    fn draw(&self, _: &mut ChaCha8Rng) {}

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        (): &(),
    ) -> Result<Image<'a, T>, AugmentError> {
        let (_, rows, columns) = image.dim();
        if rows < self.rows || columns < self.columns {
            return Err(AugmentError::TooSmall {
                transform: self.name(),
                needed_rows: self.rows,
                needed_columns: self.columns,
                rows,
                columns,
            });
        }
        // Halves to even, as Python rounds.
        let half = |rest: usize| (rest as f64 / 2.0).round_ties_even() as usize;
        let (top, left) = (half(rows - self.rows), half(columns - self.columns));
        let (rows, columns) = (top..top + self.rows, left..left + self.columns);
        Ok(image.map(
            |samples| samples.slice_move(s![.., rows.clone(), columns.clone()]),
            |mask| mask.slice_move(s![rows.clone(), columns.clone()]),
        ))
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::selected(0)
    }

    fn only_moves_pixels(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::cases;

    #[test]
    fn agrees_with_torchvision() {
        let cases = cases::<CenterCrop>("torchvision.json", "center_crop");
        assert!(cases.len() >= 3);
        for case in cases {
            case.check(&case.params, &());
        }
    }

    #[test]
    fn an_image_that_is_too_small_is_refused() {
        let stack = ndarray::Array3::<u8>::zeros((1, 4, 9));
        let crop = CenterCrop {
            rows: 5,
            columns: 5,
        };
        let found = crop.apply(Image::new(&stack).unwrap(), &());
        assert!(matches!(found, Err(AugmentError::TooSmall { rows: 4, .. })));
    }
}
