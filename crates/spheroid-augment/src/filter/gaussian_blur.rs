use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, within};
use spheroid_imaging::SampleType;

use super::{Kernel, blur};
use crate::{AugmentError, Image, Pixel, Range, ToneContract, Transform};

/// Blurs with a Gaussian of random width.
///
/// # Source
/// torchvision's `GaussianBlur`; without a kernel size SciPy's `gaussian_filter` with mode `mirror`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianBlur {
    /// Standard deviation in pixels, 0 to 100.
    pub sigma: Range,
    /// Length of the kernel in pixels, odd, at most 1,001; by default four standard deviations to either
    /// side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_size: Option<usize>,
}

/// The width.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GaussianBlurDraw {
    /// Standard deviation in pixels.
    pub sigma: f64,
}

pub(crate) const MOST_SIGMA: f64 = 100.0;

/// Below it the neighbours of a pixel weigh less than a tone of 16 bits.
const LEAST_SIGMA: f64 = 0.2;

impl GaussianBlur {
    /// Deviations from `from` to `to` pixels, with kernels that are wide enough for them.
    pub fn new(from: f64, to: f64) -> Self {
        Self {
            sigma: Range::new(from, to),
            kernel_size: None,
        }
    }
}

impl Transform for GaussianBlur {
    type Draw = GaussianBlurDraw;

    fn name(&self) -> &'static str {
        "gaussian_blur"
    }

    fn check(&self) -> Result<(), ParamError> {
        self.sigma
            .check("sigma", 0.0, MOST_SIGMA, "ascending, from 0 to 100")?;
        match self.kernel_size {
            Some(size) if size % 2 == 0 || size > 1001 => {
                Err(ParamError::new("kernel_size", size, "odd and at most 1001"))
            }
            _ => Ok(()),
        }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> GaussianBlurDraw {
        GaussianBlurDraw {
            sigma: self.sigma.draw(rng),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &GaussianBlurDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        let sigma = within("sigma", draw.sigma, 0.0, MOST_SIGMA, "from 0 to 100")?;
        let kernel = match self.kernel_size {
            _ if sigma == 0.0 => return Ok(image),
            Some(size) => Kernel::gaussian_within(sigma, size / 2),
            None if sigma < LEAST_SIGMA => return Ok(image),
            None => Kernel::gaussian(sigma),
        };
        Ok(image.change_unit(|samples| blur(samples, &kernel)))
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::mixed(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::cases;

    #[derive(Deserialize)]
    struct Params {
        kernel_size: Option<usize>,
        sigma: f64,
    }

    fn check(file: &str, name: &str) {
        let cases = cases::<Params>(file, name);
        assert!(cases.len() >= 4);
        for case in cases {
            let blur = GaussianBlur {
                kernel_size: case.params.kernel_size,
                ..GaussianBlur::new(0.0, 1.0)
            };
            let draw = GaussianBlurDraw {
                sigma: case.params.sigma,
            };
            case.check(&blur, &draw);
        }
    }

    #[test]
    fn agrees_with_torchvision() {
        check("torchvision.json", "gaussian_blur");
    }

    #[test]
    fn agrees_with_scipy() {
        check("reference.json", "gaussian_blur_auto");
    }

    #[test]
    fn widths_that_make_no_sense_are_refused() {
        for (from, to) in [(-1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (0.0, 1e9)] {
            assert!(GaussianBlur::new(from, to).build().is_err());
        }
        for size in [0, 4, 2001] {
            let blur = GaussianBlur {
                kernel_size: Some(size),
                ..GaussianBlur::new(0.0, 1.0)
            };
            assert!(blur.build().is_err());
        }
    }
}
