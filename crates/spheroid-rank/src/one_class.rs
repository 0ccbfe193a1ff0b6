use nalgebra::{DMatrix, DVector};
use ndarray::{Array1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use spheroid_core::{Discrepancy, ParamError, positive};

use crate::{
    RankError,
    discrepancy::{check_finite, standardized},
    label_permutation::{check_wells, sorted_rows},
};

/// Settings of [`OneClassSvm`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OneClassSvmConfig {
    /// Most of the reference rows that may lie outside, and least that are support vectors, as a
    /// share above 0 and up to 1.
    pub nu: f64,
    /// Width of the kernel exp(−γ d²), above 0; when absent 1 / (D v) with D features and v their
    /// mean variance. That is wide, as for wells of one kind; groups among them need several times
    /// as much.
    pub gamma: Option<f64>,
    /// The solver stops when no pair of multipliers breaks the optimality conditions by more; above
    /// 0.
    pub tolerance: f64,
}

impl Default for OneClassSvmConfig {
    fn default() -> Self {
        Self {
            nu: 0.5,
            gamma: None,
            tolerance: 1e-12,
        }
    }
}

impl OneClassSvmConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// When `nu` is not above 0 and at most 1, or `gamma` or `tolerance` is not finite and above 0.
    pub fn build(&self) -> Result<OneClassSvm, ParamError> {
        if !(self.nu > 0.0 && self.nu <= 1.0) {
            return Err(ParamError::new("nu", self.nu, "above 0 and at most 1"));
        }
        if let Some(gamma) = self.gamma {
            positive("gamma", gamma)?;
        }
        positive("tolerance", self.tolerance)?;
        Ok(OneClassSvm {
            config: self.clone(),
        })
    }
}

/// How far the residual lies outside the region that a one-class support vector machine draws round
/// the untreated residuals.
///
/// ```text
/// s(r) = −ln Σ αᵢ exp(−γ ‖r − xᵢ‖²),   α = argmin ½ Σ αᵢ αⱼ exp(−γ ‖xᵢ − xⱼ‖²),
///                                        0 ≤ αᵢ ≤ 1 / (ν n),  Σ αᵢ = 1
/// ```
/// The decision function is f = exp(−s) − ρ, so s orders wells as −f does. It is taken instead
/// because f is −ρ to the last digit for all wells that are far away, where s goes on growing; and
/// it is never negative. Every feature is divided by the standard deviation of its reference
/// residuals first, with the floor of [`StandardizedL2`](crate::StandardizedL2). A bias of the
/// predictor makes no difference; a perfect prediction does not score 0.
///
/// With `n` reference rows and `D` features this takes O(n² D) and n² numbers; a score takes O(n
/// D).
///
/// # Source
/// Schölkopf, Platt, Shawe-Taylor, Smola and Williamson, Neural Computation 13 (2001), 1443–1471;
/// sequential minimal optimisation with the choice of pairs of Fan, Chen and Lin, Journal of
/// Machine Learning Research 6 (2005), 1889–1918 (WSS 2).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OneClassSvm {
    config: OneClassSvmConfig,
}

impl Discrepancy for OneClassSvm {
    type Error = RankError;

    fn name(&self) -> &str {
        "one_class_svm"
    }

    /// # Errors
    /// When the shapes differ, a value is not finite, there are fewer than
    /// [`MIN_REFERENCE`](crate::discrepancy::MIN_REFERENCE) reference rows or too many for a matrix
    /// of their pairs, they do not scatter, or the solver does not reach the tolerance.
    fn score(
        &self,
        reference: ArrayView2<'_, f32>,
        predicted: ArrayView2<'_, f32>,
        actual: ArrayView2<'_, f32>,
    ) -> Result<Array1<f64>, RankError> {
        check_finite("reference", reference)?;
        check_wells(reference.nrows())?;
        // The solver's path, and so the last digits, must not depend on the order of the wells.
        let reference = reference.select(Axis(0), &sorted_rows(reference));
        let (reference, residuals) =
            standardized("one_class_svm", reference.view(), predicted, actual)?;

        let OneClassSvmConfig {
            nu,
            gamma,
            tolerance,
        } = self.config;
        let gamma =
            gamma.unwrap_or_else(|| 1.0 / (reference.norm_squared() / reference.nrows() as f64));
        let rows = reference.nrows();
        let mut kernel = DMatrix::identity(rows, rows);
        for i in 0..rows {
            for j in 0..i {
                let distance = (reference.row(i) - reference.row(j)).norm_squared();
                kernel[(i, j)] = (-gamma * distance).exp();
                kernel[(j, i)] = kernel[(i, j)];
            }
        }
        let most = 1.0 / (nu * rows as f64);
        let multipliers = multipliers(&kernel, most, tolerance).ok_or(RankError::Undefined {
            what: "one-class support vector machine",
            reason: format!("the solver did not reach a tolerance of {tolerance}: raise it"),
        })?;
        let support: Vec<usize> = (0..rows).filter(|&i| multipliers[i] > 0.0).collect();

        let scores = residuals.row_iter().map(|residual| {
            let exponents: Vec<f64> = support
                .iter()
                .map(|&i| gamma * (residual - reference.row(i)).norm_squared())
                .collect();
            // The nearest is taken out of the sum, which so cannot vanish.
            let nearest = exponents.iter().copied().fold(f64::INFINITY, f64::min);
            let sum: f64 = support
                .iter()
                .zip(&exponents)
                .map(|(&i, exponent)| multipliers[i] * (nearest - exponent).exp())
                .sum();
            (nearest - sum.ln()).max(0.0)
        });
        Ok(scores.collect())
    }
}

/// Solves min ½ αᵀ K α with 0 ≤ αᵢ ≤ `most` and Σ αᵢ = 1; `None` when it does not get there.
fn multipliers(kernel: &DMatrix<f64>, most: f64, tolerance: f64) -> Option<DVector<f64>> {
    /// Far beyond what any kernel matrix of this size has taken.
    const STEPS: usize = 10_000_000;
    /// Least curvature along a pair; equal rows have none.
    const CURVATURE: f64 = 1e-12;
    let rows = kernel.nrows();
    let mut alpha = DVector::from_fn(rows, |i, _| (1.0 - i as f64 * most).clamp(0.0, most));
    let mut gradient = kernel * &alpha;
    for _ in 0..STEPS {
        let by_gradient = |&i: &usize, &j: &usize| f64::total_cmp(&gradient[i], &gradient[j]);
        let gains = (0..rows).filter(|&i| alpha[i] < most).min_by(by_gradient);
        let Some(gains) = gains else {
            // Every multiplier is at its bound: there is no choice.
            return Some(alpha);
        };
        let curvature = |i: usize| {
            (kernel[(gains, gains)] + kernel[(i, i)] - 2.0 * kernel[(gains, i)]).max(CURVATURE)
        };
        let (mut worst, mut loses, mut best) = (0.0f64, gains, 0.0);
        for i in (0..rows).filter(|&i| alpha[i] > 0.0) {
            let excess = gradient[i] - gradient[gains];
            worst = worst.max(excess);
            let gain = excess * excess / curvature(i);
            if excess > 0.0 && gain > best {
                (loses, best) = (i, gain);
            }
        }
        if worst <= tolerance {
            return Some(alpha);
        }
        let (room, stock) = (most - alpha[gains], alpha[loses]);
        let step = ((gradient[loses] - gradient[gains]) / curvature(loses))
            .min(room)
            .min(stock);
        // A bound is reached exactly, or the pair would be chosen again for a rounding error.
        alpha[gains] = if step == room {
            most
        } else {
            alpha[gains] + step
        };
        alpha[loses] = stock - step;
        gradient.axpy(step, &kernel.column(gains), 1.0);
        gradient.axpy(-step, &kernel.column(loses), 1.0);
    }
    None
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn settings_outside_their_range_are_refused() {
        let param = |config: OneClassSvmConfig| config.build().unwrap_err().param;
        for bad in [0.0, -0.5, f64::NAN] {
            let default = OneClassSvmConfig::default;
            assert_eq!(
                param(OneClassSvmConfig {
                    nu: bad,
                    ..default()
                }),
                "nu"
            );
            let gamma = Some(bad);
            assert_eq!(param(OneClassSvmConfig { gamma, ..default() }), "gamma");
            let tolerance = bad;
            assert_eq!(
                param(OneClassSvmConfig {
                    tolerance,
                    ..default()
                }),
                "tolerance"
            );
        }
        let nu = 1.5;
        let default = OneClassSvmConfig::default();
        assert_eq!(param(OneClassSvmConfig { nu, ..default }), "nu");
    }

    #[test]
    fn multipliers_by_hand() {
        // Two far points and two near ones that share a kernel value of k: by symmetry α = (a, a,
        // b, b) with 2a + 2b = 1 and a = b (1 + k), unless the bound stops it.
        let k = 0.5;
        let mut kernel = DMatrix::identity(4, 4);
        kernel[(2, 3)] = k;
        kernel[(3, 2)] = k;
        let free = multipliers(&kernel, 1.0, 1e-14).unwrap();
        let b = 0.5 / (2.0 + k);
        for (found, expected) in free.iter().zip([b * (1.0 + k), b * (1.0 + k), b, b]) {
            assert!((found - expected).abs() < 1e-12, "{free}");
        }
        let bound = multipliers(&kernel, 0.26, 1e-14).unwrap();
        for (found, expected) in bound.iter().zip([0.26, 0.26, 0.24, 0.24]) {
            assert!((found - expected).abs() < 1e-12, "{bound}");
        }
        let all = multipliers(&kernel, 0.25, 1e-14).unwrap();
        assert!(all.iter().all(|alpha| *alpha == 0.25));
    }

    #[test]
    fn far_wells_do_not_tie() {
        let reference = array![[1.0f32], [0.5], [-1.0], [-0.5]];
        let predicted = Array2::zeros((3, 1));
        let actual = array![[1e3], [2e3], [-4e3]];
        let scores = OneClassSvm::default()
            .score(reference.view(), predicted.view(), actual.view())
            .unwrap();
        assert!(scores[0] < scores[1] && scores[1] < scores[2], "{scores}");
    }
}
