use ndarray::Array3;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, within};
use spheroid_imaging::SampleType;

use super::{
    Border, Sampling,
    sampling::{bend, contract},
};
use crate::{
    AugmentError, Image, Pixel, Range, ToneContract, Transform,
    filter::{Kernel, blur},
};

/// Bends the image by a smooth random field.
///
/// The field is noise between −1 and 1 that a Gaussian smooths, times a factor.
///
/// # Source
/// Simard, Steinkraus, Platt, *Best practices for convolutional neural networks* (ICDAR 2003). The
/// factor is half of `alpha` in torchvision's `ElasticTransform`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Elastic {
    /// Factor on the smoothed noise, in pixels, 0 to 10,000.
    pub strength: Range,
    /// Standard deviation of the smoothing in pixels, 0.5 to 100.
    pub sigma: Range,
    /// How values between pixels are calculated.
    pub sampling: Sampling,
    /// What comes in from beyond the border.
    pub border: Border,
}

impl Default for Elastic {
    /// As torchvision's `alpha` of 50 and `sigma` of 5, mirrored at the border.
    fn default() -> Self {
        Self {
            strength: Range::only(25.0),
            sigma: Range::only(5.0),
            sampling: Sampling::Bilinear,
            border: Border::Mirror,
        }
    }
}

/// The field.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElasticDraw {
    /// Factor on the smoothed noise, in pixels.
    pub strength: f64,
    /// Standard deviation of the smoothing in pixels.
    pub sigma: f64,
    /// Fixes the noise.
    pub seed: u64,
}

const MOST_STRENGTH: f64 = 1e4;
const SIGMAS: [f64; 2] = [0.5, 100.0];

impl ElasticDraw {
    /// Displacement of every pixel in pixels: rows, then columns.
    fn field(&self, rows: usize, columns: usize) -> Result<Array3<f32>, ParamError> {
        let strength = within(
            "strength",
            self.strength,
            0.0,
            MOST_STRENGTH,
            "from 0 to 10000",
        )?;
        let sigma = within("sigma", self.sigma, SIGMAS[0], SIGMAS[1], "from 0.5 to 100")?;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let noise = || rng.random_range(-1.0_f32..=1.0);
        let mut field = Array3::from_shape_simple_fn((2, rows, columns), noise);
        blur(&mut field, &Kernel::gaussian(sigma));
        field *= strength as f32;
        Ok(field)
    }
}

impl Transform for Elastic {
    type Draw = ElasticDraw;

    fn name(&self) -> &'static str {
        "elastic"
    }

    fn check(&self) -> Result<(), ParamError> {
        self.strength
            .check("strength", 0.0, MOST_STRENGTH, "ascending, from 0 to 10000")?;
        self.sigma
            .check("sigma", SIGMAS[0], SIGMAS[1], "ascending, from 0.5 to 100")?;
        self.border.check()
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> ElasticDraw {
        ElasticDraw {
            strength: self.strength.draw(rng),
            sigma: self.sigma.draw(rng),
            seed: rng.random(),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &ElasticDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        let (_, rows, columns) = image.dim();
        let field = draw.field(rows, columns)?;
        Ok(displaced(image.into_unit(), self.sampling, self.border, &field).into_pixels())
    }

    fn tone_contract(&self, sample_type: SampleType) -> ToneContract {
        contract(self.sampling, self.border, sample_type)
    }
}

/// Takes every pixel from where `field` (rows, then columns, in pixels) points to.
fn displaced<'a>(
    image: Image<'a, f32>,
    sampling: Sampling,
    border: Border,
    field: &Array3<f32>,
) -> Image<'a, f32> {
    bend(image, sampling, border, |row, column| {
        let at = |axis: usize| f64::from(field[[axis, row, column]]);
        (row as f64 + at(0), column as f64 + at(1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::cases;

    #[derive(Deserialize)]
    struct Params {
        displacement: Displacement,
        fill: f32,
    }

    #[derive(Deserialize)]
    struct Displacement {
        shape: [usize; 3],
        values: Vec<f32>,
    }

    /// torchvision counts displacements in half images, columns first, and weighs the border as in
    /// its `affine`.
    #[test]
    fn agrees_with_torchvision() {
        for case in cases::<Params>("torchvision.json", "elastic") {
            let Displacement { shape, values } = &case.params.displacement;
            let [rows, columns, _] = *shape;
            let field = Array3::from_shape_fn((2, rows, columns), |(axis, row, column)| {
                let value = values[(row * columns + column) * 2 + (1 - axis)];
                value * [rows, columns][axis] as f32 / 2.0
            });
            let of = |samples: &Array3<f32>| {
                let image = Image::new(samples).unwrap();
                let border = Border::Value(0.0);
                displaced(image, Sampling::Bilinear, border, &field).into_samples()
            };
            let covered = of(&Array3::ones(case.image.dim()));
            let mut expected = of(&case.image);
            let fill = case.params.fill;
            expected.zip_mut_with(&covered, |value, &covered| {
                *value = covered * (*value - fill) + fill;
            });
            case.check_samples(&expected);
        }
    }

    #[test]
    fn the_field_is_smooth_and_of_the_stated_strength() {
        let draw = ElasticDraw {
            strength: 50.0,
            sigma: 4.0,
            seed: 3,
        };
        let field = draw.field(64, 48).unwrap();
        assert_eq!(field.dim(), (2, 64, 48));
        // Even noise has a variance of 1/3; a Gaussian in two dimensions leaves 1 / (4πσ²) of it.
        let expected = 50.0 * (1.0 / 3.0 / (4.0 * std::f32::consts::PI * 16.0)).sqrt();
        let found = field.std(0.0);
        assert!(
            (found / expected - 1.0).abs() < 0.2,
            "{found} is not {expected}"
        );
        let steps = field
            .windows([1, 1, 2])
            .into_iter()
            .map(|pair| (pair[[0, 0, 0]] - pair[[0, 0, 1]]).abs());
        assert!(steps.fold(0.0, f32::max) < found);
    }
}
