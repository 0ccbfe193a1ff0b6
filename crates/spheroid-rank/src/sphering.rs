use nalgebra::{DMatrix, DVector, RowDVector, SVD};
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, positive};

use crate::{
    RankError,
    discrepancy::{check_finite, check_indices, check_size},
};

/// Which of the many whitening transforms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpheringMethod {
    /// Features stay as near to what they were as whitening allows.
    #[default]
    Zca,
    /// Principal components, the strongest first; as many as the untreated rows span.
    Pca,
    /// As [`Zca`](Self::Zca) after dividing every feature by its standard deviation.
    ZcaCor,
    /// As [`Pca`](Self::Pca) after dividing every feature by its standard deviation.
    PcaCor,
}

/// Settings of [`Sphering`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpheringConfig {
    /// The transform.
    pub method: SpheringMethod,
    /// Added to every singular value of the untreated rows, above 0: the larger, the less directions
    /// in which they hardly scatter are blown up.
    pub epsilon: f64,
}

impl Default for SpheringConfig {
    fn default() -> Self {
        Self {
            method: SpheringMethod::default(),
            epsilon: 1e-6,
        }
    }
}

impl SpheringConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// When `epsilon` is not finite and above 0.
    pub fn build(&self) -> Result<Sphering, ParamError> {
        positive("epsilon", self.epsilon)?;
        Ok(Sphering {
            config: self.clone(),
        })
    }
}

/// Sphering (whitening) of features by what untreated wells do.
///
/// Directions in which untreated wells vary much, such as plate-to-plate or growth variation, are
/// pressed together, so that what is left between wells is more likely an effect.
///
/// ```text
/// X = U S Vᵀ   untreated rows less their mean
/// PCA: (x − mean) V (S + ε)⁻¹ √(n − 1)        ZCA: (x − mean) V (S + ε)⁻¹ Vᵀ √(n − 1)
/// ```
/// With fewer rows than features, ZCA gives directions that the rows do not span the smallest singular
/// value that is not 0; nothing `[feature, feature]` is built.
///
/// # Source
/// Kessy, Lewin and Strimmer, American Statistician 72 (2018), 309–314; the regularisation is that of
/// pycytominer's `Spherize`. **Differs in** two ways: PCA gives no components that the rows do not
/// span, and components have the sign that makes their largest loading positive.
#[derive(Debug, Clone, PartialEq)]
pub struct Sphering {
    config: SpheringConfig,
}

/// A [`Sphering`] that has seen untreated rows.
#[derive(Debug, Clone, PartialEq)]
pub struct SpheringFitted {
    mean: RowDVector<f64>,
    /// Features are divided by these.
    units: RowDVector<f64>,
    /// `[component, feature]`.
    axes: DMatrix<f64>,
    /// Factor of each component.
    factors: DVector<f64>,
    /// Factor of what the components do not span; none for PCA.
    elsewhere: Option<f64>,
}

impl Sphering {
    /// Learns the transform from the rows `untreated` of `values` `[row, feature]`.
    ///
    /// # Errors
    /// When there is no feature, a value is not finite, a row is beyond the rows or occurs twice, there
    /// are fewer than two, they do not scatter at all or, for the `Cor` methods, not in some feature.
    pub fn fit(
        &self,
        values: ArrayView2<'_, f32>,
        untreated: &[usize],
    ) -> Result<SpheringFitted, RankError> {
        use SpheringMethod::{Pca, PcaCor, Zca, ZcaCor};
        if values.ncols() == 0 {
            return Err(RankError::NoFeatures);
        }
        check_finite("features", values)?;
        check_indices("untreated", untreated, values.nrows())?;
        if untreated.len() < 2 {
            return Err(RankError::TooFewWells {
                what: "untreated",
                found: untreated.len(),
                needed: 2,
            });
        }
        let (rows, features) = (untreated.len(), values.ncols());
        let undefined = |reason: String| RankError::Undefined {
            what: "sphering",
            reason,
        };
        let mut x = DMatrix::from_fn(rows, features, |i, j| f64::from(values[[untreated[i], j]]));
        let mean = x.row_mean();
        for mut row in x.row_iter_mut() {
            row -= &mean;
        }
        let units = match self.config.method {
            Zca | Pca => RowDVector::from_element(features, 1.0),
            ZcaCor | PcaCor => RowDVector::from_iterator(
                features,
                x.column_iter()
                    .map(|column| (column.norm_squared() / rows as f64).sqrt()),
            ),
        };
        if let Some(feature) = units.iter().position(|unit| *unit == 0.0) {
            return Err(undefined(format!(
                "feature {feature} is the same in all untreated wells"
            )));
        }
        for mut row in x.row_iter_mut() {
            row.component_div_assign(&units);
        }
        let svd = SVD::new(x, false, true);
        let axes = svd.v_t.expect("the right vectors were asked for");
        // As numpy.linalg.matrix_rank.
        let least = svd.singular_values.max() * rows.max(features) as f64 * f64::EPSILON;
        let kept: Vec<usize> = (0..axes.nrows())
            .filter(|&i| svd.singular_values[i] > least)
            .collect();
        let Some(smallest) = kept
            .iter()
            .map(|&i| svd.singular_values[i])
            .reduce(f64::min)
        else {
            return Err(undefined("the untreated wells do not scatter".into()));
        };
        let factor = |value: f64| (rows as f64 - 1.0).sqrt() / (value + self.config.epsilon);
        let mut axes = axes.select_rows(&kept);
        for mut axis in axes.row_iter_mut() {
            if axis[axis.iamax_full().1] < 0.0 {
                axis.neg_mut();
            }
        }
        Ok(SpheringFitted {
            mean,
            units,
            axes,
            factors: DVector::from_iterator(
                kept.len(),
                kept.iter().map(|&i| factor(svd.singular_values[i])),
            ),
            elsewhere: match self.config.method {
                Zca | ZcaCor => Some(factor(smallest)),
                Pca | PcaCor => None,
            },
        })
    }
}

impl SpheringFitted {
    /// The sphered rows: `[row, feature]` to `[row, feature]` for ZCA, `[row, component]` for PCA.
    ///
    /// # Errors
    /// When the number of features is another than that of the rows it was fitted to, or a value is
    /// not finite.
    pub fn transform(&self, values: ArrayView2<'_, f32>) -> Result<Array2<f32>, RankError> {
        check_size("features to be sphered", self.mean.len(), values.ncols())?;
        check_finite("features", values)?;
        let x = DMatrix::from_fn(values.nrows(), values.ncols(), |i, j| {
            (f64::from(values[[i, j]]) - self.mean[j]) / self.units[j]
        });
        let mut components = &x * self.axes.transpose();
        let unscaled = components.clone();
        for (mut column, factor) in components.column_iter_mut().zip(&self.factors) {
            column *= *factor;
        }
        let sphered = match self.elsewhere {
            None => components,
            Some(factor) => components * &self.axes + (x - unscaled * &self.axes) * factor,
        };
        Ok(Array2::from_shape_fn(sphered.shape(), |(i, j)| {
            sphered[(i, j)] as f32
        }))
    }
}
