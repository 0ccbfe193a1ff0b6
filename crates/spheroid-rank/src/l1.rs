use ndarray::{Array1, ArrayView2};
use spheroid_core::Discrepancy;

use crate::{RankError, discrepancy::residuals};

/// Sum of the absolute differences between actual and predicted, ‖a − p‖₁.
///
/// One feature that is far off counts less than in [`L2`](crate::L2). Ignores the reference, so
/// features of large scale rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct L1;

impl Discrepancy for L1 {
    type Error = RankError;

    fn name(&self) -> &str {
        "l1"
    }

    fn score(
        &self,
        _reference: ArrayView2<'_, f32>,
        predicted: ArrayView2<'_, f32>,
        actual: ArrayView2<'_, f32>,
    ) -> Result<Array1<f64>, RankError> {
        let residuals = residuals(predicted, actual)?;
        Ok(residuals
            .row_iter()
            .map(|residual| residual.lp_norm(1))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn adds_what_every_feature_is_off() {
        let none = Array2::zeros((0, 2));
        let predicted = array![[1., 1.], [0., 0.]];
        let actual = array![[4., -3.], [0., -2.]];
        let scores = L1
            .score(none.view(), predicted.view(), actual.view())
            .unwrap();
        assert_eq!(scores, array![7., 2.]);
    }
}
