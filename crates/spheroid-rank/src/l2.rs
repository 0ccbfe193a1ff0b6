use ndarray::{Array1, ArrayView2};
use spheroid_core::Discrepancy;

use crate::{RankError, discrepancy::residuals};

/// Euclidean distance between actual and predicted, ‖a − p‖.
///
/// Ignores the reference, so features of large scale rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct L2;

impl Discrepancy for L2 {
    type Error = RankError;

    fn name(&self) -> &str {
        "l2"
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
            .map(|residual| residual.norm())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn is_the_length_of_the_residual() {
        let none = Array2::zeros((0, 2));
        let predicted = array![[1., 1.], [0., 0.]];
        let actual = array![[4., 5.], [0., -2.]];
        let scores = L2
            .score(none.view(), predicted.view(), actual.view())
            .unwrap();
        assert_eq!(scores, array![5., 2.]);
    }
}
