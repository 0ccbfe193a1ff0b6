use nalgebra::{DMatrix, RowDVector, SymmetricEigen};
use ndarray::{Array2, ArrayView2, ArrayView3, Axis};
use serde::{Deserialize, Serialize};
use spheroid_core::{Day, Fit, Forecast, ParamError, at_least, positive};

use crate::{TemporalError, Trajectories, horizon::Horizon, mean_change::change};

/// Settings of [`Ridge`].
///
/// # Example
/// ```
/// use spheroid_temporal::RidgeConfig;
/// assert!(RidgeConfig::default().build().is_ok());
/// let error = RidgeConfig { penalties: vec![f64::NAN], ..Default::default() }.build().unwrap_err();
/// assert_eq!(error.to_string(), "`penalties` must be finite and > 0, got NaN");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RidgeConfig {
    /// Penalties to choose from, as multiples of the mean squared distance of the past rows from
    /// their mean; a value means the same whatever the scale and the number of features. The
    /// default goes from 10⁻³ to 10⁴ in half decades; its far end is practically
    /// [`MeanChange`](crate::MeanChange).
    pub penalties: Vec<f64>,
    /// Keep only this many principal components of the past rows; all of them when absent.
    pub components: Option<usize>,
}

impl Default for RidgeConfig {
    fn default() -> Self {
        let penalties = (-6..=8).map(|half_decade| 10f64.powf(f64::from(half_decade) / 2.0));
        Self {
            penalties: penalties.collect(),
            components: None,
        }
    }
}

impl RidgeConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// When there is no penalty, one is not finite and above 0, or `components` is 0.
    pub fn build(&self) -> Result<Ridge, ParamError> {
        at_least("penalties", self.penalties.len(), 1, "at least one value")?;
        for &penalty in &self.penalties {
            positive("penalties", penalty)?;
        }
        if let Some(components) = self.components {
            at_least(
                "components",
                components,
                1,
                "at least 1, or absent to keep all",
            )?;
        }
        let mut penalties = self.penalties.clone();
        penalties.sort_by(f64::total_cmp);
        Ok(Ridge {
            penalties,
            components: self.components,
        })
    }
}

/// Ridge regression of the change (target − last past day) on all past days of a well.
///
/// ```text
/// change(x) = ȳ + (x − x̄) Wᵀ,   W = argmin Σ ‖yᵢ − ȳ − W (xᵢ − x̄)‖² + λ ‖W‖²
/// ```
/// `x` joins the past days of a well in one row. The intercept is not penalised, so a growing λ
/// shrinks the prediction to [`MeanChange`](crate::MeanChange), never to "no change".
///
/// There are far fewer wells than features, so everything is done on the `[well, well]` matrix of
/// inner products `K = U Λ Uᵀ` of the centred rows (dual form); nothing `[feature, feature]` is
/// built. λ is the candidate with the least leave-one-out error, which needs no refitting:
///
/// ```text
/// H = 1/n + U Λ (Λ + λ)⁻¹ Uᵀ,   left-out error of well i = (yᵢ − (H y)ᵢ) / (1 − Hᵢᵢ)
/// ```
/// Of equal candidates the largest penalty is taken. With `components` the principal axes are those
/// of all fitted wells, the left-out one included; its response is left out, its position is not.
///
/// # Source
/// Hoerl and Kennard, Technometrics 12 (1970), 55–67; Allen, Technometrics 16 (1974), 125–127 for
/// the leave-one-out error (PRESS).
#[derive(Debug, Clone, PartialEq)]
pub struct Ridge {
    penalties: Vec<f64>,
    components: Option<usize>,
}

/// The regression that [`Ridge`] learned.
#[derive(Debug, Clone, PartialEq)]
pub struct RidgeFitted {
    horizon: Horizon,
    past_mean: RowDVector<f64>,
    change_mean: RowDVector<f64>,
    /// Centred past rows, `[well, day × feature]`.
    past: DMatrix<f64>,
    /// Weights of the fitted wells, `[well, feature]`: W = dualᵀ past.
    dual: DMatrix<f64>,
    penalty: f64,
    left_out_error: f64,
}

impl RidgeFitted {
    /// The chosen penalty, in the unit of [`RidgeConfig::penalties`].
    pub fn penalty(&self) -> f64 {
        self.penalty
    }

    /// Mean squared leave-one-out error a value at the chosen penalty.
    ///
    /// A little too low to be reported as an error of prediction, since the penalty was chosen by
    /// it; that is what [`skill`](crate::skill) is for.
    pub fn left_out_error(&self) -> f64 {
        self.left_out_error
    }
}

impl Ridge {
    /// Two wells leave one when one is left out, and one has no spread to learn from.
    const MIN_WELLS: usize = 3;
}

impl Fit<Trajectories> for Ridge {
    type Fitted = RidgeFitted;
    type Error = TemporalError;

    fn fit(&self, untreated: &Trajectories) -> Result<RidgeFitted, TemporalError> {
        let wells = untreated.wells().len();
        if wells < Self::MIN_WELLS {
            return Err(TemporalError::TooFewWells {
                found: wells,
                needed: Self::MIN_WELLS,
            });
        }
        let (past, past_mean) = centred(joined_days(untreated.past()));
        let (change, change_mean) = centred(to_matrix(change(untreated).view()));

        let axes = PrincipalAxes::of(&past, self.components);
        let response = axes.vectors.transpose() * &change; // [axis, feature]
        let spread = past.norm_squared() / wells as f64;
        // Rows that are all equal have no axis of positive length: any scale gives the mean change.
        let scale = if spread > 0.0 { spread } else { 1.0 };

        let candidates = self.penalties.iter().map(|&penalty| {
            (
                penalty,
                axes.left_out_error(penalty * scale, &change, &response),
            )
        });
        let (penalty, left_out_error) = candidates
            .reduce(|best, next| if next.1 <= best.1 { next } else { best })
            .expect("build() asks for a penalty");
        let mut shrunk = response;
        for (mut row, length) in shrunk.row_iter_mut().zip(&axes.lengths) {
            row /= length + penalty * scale;
        }
        Ok(RidgeFitted {
            horizon: Horizon::of(untreated),
            past_mean,
            change_mean,
            dual: axes.vectors * shrunk,
            past,
            penalty,
            left_out_error,
        })
    }
}

impl Forecast for RidgeFitted {
    type Error = TemporalError;

    fn name(&self) -> &str {
        "ridge"
    }

    fn forecast(
        &self,
        days: &[Day],
        past: ArrayView3<'_, f32>,
        target: Day,
    ) -> Result<Array2<f32>, TemporalError> {
        self.horizon.check(days, past, target)?;
        let mut rows = joined_days(past);
        for mut row in rows.row_iter_mut() {
            row -= &self.past_mean;
        }
        let change = rows * self.past.transpose() * &self.dual;
        let last = past.index_axis(Axis(1), days.len() - 1);
        Ok(Array2::from_shape_fn(last.dim(), |(i, j)| {
            (f64::from(last[[i, j]]) + self.change_mean[j] + change[(i, j)]) as f32
        }))
    }
}

/// Eigenvectors and eigenvalues of the matrix of inner products, longest first.
struct PrincipalAxes {
    /// `[well, axis]`.
    vectors: DMatrix<f64>,
    lengths: Vec<f64>,
}

impl PrincipalAxes {
    fn of(rows: &DMatrix<f64>, components: Option<usize>) -> Self {
        let eigen = SymmetricEigen::new(rows * rows.transpose());
        let mut order: Vec<usize> = (0..rows.nrows()).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        // Centred rows span one dimension fewer than there are wells.
        order.truncate(components.unwrap_or(usize::MAX).min(rows.nrows() - 1));
        Self {
            vectors: eigen.eigenvectors.select_columns(&order),
            lengths: order
                .iter()
                .map(|&axis| eigen.eigenvalues[axis].max(0.0))
                .collect(),
        }
    }

    /// Mean squared leave-one-out error at penalty `lambda`.
    fn left_out_error(&self, lambda: f64, change: &DMatrix<f64>, response: &DMatrix<f64>) -> f64 {
        let mut vectors = self.vectors.clone();
        for (mut axis, length) in vectors.column_iter_mut().zip(&self.lengths) {
            axis *= length / (length + lambda);
        }
        let errors = change - &vectors * response;
        let squares = errors.row_iter().enumerate().map(|(well, error)| {
            let leverage =
                1.0 / change.nrows() as f64 + vectors.row(well).dot(&self.vectors.row(well));
            error.norm_squared() / (1.0 - leverage).powi(2)
        });
        squares.sum::<f64>() / change.len() as f64
    }
}

/// `[well, day, feature]` as `[well, day × feature]`.
fn joined_days(past: ArrayView3<'_, f32>) -> DMatrix<f64> {
    let (wells, days, features) = past.dim();
    DMatrix::from_fn(wells, days * features, |well, column| {
        f64::from(past[[well, column / features, column % features]])
    })
}

fn to_matrix(rows: ArrayView2<'_, f64>) -> DMatrix<f64> {
    DMatrix::from_fn(rows.nrows(), rows.ncols(), |i, j| rows[[i, j]])
}

fn centred(mut rows: DMatrix<f64>) -> (DMatrix<f64>, RowDVector<f64>) {
    let mean = rows.row_mean();
    for mut row in rows.row_iter_mut() {
        row -= &mean;
    }
    (rows, mean)
}
