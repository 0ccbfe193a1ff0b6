use nalgebra::{DMatrix, RowDVector};
use ndarray::{Array1, ArrayView2};

use crate::{
    RankError,
    discrepancy::{check_finite, check_indices},
};

/// Position of each residual on the axis from untreated wells to reference wells.
///
/// ```text
/// tᵢ = (rᵢ − u)·(s − u) / ‖s − u‖²,   u, s: mean residual of the untreated, the reference wells
/// ```
/// 0 is an average untreated well, 1 an average reference (single-dose) well, a negative value a
/// deviation the other way, such as faster growth. It shows direction only: drugs differ in kind, so
/// it orders them badly and must not rank them.
///
/// A row of either group is placed on an axis that is made without it; otherwise its own noise would
/// pull it towards its group.
///
/// # Shapes
/// `residuals` (actual − predicted) `[row, feature]`; `untreated` and `reference` are rows of it;
/// output `[row]`.
///
/// # Errors
/// When a value is not finite, a group has fewer than two rows, a row is beyond the rows, occurs
/// twice or in both groups, or the two means coincide.
///
/// # Example
/// ```
/// use ndarray::array;
/// let residuals = array![[0., 0.], [0., 0.], [4., 0.], [4., 0.], [2., 9.], [-4., 0.]];
/// let along = spheroid_rank::direction(residuals.view(), &[0, 1], &[2, 3])?;
/// assert_eq!(along, array![0., 0., 1., 1., 0.5, -1.]);
/// # Ok::<(), spheroid_rank::RankError>(())
/// ```
pub fn direction(
    residuals: ArrayView2<'_, f32>,
    untreated: &[usize],
    reference: &[usize],
) -> Result<Array1<f64>, RankError> {
    const MIN_WELLS: usize = 2;
    if residuals.ncols() == 0 {
        return Err(RankError::NoFeatures);
    }
    check_finite("residuals", residuals)?;
    for (what, group) in [("untreated", untreated), ("single-dose", reference)] {
        if group.len() < MIN_WELLS {
            return Err(RankError::TooFewWells {
                what,
                found: group.len(),
                needed: MIN_WELLS,
            });
        }
    }
    let rows = residuals.nrows();
    check_indices(
        "untreated or single-dose",
        &[untreated, reference].concat(),
        rows,
    )?;

    let residuals = DMatrix::from_fn(rows, residuals.ncols(), |i, j| f64::from(residuals[[i, j]]));
    let mean_without = |group: &[usize], row: usize| -> RowDVector<f64> {
        let others: Vec<usize> = group
            .iter()
            .copied()
            .filter(|&other| other != row)
            .collect();
        residuals.select_rows(&others).row_mean()
    };
    (0..rows)
        .map(|row| {
            let origin = mean_without(untreated, row);
            let axis = mean_without(reference, row) - &origin;
            let length = axis.norm_squared();
            if length > 0.0 {
                Ok((residuals.row(row) - origin).dot(&axis) / length)
            } else {
                Err(RankError::Undefined {
                    what: "direction",
                    reason: "untreated and single-dose wells have the same mean residual".into(),
                })
            }
        })
        .collect()
}
