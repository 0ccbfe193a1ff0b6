use ndarray::{Array3, ArrayView1, Axis, Zip};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use spheroid_core::{Augment, DrawKey, non_negative};

use crate::{AugmentError, error::not_empty};

/// Settings of [`Defocus`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DefocusConfig {
    /// Largest standard deviation of the blur in pixels, at least 0.
    pub most_sigma: f64,
}

impl DefocusConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// When the deviation is negative, not finite or above 100 px.
    pub fn build(&self) -> Result<Defocus, AugmentError> {
        let most_sigma = non_negative("most_sigma", self.most_sigma)?;
        if most_sigma > 100.0 {
            let error = spheroid_core::ParamError::new("most_sigma", most_sigma, "at most 100 px");
            return Err(error.into());
        }
        Ok(Defocus { most_sigma })
    }
}

/// Blurs all planes with one Gaussian whose width is drawn evenly from 0 to the largest.
///
/// Pixels beyond the border repeat the border's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Defocus {
    most_sigma: f64,
}

/// The width of the blur.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DefocusDraw {
    /// Standard deviation in pixels.
    pub sigma: f64,
}

/// Below it the kernel's neighbours weigh less than a tone.
const LEAST_SIGMA: f64 = 0.2;

impl Augment<Array3<f32>> for Defocus {
    type Draw = DefocusDraw;
    type View = Array3<f32>;
    type Error = AugmentError;

    fn draw(&self, key: DrawKey) -> DefocusDraw {
        DefocusDraw {
            sigma: key.rng().random_range(0.0..=self.most_sigma),
        }
    }

    fn apply(&self, stack: &Array3<f32>, draw: &DefocusDraw) -> Result<Array3<f32>, AugmentError> {
        not_empty(stack)?;
        if draw.sigma < LEAST_SIGMA {
            return Ok(stack.clone());
        }
        let kernel = gaussian(draw.sigma);
        let mut blurred = stack.clone();
        let mut lane = Vec::new();
        for axis in [Axis(2), Axis(1)] {
            for mut line in blurred.lanes_mut(axis) {
                convolve(line.view(), &kernel, &mut lane);
                Zip::from(&mut line)
                    .and(&ArrayView1::from(&lane))
                    .for_each(|to, &from| *to = from);
            }
        }
        Ok(blurred)
    }
}

/// Weights from −4σ to 4σ, of sum 1, as SciPy's `gaussian_filter`.
fn gaussian(sigma: f64) -> Vec<f32> {
    let radius = (4.0 * sigma + 0.5) as i64;
    let weight = |x: i64| (-0.5 * (x as f64 / sigma).powi(2)).exp();
    let sum: f64 = (-radius..=radius).map(weight).sum();
    (-radius..=radius)
        .map(|x| (weight(x) / sum) as f32)
        .collect()
}

fn convolve(line: ArrayView1<'_, f32>, kernel: &[f32], out: &mut Vec<f32>) {
    let radius = kernel.len() / 2;
    let last = line.len() - 1;
    out.clear();
    out.extend((0..line.len()).map(|at| {
        let weighted = kernel.iter().enumerate();
        weighted
            .map(|(k, w)| w * line[(at + k).saturating_sub(radius).min(last)])
            .sum::<f32>()
    }));
}

#[cfg(test)]
mod tests {
    use spheroid_testkit::{Tolerance, assert_close, json_fixture};

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        sigma: f64,
        rows: usize,
        columns: usize,
        image: Vec<f32>,
        blurred: Vec<f32>,
    }

    #[test]
    fn agrees_with_scipy() {
        let cases: Vec<Case> = json_fixture(env!("CARGO_MANIFEST_DIR"), "defocus.json");
        assert!(cases.len() >= 4);
        for case in cases {
            let shape = (1, case.rows, case.columns);
            let image = Array3::from_shape_vec(shape, case.image).unwrap();
            let defocus = DefocusConfig { most_sigma: 10.0 }.build().unwrap();
            let view = defocus
                .apply(&image, &DefocusDraw { sigma: case.sigma })
                .unwrap();
            assert_close(view.as_slice().unwrap(), &case.blurred, Tolerance::F32);
        }
    }

    #[test]
    fn widths_that_make_no_sense_are_refused() {
        for most_sigma in [-1.0, f64::NAN, 1e9] {
            assert!(DefocusConfig { most_sigma }.build().is_err());
        }
    }
}
