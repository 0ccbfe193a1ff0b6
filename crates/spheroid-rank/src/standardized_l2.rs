use ndarray::{Array1, ArrayView2};
use serde::{Deserialize, Serialize};
use spheroid_core::{Discrepancy, ParamError, positive};

use crate::{
    RankError,
    discrepancy::{centred, feature_scales},
};

/// Settings of [`StandardizedL2`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StandardizedL2Config {
    /// Least scale of a feature, as a share of the root mean square of all scales; above 0. Keeps a
    /// feature that hardly moves in a dozen untreated wells from ruling the score.
    pub floor: f64,
    /// Measure from the mean reference residual instead of from the prediction; see
    /// [`MahalanobisConfig::centre`](crate::MahalanobisConfig::centre).
    pub centre: bool,
}

impl Default for StandardizedL2Config {
    fn default() -> Self {
        Self {
            floor: 0.1,
            centre: false,
        }
    }
}

impl StandardizedL2Config {
    /// Checks the settings.
    ///
    /// # Errors
    /// When `floor` is not finite and above 0.
    pub fn build(&self) -> Result<StandardizedL2, ParamError> {
        positive("floor", self.floor)?;
        Ok(StandardizedL2 {
            config: self.clone(),
        })
    }
}

/// Euclidean distance after each feature is divided by the scale of its reference residuals.
///
/// ```text
/// d = √ Σⱼ (rⱼ / max(sⱼ, floor · s̄))²,   sⱼ² = mean of squared reference residuals,   s̄² = mean of sⱼ²
/// ```
/// Residuals are not centred unless the settings say so.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StandardizedL2 {
    config: StandardizedL2Config,
}

impl Discrepancy for StandardizedL2 {
    type Error = RankError;

    fn name(&self) -> &str {
        "standardized_l2"
    }

    /// # Errors
    /// When the shapes differ, a value is not finite, there are fewer than
    /// [`MIN_REFERENCE`](crate::discrepancy::MIN_REFERENCE) reference rows or they do not scatter.
    fn score(
        &self,
        reference: ArrayView2<'_, f32>,
        predicted: ArrayView2<'_, f32>,
        actual: ArrayView2<'_, f32>,
    ) -> Result<Array1<f64>, RankError> {
        let (reference, residuals) = centred(reference, predicted, actual, self.config.centre)?;
        let scales = feature_scales(&reference, self.config.floor).ok_or(
            RankError::DegenerateReference {
                metric: "standardized_l2",
                reason: "no feature varies among the untreated wells",
            },
        )?;
        let squares = residuals.row_iter().map(|residual| {
            let terms = residual.iter().zip(&scales);
            terms
                .map(|(value, scale)| (value / scale).powi(2))
                .sum::<f64>()
        });
        Ok(squares.map(f64::sqrt).collect())
    }
}
