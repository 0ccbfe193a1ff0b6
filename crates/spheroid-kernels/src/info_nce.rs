use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use spheroid_core::{fraction, positive};

use crate::{
    Denominator, Extras, KernelError, Placement, RowLosses,
    contrastive::{Arrangement, Task, contrast},
};

/// Settings of [`InfoNce`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InfoNceConfig {
    /// Temperature τ by which cosine similarities are divided; above 0.
    pub temperature: f64,
    /// Share of the loss that asks an image for its text, 0 to 1; the rest asks a text for its image.
    pub weight: f64,
}

impl InfoNceConfig {
    /// Settings with temperature τ and the weight 0.75 of ConVIRT; 0.5 gives the loss of CLIP.
    pub fn new(temperature: f64) -> Self {
        Self {
            temperature,
            weight: 0.75,
        }
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// When the temperature is not finite and above 0, or the weight is outside 0 to 1.
    pub fn build(&self) -> Result<InfoNce, KernelError> {
        Ok(InfoNce {
            temperature: positive("temperature", self.temperature)?,
            weight: fraction("weight", self.weight)?,
        })
    }
}

/// Contrastive loss between two modalities, in both directions.
///
/// Row `i` of both sides belongs together. With `s_ij = cos(u_i, v_j) / τ` and weight λ:
/// ```text
/// loss = λ · mean_i (log Σ_j exp s_ij − s_ii) + (1 − λ) · mean_i (log Σ_j exp s_ji − s_ii)
/// ```
/// Rows of one group have the same text, so all of the group are right answers, each with an equal share.
///
/// # Source
/// Zhang et al. 2020, "Contrastive Learning of Medical Visual Representations from Paired Images and Text"
/// (ConVIRT), arXiv 2010.00747, equations 2 to 4. **Differs**: groups; with all groups different it is the
/// paper's.
///
/// # Example
/// ```
/// use burn::tensor::{Device, Tensor};
/// use spheroid_kernels::InfoNceConfig;
/// let side = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0]], &Device::flex());
/// let loss = InfoNceConfig::new(0.5).build()?.forward(side.clone(), side, &[0, 1])?.into_scalar::<f32>();
/// assert!((loss - ((2f32.exp() + 1.0).ln() - 2.0)).abs() < 1e-6);
/// # Ok::<(), spheroid_kernels::KernelError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InfoNce {
    temperature: f64,
    weight: f64,
}

impl InfoNce {
    /// Mean loss over all rows.
    ///
    /// # Shapes
    /// - `image`, `text`: `[row, feature]`, not normalised; `groups`: one number a row
    /// - output: `[1]`
    ///
    /// # Errors
    /// When the sides differ in shape, there is not one group a row, no row or no feature, or a row is zero or
    /// not finite.
    pub fn forward(
        &self,
        image: Tensor<2>,
        text: Tensor<2>,
        groups: &[usize],
    ) -> Result<Tensor<1>, KernelError> {
        let rows = groups.len();
        let losses = self.losses(image, text, groups, None)?.losses;
        let for_images = losses.clone().narrow(0, 0, rows).mean();
        let for_texts = losses.narrow(0, rows, rows).mean();
        Ok(for_images * self.weight + for_texts * (1.0 - self.weight))
    }

    /// Loss of every row, not weighted, with a temperature `[1]` that learns in place of that of the settings.
    ///
    /// # Shapes
    /// - `image`, `text`: `[row, feature]`, not normalised; `groups`: one number a row
    /// - output: `[2 · row]`, images before texts
    ///
    /// # Errors
    /// As [`InfoNce::forward`]; also when the temperature is not above 0.
    pub fn losses(
        &self,
        image: Tensor<2>,
        text: Tensor<2>,
        groups: &[usize],
        temperature: Option<Tensor<1>>,
    ) -> Result<RowLosses, KernelError> {
        let [rows, features] = image.dims();
        if text.dims() != [rows, features] {
            return Err(KernelError::Sides {
                image: image.dims(),
                text: text.dims(),
            });
        }
        if groups.len() != rows || rows == 0 || features == 0 {
            return Err(KernelError::Groups {
                rows,
                features,
                groups: groups.len(),
            });
        }
        let (all, outside) = (Denominator::All, Placement::Outside);
        let task = Task::new(Arrangement::Between, all, outside, groups);
        let extras = Extras {
            temperature,
            ..Extras::default()
        };
        contrast(
            Tensor::cat(vec![image, text], 0),
            self.temperature,
            extras,
            task,
        )
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use spheroid_testkit::{Tolerance, assert_close, json_fixture};

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        temperature: f64,
        weight: f64,
        groups: Vec<usize>,
        image: Vec<f32>,
        text: Vec<f32>,
        loss: f64,
        gradient_image: Vec<f64>,
        gradient_text: Vec<f64>,
    }

    #[test]
    fn value_and_gradients_agree_with_pytorch() {
        let cases: Vec<Case> = json_fixture(env!("CARGO_MANIFEST_DIR"), "info_nce.json");
        assert!(cases.len() >= 3);
        let device = Device::flex().autodiff();
        for case in cases {
            let rows = case.groups.len();
            let tensor = |values: &[f32]| {
                let data = TensorData::new(values.to_vec(), [rows, values.len() / rows]);
                Tensor::<2>::from_data(data, &device).require_grad()
            };
            let [image, text] = [tensor(&case.image), tensor(&case.text)];
            let config = InfoNceConfig {
                temperature: case.temperature,
                weight: case.weight,
            };
            let loss = config
                .build()
                .unwrap()
                .forward(image.clone(), text.clone(), &case.groups)
                .unwrap();
            let gradients = loss.backward();
            assert_close(&[loss.into_scalar::<f32>()], &[case.loss], Tolerance::F32);
            for (side, expected) in [(image, &case.gradient_image), (text, &case.gradient_text)] {
                let gradient = side.grad(&gradients).unwrap().into_data();
                crate::nt_xent::tests::assert_gradient(
                    &gradient.try_to_vec::<f32>().unwrap(),
                    expected,
                );
            }
        }
    }

    #[test]
    fn sides_that_do_not_fit_are_refused() {
        let side = |rows, features| Tensor::<2>::ones([rows, features], &Device::flex());
        let loss = InfoNceConfig::new(0.1).build().unwrap();
        let error = loss.forward(side(2, 3), side(2, 4), &[0, 1]).unwrap_err();
        assert!(matches!(error, KernelError::Sides { .. }));
        let error = loss.forward(side(2, 3), side(2, 3), &[0]).unwrap_err();
        assert!(matches!(error, KernelError::Groups { .. }));
        assert!(loss.forward(side(0, 3), side(0, 3), &[]).is_err());
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        for (temperature, weight) in [(0.0, 0.5), (f64::NAN, 0.5), (0.1, -0.1), (0.1, f64::NAN)] {
            let config = InfoNceConfig {
                temperature,
                weight,
            };
            assert!(config.build().is_err(), "{config:?}");
        }
    }
}
