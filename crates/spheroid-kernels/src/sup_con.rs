use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use spheroid_core::positive;

use crate::{
    Extras, KernelError, RowLosses,
    contrastive::{Arrangement, Task, contrast},
};

/// Settings of [`SupCon`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SupConConfig {
    /// Temperature τ by which cosine similarities are divided; above 0.
    pub temperature: f64,
    /// What a positive is compared with.
    pub denominator: Denominator,
    /// Where the sum over the positives stands.
    #[serde(default)]
    pub placement: Placement,
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

/// Where the sum over the positives of a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// Outside the logarithm: every positive is asked for by itself. The better one in the paper.
    #[default]
    Outside,
    /// Inside the logarithm: one near positive is enough.
    Inside,
}

impl SupConConfig {
    /// Settings with temperature τ, all other rows in the denominator and the sum outside the logarithm.
    pub fn new(temperature: f64) -> Self {
        Self {
            temperature,
            denominator: Denominator::All,
            placement: Placement::Outside,
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
            placement: self.placement,
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
/// that gives every positive an equal share. With [`Placement::Inside`] the loss is
/// ```text
/// loss = mean_i ( log Σ_{j∈D(i)} exp s_ij − log( 1/|P(i)| Σ_{p∈P(i)} exp s_ip ) )
/// ```
/// Rows without a positive are left out of the mean, but stand in the denominators of others.
///
/// # Source
/// Khosla et al. 2020, "Supervised Contrastive Learning", arXiv 2004.11362, equations 2 (outside) and 3
/// (inside). Yeh et al. 2021, "Decoupled Contrastive Learning", arXiv 2110.06848, equation 6.
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
    placement: Placement,
}

impl SupCon {
    /// Mean loss over the rows that have a positive.
    ///
    /// # Shapes
    /// - `z`: `[row, feature]`, not normalised; `groups`: one number a row
    /// - output: `[1]`
    ///
    /// # Errors
    /// When there is not one group a row, no row, no feature, no two rows of one group, a row is zero or not
    /// finite, or, with [`Denominator::Negatives`], there is no second group.
    pub fn forward(&self, z: Tensor<2>, groups: &[usize]) -> Result<Tensor<1>, KernelError> {
        Ok(self.losses(z, groups, Extras::default())?.mean())
    }

    /// Loss of every row, with a memory bank or a temperature that learns.
    ///
    /// # Shapes
    /// - `z`: `[row, feature]`, not normalised; `groups`: one number a row
    /// - output: `[row]`
    ///
    /// # Errors
    /// As [`SupCon::forward`], where a bank stands for a second group; also when the bank has other features,
    /// or the temperature is not above 0.
    pub fn losses(
        &self,
        z: Tensor<2>,
        groups: &[usize],
        extras: Extras,
    ) -> Result<RowLosses, KernelError> {
        let [rows, features] = z.dims();
        if groups.len() != rows || features == 0 || rows == 0 {
            return Err(KernelError::Groups {
                rows,
                features,
                groups: groups.len(),
            });
        }
        let bank = extras.bank_rows(features)?;
        let one_group = groups.iter().all(|group| *group == groups[0]);
        if self.denominator == Denominator::Negatives && one_group && bank == 0 {
            return Err(KernelError::NoNegatives { rows });
        }
        let arrangement = Arrangement::Within { bank };
        let task = Task::new(arrangement, self.denominator, self.placement, groups);
        if task.anchors() == 0 {
            return Err(KernelError::NoPositives { rows });
        }
        contrast(z, self.temperature, extras, task)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
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
        placement: Placement,
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
                placement: case.placement,
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
