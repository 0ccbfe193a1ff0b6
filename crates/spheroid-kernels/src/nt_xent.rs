use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use spheroid_core::positive;

use crate::{
    KernelError,
    normalize::{MASKED, log_sum_exp, normalize_rows},
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
/// The denominator holds the positive, as in the paper. Rows are normalised inside; a row of zeros
/// has cosine 0 with every other, and the gradient of a row of norm 1. The loss of a single image is 0, since its only
/// partner is its positive.
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
    /// When the number of rows is odd or 0, or there is no feature.
    pub fn forward(&self, z: Tensor<2>) -> Result<Tensor<1>, KernelError> {
        let [rows, features] = z.dims();
        if rows == 0 || rows % 2 == 1 || features == 0 {
            return Err(KernelError::Pairs { rows, features });
        }
        let pairs = rows / 2;
        let z = normalize_rows(z);
        let first = z.clone().narrow(0, 0, pairs);
        let second = z.clone().narrow(0, pairs, pairs);
        let positive = (first * second).sum() * (2.0 / self.temperature);
        let itself = Tensor::<2>::eye(rows, &z.device()) * MASKED;
        let similarity = z.clone().matmul(z.transpose()) / self.temperature + itself;
        Ok((log_sum_exp(similarity).sum() - positive) / rows as f64)
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
    fn a_zero_row_is_like_a_row_at_right_angles() {
        let (loss, gradient) = loss_and_gradient(&[0.0, 0.0, 1.0, 0.0, 3.0, 0.0, 1.0, 0.0], 4, 0.5);
        // Row 0 has similarity 0 with all, the others 2 among each other and 0 with row 0.
        let others = (2.0 * 2f32.exp() + 1.0).ln();
        let expected = (3f32.ln() + others + 2.0 * (others - 2.0)) / 4.0;
        assert!(
            (loss - expected).abs() < 1e-6,
            "{loss} instead of {expected}"
        );
        assert!(
            gradient.iter().all(|g| g.is_finite() && g.abs() < 2.0),
            "{gradient:?}"
        );
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
        assert_eq!(loss_and_gradient(&[1.0, 2.0, 3.0, 4.0], 2, 0.5).0, 0.0);
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
