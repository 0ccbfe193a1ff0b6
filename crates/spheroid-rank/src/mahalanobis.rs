use ndarray::{Array1, ArrayView2};
use serde::{Deserialize, Serialize};
use spheroid_core::{Discrepancy, ParamError, fraction};

use crate::{
    RankError, StandardizedL2Config,
    discrepancy::{centred, feature_scales},
    ledoit_wolf::ShrunkCovariance,
};

/// Settings of [`Mahalanobis`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MahalanobisConfig {
    /// Share of the identity in the covariance, from 0 to 1; estimated when absent. 0 needs more
    /// wells than features.
    pub shrinkage: Option<f64>,
    /// Measure from the mean reference residual instead of from the prediction.
    ///
    /// Off by default: a bias belongs to the predictor, and a perfectly predicted well scores 0. With
    /// a predictor that learned the mean change it makes no difference. With persistence it does: set
    /// it, or a drug that stops all growth scores 0 and ranks below untreated wells.
    pub centre: bool,
    /// Divide every feature by the scale of its reference residuals first, as
    /// [`StandardizedL2`](crate::StandardizedL2) does with its default floor. On by default:
    /// shrinkage pulls towards equal variances, which means nothing between features of unlike units.
    /// Without it, and with n > D, the distance does not depend on the units at all.
    pub standardize: bool,
}

impl Default for MahalanobisConfig {
    fn default() -> Self {
        Self {
            shrinkage: None,
            centre: false,
            standardize: true,
        }
    }
}

impl MahalanobisConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// When `shrinkage` is not from 0 to 1.
    pub fn build(&self) -> Result<Mahalanobis, ParamError> {
        if let Some(shrinkage) = self.shrinkage {
            fraction("shrinkage", shrinkage)?;
        }
        Ok(Mahalanobis {
            config: self.clone(),
        })
    }
}

/// Mahalanobis distance of the residual under a shrunk covariance of the reference residuals.
///
/// ```text
/// d = √ rᵀ Σ⁻¹ r,   Σ = (1 − ρ) S + ρ (tr S / D) I,   S = mean of x xᵀ over the reference residuals x
/// ```
/// A direction in which untreated wells scatter much counts little. Shrinkage makes Σ invertible with
/// fewer wells than features; directions in which no untreated well moved get the least variance,
/// never none. Residuals are not centred unless the settings say so.
///
/// With `n` reference rows and `D` features this takes the singular values of an `n × D` matrix and
/// O(n D) a scored row.
///
/// # Source
/// Shrinkage ρ: Ledoit and Wolf, Journal of Multivariate Analysis 88 (2004), 365–411.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mahalanobis {
    config: MahalanobisConfig,
}

const DEGENERATE: RankError = RankError::DegenerateReference {
    metric: "mahalanobis",
    reason: "the untreated wells do not scatter, or all along one line",
};

impl Discrepancy for Mahalanobis {
    type Error = RankError;

    fn name(&self) -> &str {
        "mahalanobis"
    }

    /// # Errors
    /// When the shapes differ, a value is not finite, there are fewer than
    /// [`MIN_REFERENCE`](crate::discrepancy::MIN_REFERENCE) reference rows, or these scatter so
    /// little or so alike that the covariance is singular.
    fn score(
        &self,
        reference: ArrayView2<'_, f32>,
        predicted: ArrayView2<'_, f32>,
        actual: ArrayView2<'_, f32>,
    ) -> Result<Array1<f64>, RankError> {
        let (mut reference, mut residuals) =
            centred(reference, predicted, actual, self.config.centre)?;
        if self.config.standardize {
            let floor = StandardizedL2Config::default().floor;
            let scales = feature_scales(&reference, floor).ok_or(DEGENERATE)?;
            for (feature, scale) in scales.into_iter().enumerate() {
                reference.column_mut(feature).unscale_mut(scale);
                residuals.column_mut(feature).unscale_mut(scale);
            }
        }
        let covariance =
            ShrunkCovariance::of(&reference, self.config.shrinkage).ok_or(DEGENERATE)?;
        Ok(residuals
            .row_iter()
            .map(|row| covariance.distance(&row.into_owned()))
            .collect())
    }
}
