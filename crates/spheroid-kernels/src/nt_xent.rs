use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use spheroid_core::positive;

use crate::{
    Denominator, Extras, KernelError, Placement, RowLosses,
    contrastive::{Arrangement, Task, contrast},
};

/// Settings of [`NtXent`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NtXentConfig {
    /// Temperature τ by which cosine similarities are divided; above 0.
    pub temperature: f64,
}

impl NtXentConfig {
    /// Settings with temperature τ.
    pub fn new(temperature: f64) -> Self {
        Self { temperature }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// When the temperature is not finite and above 0.
    pub fn build(&self) -> Result<NtXent, KernelError> {
        Ok(NtXent {
            temperature: positive("temperature", self.temperature)?,
        })
    }
}

/// Normalised temperature-scaled cross entropy between two views of every image.
///
/// Row `i` and row `i + N` are the two views of image `i`; all other rows are its negatives. With
/// `s_ij = cos(z_i, z_j) / τ` and `p(i)` the other view of row `i`:
/// ```text
/// loss = 1/(2N) Σ_i ( log Σ_{j≠i} exp s_ij − s_{i,p(i)} )
/// ```
/// The denominator holds the positive, as in the paper. Rows are normalised inside. The loss of a single image
/// is 0, since its only partner is its positive.
///
/// # Source
/// Chen, Kornblith, Norouzi, Hinton 2020, "A Simple Framework for Contrastive Learning of Visual
/// Representations", arXiv 2002.05709, equation 1.
///
/// # Example
/// ```
/// use burn::tensor::{Device, Tensor};
/// use spheroid_kernels::NtXentConfig;
/// let z = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], &Device::flex());
/// let loss = NtXentConfig::new(0.5).build()?.forward(z)?.into_scalar::<f32>();
/// // Each row: log(exp(2) + 2 exp(0)) − 2.
/// assert!((loss - ((2f32.exp() + 2.0).ln() - 2.0)).abs() < 1e-6);
/// # Ok::<(), spheroid_kernels::KernelError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NtXent {
    temperature: f64,
}

impl NtXent {
    /// Mean loss over all rows.
    ///
    /// # Shapes
    /// - `z`: `[2N, feature]`, not normalised
    /// - output: `[1]`
    ///
    /// # Errors
    /// When the number of rows is odd or 0, there is no feature, or a row is zero or not finite.
    pub fn forward(&self, z: Tensor<2>) -> Result<Tensor<1>, KernelError> {
        Ok(self.losses(z, Extras::default())?.mean())
    }

    /// Loss of every row, with a memory bank or a temperature that learns.
    ///
    /// # Shapes
    /// - `z`: `[2N, feature]`, not normalised
    /// - output: `[2N]`
    ///
    /// # Errors
    /// As [`NtXent::forward`]; also when the bank has other features, or the temperature is not above 0.
    pub fn losses(&self, z: Tensor<2>, extras: Extras) -> Result<RowLosses, KernelError> {
        let [rows, features] = z.dims();
        if rows == 0 || rows % 2 == 1 || features == 0 {
            return Err(KernelError::Pairs { rows, features });
        }
        let groups: Vec<usize> = (0..rows).map(|row| row % (rows / 2)).collect();
        let task = Task::new(
            Arrangement::Within {
                bank: extras.bank_rows(features)?,
            },
            Denominator::All,
            Placement::Outside,
            &groups,
        );
        contrast(z, self.temperature, extras, task)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;
    use serde::Deserialize;
    use spheroid_testkit::{Tolerance, assert_close, central_difference, json_fixture};

    use super::*;

    /// Loss and gradient of `z`, row-major `[rows, features]`.
    fn loss_and_gradient(z: &[f32], rows: usize, temperature: f64) -> (f32, Vec<f32>) {
        let device = Device::flex().autodiff();
        let data = TensorData::new(z.to_vec(), [rows, z.len() / rows]);
        let z = Tensor::<2>::from_data(data, &device).require_grad();
        let loss = NtXentConfig::new(temperature)
            .build()
            .unwrap()
            .forward(z.clone())
            .unwrap();
        let gradient = z.grad(&loss.backward()).unwrap();
        (
            loss.into_scalar(),
            gradient.into_data().try_to_vec().unwrap(),
        )
    }

    /// Close relative to the largest entry: entries that cancel to nearly 0 carry its rounding.
    pub(crate) fn assert_gradient(gradient: &[f32], expected: &[f64]) {
        let largest = expected.iter().fold(0.0f64, |most, g| most.max(g.abs()));
        let tolerance = Tolerance {
            relative: 0.0,
            absolute: 1e-5 * largest + 1e-7,
        };
        assert_close(gradient, expected, tolerance);
    }

    #[derive(Deserialize)]
    struct Case {
        rows: usize,
        temperature: f64,
        z: Vec<f32>,
        loss: f64,
        gradient: Vec<f64>,
    }

    #[test]
    fn value_and_gradient_agree_with_pytorch() {
        let cases: Vec<Case> = json_fixture(env!("CARGO_MANIFEST_DIR"), "nt_xent.json");
        assert!(cases.len() >= 8);
        for case in cases {
            let (loss, gradient) = loss_and_gradient(&case.z, case.rows, case.temperature);
            assert_close(&[loss], &[case.loss], Tolerance::F32);
            assert_gradient(&gradient, &case.gradient);
        }
    }

    #[test]
    fn gradient_agrees_with_central_differences() {
        let z = [
            0.3f32, -1.0, 0.7, 0.2, 0.9, -0.4, 1.1, 0.1, -0.6, 0.5, 0.8, -0.2,
        ];
        let (_, gradient) = loss_and_gradient(&z, 4, 0.5);
        let at: Vec<f64> = z.iter().map(|&value| value.into()).collect();
        let expected = central_difference(&at, 1e-2, |z| {
            let z: Vec<f32> = z.iter().map(|&value| value as f32).collect();
            loss_and_gradient(&z, 4, 0.5).0.into()
        });
        assert_close(&gradient, &expected, Tolerance::GRADIENT);
    }

    #[test]
    fn identical_rows_are_as_likely_as_each_other() {
        let (loss, gradient) = loss_and_gradient(&[1.0; 12], 6, 0.1);
        assert!((loss - 5f32.ln()).abs() < 1e-5, "{loss}");
        assert!(gradient.iter().all(|g| g.abs() < 1e-5));
    }

    #[test]
    fn rows_without_a_direction_are_named() {
        let loss = NtXentConfig::new(0.5).build().unwrap();
        let forward = |z: [[f32; 2]; 4]| loss.forward(Tensor::from_floats(z, &Device::flex()));
        let error = forward([[1.0, 0.0], [0.0, 0.0], [3.0, 0.0], [1.0, 0.0]]).unwrap_err();
        assert!(matches!(error, KernelError::ZeroRow { row: 1 }), "{error}");
        for bad in [f32::NAN, f32::INFINITY] {
            let error = forward([[1.0, 0.0], [0.0, 1.0], [3.0, bad], [1.0, 0.0]]).unwrap_err();
            assert!(
                matches!(error, KernelError::NotFinite { row: 2 }),
                "{error}"
            );
        }
    }

    #[test]
    fn huge_and_tiny_norms_do_not_matter() {
        let z = [0.3f32, -1.0, 0.7, 0.2, 0.9, -0.4, 1.1, 0.1];
        let (loss, _) = loss_and_gradient(&z, 4, 0.07);
        for factor in [1e-12f32, 1e18] {
            let (scaled, gradient) = loss_and_gradient(&z.map(|v| v * factor), 4, 0.07);
            assert!(
                (scaled - loss).abs() < 1e-5 * loss,
                "{factor}: {scaled} against {loss}"
            );
            assert!(gradient.iter().all(|g| g.is_finite()));
        }
    }

    #[test]
    fn a_single_image_has_no_loss() {
        let (loss, gradient) = loss_and_gradient(&[1.0, 2.0, 3.0, 4.0], 2, 0.5);
        assert!(loss.abs() < 1e-6 && gradient.iter().all(|g| g.abs() < 1e-6));
    }

    #[test]
    fn rows_without_pairs_are_refused() {
        let loss = NtXentConfig::new(0.5).build().unwrap();
        for shape in [[0, 3], [3, 3], [2, 0]] {
            let z = Tensor::<2>::zeros(shape, &Device::flex());
            assert!(
                matches!(loss.forward(z), Err(KernelError::Pairs { .. })),
                "{shape:?}"
            );
        }
    }

    #[test]
    fn temperatures_that_make_no_sense_are_refused() {
        for temperature in [0.0, -0.5, f64::NAN, f64::INFINITY] {
            let built = NtXentConfig::new(temperature).build();
            assert!(matches!(built, Err(KernelError::Param(_))), "{temperature}");
        }
        // 0 in single precision.
        let z = Tensor::<2>::ones([2, 2], &Device::flex());
        let loss = NtXentConfig::new(1e-46).build().unwrap().forward(z);
        assert!(matches!(loss, Err(KernelError::Param(_))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn the_order_of_views_does_not_matter(
            z in proptest::collection::vec(-1.0f32..1.0, 24), temperature in 0.05f64..1.0,
        ) {
            let swapped: Vec<f32> = z[12..].iter().chain(&z[..12]).copied().collect();
            let (a, b) =
                (loss_and_gradient(&z, 6, temperature).0, loss_and_gradient(&swapped, 6, temperature).0);
            prop_assert!((a - b).abs() <= 1e-5 * (1.0 + a.abs()), "{} and {}", a, b);
        }
    }
}
