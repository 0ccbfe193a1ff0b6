use nalgebra::{DMatrix, DVector, RowDVector, SVD};

/// A covariance shrunk towards a multiple of the identity, (1 − ρ) S + ρ μ I, held by its axes.
///
/// `S = XᵀX / n` lives in the span of the `n` rows of `X`. There the covariance has the variances
/// (1 − ρ) s² / n + ρ μ along the right singular vectors of `X`, and ρ μ in every other direction.
/// So nothing `[feature, feature]` is built.
pub(crate) struct ShrunkCovariance {
    /// Right singular vectors, `[axis, feature]`.
    axes: DMatrix<f64>,
    /// Variance along each axis.
    variances: DVector<f64>,
    /// Variance in the directions that no axis spans; `None` when the axes span all.
    elsewhere: Option<f64>,
}

impl ShrunkCovariance {
    /// Estimates the covariance about zero; `None` when it is singular.
    ///
    /// `shrinkage` from 0 to 1, or the estimate of Ledoit and Wolf when absent. The caller has
    /// checked that `rows` is finite and has a row and a feature.
    pub(crate) fn of(rows: &DMatrix<f64>, shrinkage: Option<f64>) -> Option<Self> {
        let (n, features) = (rows.nrows() as f64, rows.ncols() as f64);
        let svd = SVD::new(rows.clone(), false, true);
        let axes = svd.v_t?;
        let sample = svd.singular_values.map(|s| s * s / n);
        let mean_variance = sample.sum() / features;

        let shrinkage = shrinkage.unwrap_or_else(|| estimate(rows, &sample));
        let floor = shrinkage * mean_variance;
        let variances = sample.map(|variance| (1.0 - shrinkage) * variance + floor);
        let elsewhere = (axes.nrows() < axes.ncols()).then_some(floor);

        // Without shrinkage a variance that is lost in rounding is zero.
        let least = mean_variance * features * f64::EPSILON * n.max(features);
        let regular = variances
            .iter()
            .chain(&elsewhere)
            .all(|&variance| variance > least)
            || floor > 0.0;
        regular.then_some(Self {
            axes,
            variances,
            elsewhere,
        })
    }

    /// Mahalanobis distance of `row` from zero.
    pub(crate) fn distance(&self, row: &RowDVector<f64>) -> f64 {
        let along = &self.axes * row.transpose();
        let mut square: f64 = along
            .iter()
            .zip(&self.variances)
            .map(|(along, variance)| along * along / variance)
            .sum();
        if let Some(variance) = self.elsewhere {
            square += (row - along.transpose() * &self.axes).norm_squared() / variance;
        }
        square.sqrt()
    }
}

/// Ledoit and Wolf's share of the identity, by inner products of the rows alone.
///
/// ```text
/// ρ = min(b², d²) / d²,   d² = ‖S − μ I‖²,   b² = n⁻² Σ ‖xᵢ xᵢᵀ − S‖² = n⁻² (Σ ‖xᵢ‖⁴ − n ‖S‖²)
/// ```
fn estimate(rows: &DMatrix<f64>, sample: &DVector<f64>) -> f64 {
    /// Relative size below which the difference of two nearly equal sums is rounding.
    const ROUNDING: f64 = 1e-12;
    let (n, features) = (rows.nrows() as f64, rows.ncols() as f64);
    let square = sample.norm_squared();
    let distance = square - sample.sum().powi(2) / features;
    let fourth_powers: f64 = rows.row_iter().map(|row| row.norm_squared().powi(2)).sum();
    let error = (fourth_powers / n - square) / n;
    if distance > ROUNDING * square && error > ROUNDING * square {
        error.min(distance) / distance
    } else {
        // S is a multiple of the identity, or all rows give the same S: nothing to shrink.
        0.0
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        name: String,
        reference: Vec<Vec<f32>>,
        uncentred: Shrinkage,
        centred: Shrinkage,
    }

    #[derive(Deserialize)]
    struct Shrinkage {
        shrinkage: f64,
    }

    fn shrinkage(rows: &DMatrix<f64>) -> f64 {
        let n = rows.nrows() as f64;
        estimate(rows, &rows.singular_values().map(|s| s * s / n))
    }

    #[test]
    fn shrinkage_equals_scikit_learn() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../tests/fixtures/discrepancies.json")).unwrap();
        for case in cases {
            let (n, features) = (case.reference.len(), case.reference[0].len());
            let mut rows = DMatrix::from_fn(n, features, |i, j| f64::from(case.reference[i][j]));
            let found = shrinkage(&rows);
            assert!(
                (found - case.uncentred.shrinkage).abs() < 1e-9,
                "{}: {found}",
                case.name
            );
            let mean = rows.row_mean();
            rows.row_iter_mut().for_each(|mut row| row -= &mean);
            let found = shrinkage(&rows);
            assert!(
                (found - case.centred.shrinkage).abs() < 1e-9,
                "{}: {found}",
                case.name
            );
        }
    }

    #[test]
    fn a_multiple_of_the_identity_needs_no_shrinkage() {
        let rows = DMatrix::from_row_slice(4, 2, &[1., 0., -1., 0., 0., 1., 0., -1.]);
        assert_eq!(shrinkage(&rows), 0.0);
        let covariance = ShrunkCovariance::of(&rows, None).unwrap();
        // S = I / 2.
        let distance = covariance.distance(&RowDVector::from_row_slice(&[3., 4.]));
        assert!((distance - 5.0 * 2f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn shrunk_by_hand() {
        // Rows (2, 0), (0, 1), (0, 1): S = diag(4/3, 2/3), μ = 1, ρ = 1/2: Σ = diag(7/6, 5/6).
        let rows = DMatrix::from_row_slice(3, 2, &[2., 0., 0., 1., 0., 1.]);
        let covariance = ShrunkCovariance::of(&rows, Some(0.5)).unwrap();
        let distance = covariance.distance(&RowDVector::from_row_slice(&[1., 1.]));
        assert!((distance - (6.0 / 7.0 + 6.0 / 5.0f64).sqrt()).abs() < 1e-12);
    }
}
