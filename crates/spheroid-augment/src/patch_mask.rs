use ndarray::Array2;
use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{DrawKey, ParamError, at_least, fraction};

use crate::AugmentError;

/// Chooses patches at random that a masked autoencoder does not see.
///
/// # Source
/// He et al., *Masked autoencoders are scalable vision learners*, arXiv:2111.06377, section 3: random
/// sampling without replacement; of `n` patches `⌊n · (1 − share)⌋` stay visible.
///
/// # Example
/// ```
/// use spheroid_augment::PatchMask;
/// use spheroid_core::DrawKey;
///
/// let masking = PatchMask { patch: 16, share: 0.75 };
/// let draw = masking.draw(DrawKey { seed: 1, epoch: 0, item: 0, view: 0 });
/// let mask = masking.apply(96, 96, &draw)?;
/// assert_eq!(mask.dim(), (6, 6));
/// assert_eq!(mask.iter().filter(|hidden| **hidden).count(), 27);
/// # Ok::<(), spheroid_augment::AugmentError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PatchMask {
    /// Side of a patch in pixels, at least 1.
    pub patch: usize,
    /// Share of the patches that is hidden, 0 to 1.
    pub share: f64,
}

impl Default for PatchMask {
    /// Patches of 16 pixels, of which 75 % are hidden.
    fn default() -> Self {
        Self {
            patch: 16,
            share: 0.75,
        }
    }
}

/// Which patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchMaskDraw {
    /// Fixes the order in which patches are taken.
    pub seed: u64,
}

impl PatchMask {
    /// Chooses the parameters that `key` fixes.
    pub fn draw(&self, key: DrawKey) -> PatchMaskDraw {
        PatchMaskDraw {
            seed: key.rng().random(),
        }
    }

    /// The patches of an image of `rows` × `columns` pixels, true where hidden.
    ///
    /// # Shapes
    /// `[rows / patch, columns / patch]`.
    ///
    /// # Errors
    /// When a setting is outside what is allowed, or the patches do not divide the image.
    pub fn apply(
        &self,
        rows: usize,
        columns: usize,
        draw: &PatchMaskDraw,
    ) -> Result<Array2<bool>, AugmentError> {
        at_least("patch", self.patch, 1, "at least 1")?;
        fraction("share", self.share)?;
        let divides = |side: usize| side > 0 && side.is_multiple_of(self.patch);
        if !divides(rows) || !divides(columns) {
            let rule = "a divisor of both sides of the image";
            return Err(ParamError::new("patch", self.patch, rule).into());
        }
        let size = (rows / self.patch, columns / self.patch);
        let patches = size.0 * size.1;
        let visible = (patches as f64 * (1.0 - self.share)) as usize;
        let mut order: Vec<usize> = (0..patches).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(draw.seed));
        let mut mask = Array2::from_elem(size, true);
        for &patch in &order[..visible] {
            mask[[patch / size.1, patch % size.1]] = false;
        }
        Ok(mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_patch_is_hidden_about_equally_often() {
        let masking = PatchMask {
            patch: 8,
            share: 0.5,
        };
        let mut counts = Array2::<usize>::zeros((3, 2));
        for seed in 0..1000 {
            let mask = masking.apply(24, 16, &PatchMaskDraw { seed }).unwrap();
            counts += &mask.mapv(usize::from);
        }
        assert_eq!(counts.sum(), 3000);
        assert!(
            counts.iter().all(|count| (440..560).contains(count)),
            "{counts}"
        );
    }

    #[test]
    fn patches_that_do_not_fit_are_refused() {
        let draw = PatchMaskDraw { seed: 0 };
        for (patch, share) in [(0, 0.5), (7, 0.5), (8, 1.5), (8, f64::NAN)] {
            assert!(PatchMask { patch, share }.apply(24, 16, &draw).is_err());
        }
    }
}
