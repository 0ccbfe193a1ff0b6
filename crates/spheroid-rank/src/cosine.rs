use ndarray::{Array1, ArrayView1, ArrayView2};
use spheroid_core::Discrepancy;

use crate::{RankError, discrepancy::check_rows};

/// Cosine distance between actual and predicted, 1 − a·p / (‖a‖ ‖p‖), from 0 to 2.
///
/// Ignores the reference and the lengths. Computed as ½ ‖a/‖a‖ − p/‖p‖‖², which is exactly 0 for
/// equal rows and keeps its digits for nearly equal ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cosine;

impl Discrepancy for Cosine {
    type Error = RankError;

    fn name(&self) -> &str {
        "cosine"
    }

    /// # Errors
    /// When the shapes differ, a value is not finite, or a row is all zero: it has no direction.
    fn score(
        &self,
        _reference: ArrayView2<'_, f32>,
        predicted: ArrayView2<'_, f32>,
        actual: ArrayView2<'_, f32>,
    ) -> Result<Array1<f64>, RankError> {
        check_rows(predicted, actual)?;
        let rows = predicted.rows().into_iter().zip(actual.rows()).enumerate();
        rows.map(|(row, (predicted, actual))| {
            let undefined = |what| RankError::Undefined {
                what: "cosine",
                reason: format!("{what} row {row} is all zero and has no direction"),
            };
            let predicted = unit(predicted).ok_or_else(|| undefined("predicted"))?;
            let actual = unit(actual).ok_or_else(|| undefined("actual"))?;
            Ok((actual - predicted)
                .mapv(|difference| difference * difference)
                .sum()
                / 2.0)
        })
        .collect()
    }
}

fn unit(row: ArrayView1<'_, f32>) -> Option<Array1<f64>> {
    let row = row.mapv(f64::from);
    let norm = row.dot(&row).sqrt();
    (norm > 0.0).then(|| row / norm)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    fn score(predicted: Array2<f32>, actual: Array2<f32>) -> Result<Array1<f64>, RankError> {
        Cosine.score(
            Array2::zeros((0, 2)).view(),
            predicted.view(),
            actual.view(),
        )
    }

    #[test]
    fn right_angle_is_one_and_opposite_two() {
        let scores = score(
            array![[2., 0.], [3., 0.], [1., 1.]],
            array![[0., 5.], [-1., 0.], [7., 7.]],
        );
        let expected = array![1., 2., 0.];
        approx::assert_abs_diff_eq!(
            scores.unwrap().as_slice().unwrap(),
            expected.as_slice().unwrap(),
            epsilon = 1e-15
        );
    }

    #[test]
    fn a_zero_row_has_no_direction() {
        let error = score(array![[1., 0.], [0., 0.]], array![[1., 0.], [1., 0.]]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cosine is undefined: predicted row 1 is all zero and has no direction"
        );
    }
}
