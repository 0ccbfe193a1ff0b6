use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array2, ArrayView2};
use spheroid_core::at_least;

use crate::{RankError, discrepancy::check_finite};

/// Rows on the axes along which they differ most.
#[derive(Debug, Clone, PartialEq)]
pub struct PrincipalComponents {
    /// Place of every row on each axis, `[row, component]`, the mean of the rows at 0.
    pub places: Array2<f64>,
    /// Share of the variance that lies along each axis, from 0 to 1, the largest first.
    pub explained: Vec<f64>,
}

/// Principal component analysis: a map of rows of many features.
///
/// Features keep their scale. An axis has the sign that makes its largest loading positive. There are
/// as many components as asked for, or as rows or features where these are fewer.
///
/// # Shapes
/// `values` `[row, feature]`.
///
/// # Errors
/// When there are fewer than two rows, no feature, a value is not finite, or `components` is 0.
///
/// # Source
/// Jolliffe, Principal Component Analysis (2002), sections 1.1 and 3.5.
///
/// # Example
/// ```
/// use ndarray::array;
/// let map = spheroid_rank::principal_components(array![[0., 3.], [4., 0.], [8., -3.]].view(), 1)?;
/// assert!((map.places[[2, 0]] - 5.0).abs() < 1e-12 && map.explained[0] > 1.0 - 1e-12);
/// # Ok::<(), spheroid_rank::RankError>(())
/// ```
pub fn principal_components(
    values: ArrayView2<'_, f32>,
    components: usize,
) -> Result<PrincipalComponents, RankError> {
    at_least("components", components, 1, "at least 1")?;
    check_finite("values", values)?;
    let (rows, features) = values.dim();
    if features == 0 {
        return Err(RankError::NoFeatures);
    }
    if rows < 2 {
        return Err(RankError::TooFewWells {
            what: "embedded",
            found: rows,
            needed: 2,
        });
    }
    let mut centred = DMatrix::from_fn(rows, features, |i, j| f64::from(values[[i, j]]));
    let mean = centred.row_mean();
    for mut row in centred.row_iter_mut() {
        row -= &mean;
    }
    // Whichever of XᵀX and XXᵀ is smaller: they have the same eigenvalues.
    let wide = features > rows;
    let eigen = SymmetricEigen::new(if wide {
        &centred * centred.transpose()
    } else {
        centred.tr_mul(&centred)
    });
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    order.truncate(components);
    let total = centred.norm_squared();
    let mut places = Array2::zeros((rows, order.len()));
    let mut explained = Vec::with_capacity(order.len());
    for (component, &index) in order.iter().enumerate() {
        let vector = eigen.eigenvectors.column(index);
        let (loadings, along) = if wide {
            let loadings = centred.tr_mul(&vector);
            let along = vector * loadings.norm();
            (loadings, along)
        } else {
            (vector.into_owned(), &centred * vector)
        };
        let sign = loadings[loadings.iamax()].signum();
        for (place, along) in places.column_mut(component).iter_mut().zip(&along) {
            *place = sign * along;
        }
        explained.push(if total > 0.0 {
            (along.norm_squared() / total).min(1.0)
        } else {
            0.0
        });
    }
    Ok(PrincipalComponents { places, explained })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn rows_that_are_alike_lie_at_one_place() {
        let map = principal_components(array![[2.0f32, 1.0], [2.0, 1.0]].view(), 2).unwrap();
        assert!(map.places.iter().all(|place| *place == 0.0));
        assert_eq!(map.explained, [0.0, 0.0]);
    }

    #[test]
    fn too_little_is_refused() {
        let values = array![[1.0f32, f32::NAN], [0.0, 1.0]];
        assert!(principal_components(values.view(), 1).is_err());
        assert!(principal_components(array![[1.0f32, 2.0]].view(), 1).is_err());
        assert!(principal_components(Array2::zeros((3, 0)).view(), 1).is_err());
        assert!(principal_components(array![[1.0f32], [2.0]].view(), 0).is_err());
    }
}
