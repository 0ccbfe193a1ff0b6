use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use spheroid_core::positive;

use crate::{
    KernelError,
    normalize::{MASKED, log_sum_exp, normalize_rows},
};

/// Settings of [`SupCon`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SupConConfig {
    /// Temperature τ by which cosine similarities are divided; above 0.
    pub temperature: f64,
    /// What a positive is compared with.
    pub denominator: Denominator,
}

/// Which rows stand in the denominator of a row's loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Denominator {
    /// All other rows: SupCon, and SimCLR when every group has two rows.
    All,
    /// Rows of other groups alone: decoupled contrastive learning.
    Negatives,
}

impl SupConConfig {
    /// Settings with temperature τ and all other rows in the denominator.
    pub fn new(temperature: f64) -> Self {
        Self {
            temperature,
            denominator: Denominator::All,
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// When the temperature is not finite and above 0.
    pub fn build(&self) -> Result<SupCon, KernelError> {
        Ok(SupCon {
            temperature: positive("temperature", self.temperature)?,
            denominator: self.denominator,
        })
    }
}

/// Contrastive loss of rows that come in groups of any size.
///
/// The other rows of a row's group are its positives `P(i)`, rows of other groups its negatives. With
/// `s_ij = cos(z_i, z_j) / τ`, summed over the rows that have a positive:
/// ```text
/// loss = mean_i ( log Σ_{j∈D(i)} exp s_ij − 1/|P(i)| Σ_{p∈P(i)} s_ip )
/// ```
/// `D(i)` is what [`Denominator`] says. This is the cross entropy between the softmax of a row and a target
/// that gives every positive an equal share. Rows without a positive are left out of the mean, but stand in
/// the denominators of others. A row of zeros has cosine 0 with every other.
///
/// # Source
/// Khosla et al. 2020, "Supervised Contrastive Learning", arXiv 2004.11362, equation 2 (the sum outside the
/// logarithm). Yeh et al. 2021, "Decoupled Contrastive Learning", arXiv 2110.06848, equation 6.
///
/// # Example
/// ```
/// use burn::tensor::{Device, Tensor};
/// use spheroid_kernels::SupConConfig;
/// let z = Tensor::<2>::from_floats([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], &Device::flex());
/// let loss = SupConConfig::new(0.5).build()?.forward(z, &[7, 7, 9])?.into_scalar::<f32>();
/// // The first two rows each: log(exp(2) + exp(0)) − 2; the third has no positive.
/// assert!((loss - ((2f32.exp() + 1.0).ln() - 2.0)).abs() < 1e-6);
/// # Ok::<(), spheroid_kernels::KernelError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SupCon {
    temperature: f64,
    denominator: Denominator,
}

impl SupCon {
    /// Mean loss over the rows that have a positive.
    ///
    /// # Shapes
    /// - `z`: `[row, feature]`, not normalised; `groups`: one number a row
    /// - output: `[1]`
    ///
    /// # Errors
    /// When there is not one group a row, no row, no feature, no two rows of one group, or, with
    /// [`Denominator::Negatives`], no second group.
    pub fn forward(&self, z: Tensor<2>, groups: &[usize]) -> Result<Tensor<1>, KernelError> {
        let [rows, features] = z.dims();
        if groups.len() != rows || features == 0 || rows == 0 {
            return Err(KernelError::Groups {
                rows,
                features,
                groups: groups.len(),
            });
        }
        if self.denominator == Denominator::Negatives && groups.iter().all(|g| *g == groups[0]) {
            return Err(KernelError::NoNegatives { rows });
        }
        let device = z.device();
        let (shares, anchors) = target_shares(groups, true, &device);
        if anchors == 0 {
            return Err(KernelError::NoPositives { rows });
        }
        let z = normalize_rows(z);
        let similarity = z.clone().matmul(z.transpose()) / self.temperature;
        let masked = match self.denominator {
            Denominator::All => Tensor::eye(rows, &device),
            // Shares are above 0 exactly where a positive is.
            Denominator::Negatives => {
                Tensor::eye(rows, &device) + shares.clone().greater_elem(0.0).float()
            }
        };
        // A row without a positive has no shares, which takes its logarithm out of the sum.
        let counts = shares.clone().sum_dim(1);
        let log_sum_exp = log_sum_exp(similarity.clone() + masked * MASKED) * counts;
        Ok((log_sum_exp.sum() - (similarity * shares).sum()) / anchors as f64)
    }
}

/// Equal shares, together 1, for the columns of a row's group; with `mask_itself` a row's own column gets
/// none. Also the number of rows that have any.
pub(crate) fn target_shares(
    groups: &[usize],
    mask_itself: bool,
    device: &Device,
) -> (Tensor<2>, usize) {
    let rows = groups.len();
    let mut shares = vec![0.0f32; rows * rows];
    let mut anchors = 0;
    for (i, target) in shares.chunks_exact_mut(rows).enumerate() {
        let partner = |j: usize| groups[j] == groups[i] && !(mask_itself && i == j);
        let count = (0..rows).filter(|j| partner(*j)).count();
        anchors += usize::from(count > 0);
        for (j, share) in target.iter_mut().enumerate() {
            if partner(j) {
                *share = 1.0 / count as f32;
            }
        }
    }
    let data = TensorData::new(shares, [rows, rows]);
    (Tensor::from_data(data, device), anchors)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use spheroid_testkit::{Tolerance, assert_close, central_difference, json_fixture};

    use super::*;
    use crate::NtXentConfig;

    fn loss_and_gradient(z: &[f32], groups: &[usize], config: &SupConConfig) -> (f32, Vec<f32>) {
        let rows = groups.len();
        let data = TensorData::new(z.to_vec(), [rows, z.len() / rows]);
        let z = Tensor::<2>::from_data(data, &Device::flex().autodiff()).require_grad();
        let loss = config.build().unwrap().forward(z.clone(), groups).unwrap();
        let gradient = z.grad(&loss.backward()).unwrap();
        (
            loss.into_scalar(),
            gradient.into_data().try_to_vec().unwrap(),
        )
    }

    #[derive(Deserialize)]
    struct Case {
        temperature: f64,
        denominator: Denominator,
        groups: Vec<usize>,
        z: Vec<f32>,
        loss: f64,
        gradient: Vec<f64>,
    }

    #[test]
    fn value_and_gradient_agree_with_pytorch() {
        let cases: Vec<Case> = json_fixture(env!("CARGO_MANIFEST_DIR"), "sup_con.json");
        assert!(cases.len() >= 8);
        for case in cases {
            let config = SupConConfig {
                temperature: case.temperature,
                denominator: case.denominator,
            };
            let (loss, gradient) = loss_and_gradient(&case.z, &case.groups, &config);
            assert_close(&[loss], &[case.loss], Tolerance::F32);
            crate::nt_xent::tests::assert_gradient(&gradient, &case.gradient);
        }
    }

    #[test]
    fn gradient_agrees_with_central_differences() {
        let z = [
            0.3f32, -1.0, 0.7, 0.2, 0.9, -0.4, 1.1, 0.1, -0.6, 0.5, 0.8, -0.2,
        ];
        let groups = [1, 1, 1, 2, 2, 3];
        for denominator in [Denominator::All, Denominator::Negatives] {
            let config = SupConConfig {
                denominator,
                ..SupConConfig::new(0.5)
            };
            let (_, gradient) = loss_and_gradient(&z, &groups, &config);
            let expected = central_difference(&z.map(f64::from), 1e-2, |z| {
                let z: Vec<f32> = z.iter().map(|&value| value as f32).collect();
                loss_and_gradient(&z, &groups, &config).0.into()
            });
            assert_close(&gradient, &expected, Tolerance::GRADIENT);
        }
    }

    #[test]
    fn rows_that_cannot_be_compared_are_refused() {
        let z = || Tensor::<2>::ones([3, 2], &Device::flex());
        let loss = SupConConfig::new(0.5).build().unwrap();
        assert!(matches!(
            loss.forward(z(), &[1, 1]),
            Err(KernelError::Groups { .. })
        ));
        let error = loss.forward(z(), &[1, 2, 3]).unwrap_err();
        assert!(matches!(error, KernelError::NoPositives { rows: 3 }));
        let decoupled = SupConConfig {
            denominator: Denominator::Negatives,
            ..SupConConfig::new(0.5)
        };
        let error = decoupled
            .build()
            .unwrap()
            .forward(z(), &[1; 3])
            .unwrap_err();
        assert!(matches!(error, KernelError::NoNegatives { rows: 3 }));
        let nothing = Tensor::<2>::zeros([0, 2], &Device::flex());
        assert!(loss.forward(nothing, &[]).is_err());
    }

    #[test]
    fn temperatures_that_make_no_sense_are_refused() {
        for temperature in [0.0, -0.5, f64::NAN, f64::INFINITY] {
            assert!(SupConConfig::new(temperature).build().is_err());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn pairs_give_nt_xent(
            z in proptest::collection::vec(-1.0f32..1.0, 24), temperature in 0.05f64..1.0,
        ) {
            let config = SupConConfig::new(temperature);
            let (loss, _) = loss_and_gradient(&z, &[0, 1, 2, 0, 1, 2], &config);
            let data = TensorData::new(z, [6, 4]);
            let pairs = Tensor::<2>::from_data(data, &Device::flex());
            let nt_xent = NtXentConfig::new(temperature).build().unwrap();
            let expected = nt_xent.forward(pairs).unwrap().into_scalar::<f32>();
            prop_assert!((loss - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{loss} and {expected}");
        }
    }
}
