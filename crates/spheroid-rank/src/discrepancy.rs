//! The metrics by name, and how a plate is scored by one.

use std::collections::{BTreeSet, HashSet};

use nalgebra::DMatrix;
use ndarray::{Array1, Array2, ArrayView2, Axis};
use spheroid_core::Discrepancy;

use crate::{
    Cosine, L1, L2, Mahalanobis, NearestNeighbours, OneClassSvm, RankError, StandardizedL2,
    StandardizedL2Config,
};

/// Fewest reference rows from which a scale is estimated.
pub const MIN_REFERENCE: usize = 3;

/// Every metric with its default settings.
pub fn all() -> Vec<Box<dyn Discrepancy<Error = RankError>>> {
    vec![
        Box::new(L1),
        Box::new(L2),
        Box::new(Cosine),
        Box::new(StandardizedL2::default()),
        Box::new(Mahalanobis::default()),
        Box::new(NearestNeighbours::default()),
        Box::new(OneClassSvm::default()),
    ]
}

/// The metric called `name`, with its default settings.
///
/// # Errors
/// When no metric has this name; the message lists the names.
///
/// # Example
/// ```
/// use spheroid_core::Discrepancy;
/// use spheroid_rank::discrepancy::by_name;
/// assert_eq!(by_name("cosine")?.name(), "cosine");
/// let error = by_name("euclid").err().expect("no such metric");
/// assert_eq!(
///     error.to_string(),
///     "there is no discrepancy `euclid`: use one of l1, l2, cosine, standardized_l2, mahalanobis, \
///      nearest_neighbours, one_class_svm"
/// );
/// # Ok::<(), spheroid_rank::RankError>(())
/// ```
pub fn by_name(name: &str) -> Result<Box<dyn Discrepancy<Error = RankError>>, RankError> {
    let known = all()
        .iter()
        .map(|metric| metric.name().to_owned())
        .collect::<Vec<_>>()
        .join(", ");
    all()
        .into_iter()
        .find(|metric| metric.name() == name)
        .ok_or_else(|| RankError::UnknownDiscrepancy {
            name: name.to_owned(),
            known,
        })
}

/// Residuals of untreated wells, by which a metric knows how far an untreated well may stray.
///
/// A well may own several: its residual at the last day and its changes between other days.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    residuals: Array2<f32>,
    owners: Vec<usize>,
}

impl Reference {
    /// Residuals `[residual, feature]`, each owned by a row of the wells that are going to be scored.
    ///
    /// # Errors
    /// When the numbers of residuals and owners differ, or a residual is not finite.
    pub fn new(residuals: Array2<f32>, owners: Vec<usize>) -> Result<Self, RankError> {
        check_size("owners of the reference", residuals.nrows(), owners.len())?;
        check_finite("reference", residuals.view())?;
        Ok(Self { residuals, owners })
    }

    /// The residuals actual − predicted of the untreated `rows`, one each.
    ///
    /// # Errors
    /// When a row occurs twice or is beyond the wells, or the two differ in shape or are not finite.
    pub fn of_rows(
        rows: &[usize],
        predicted: ArrayView2<'_, f32>,
        actual: ArrayView2<'_, f32>,
    ) -> Result<Self, RankError> {
        check_rows(predicted, actual)?;
        check_indices("untreated", rows, predicted.nrows())?;
        let residuals = &actual.select(Axis(0), rows) - &predicted.select(Axis(0), rows);
        Self::new(residuals, rows.to_vec())
    }

    /// The residuals that `row` does not own.
    fn without(&self, row: usize) -> Array2<f32> {
        let others: Vec<usize> = (0..self.owners.len())
            .filter(|&residual| self.owners[residual] != row)
            .collect();
        self.residuals.select(Axis(0), &others)
    }
}

/// Scores every row, an untreated row against the residuals of the *other* untreated rows.
///
/// A row that helped to set the scale would score too low. The rows that own a residual of
/// `reference` are untreated; every other row is scored against all residuals. `predicted` must
/// itself be out of fold: no untreated row predicted by a predictor that has seen it. Where there are more features than
/// untreated rows, the residuals of the others must not come from a predictor that has seen the row either: they would add
/// up to the opposite of its own, and it would score too low.
///
/// # Shapes
/// `predicted` and `actual` `[row, feature]`; output `[row]`.
///
/// # Errors
/// When there are fewer than [`MIN_REFERENCE`] + 1 untreated rows, an owner is beyond the rows, or
/// the metric fails.
pub fn score_out_of_fold<M>(
    metric: &M,
    reference: &Reference,
    predicted: ArrayView2<'_, f32>,
    actual: ArrayView2<'_, f32>,
) -> Result<Array1<f64>, RankError>
where
    M: Discrepancy<Error = RankError> + ?Sized,
{
    check_rows(predicted, actual)?;
    let untreated: BTreeSet<usize> = reference.owners.iter().copied().collect();
    let distinct: Vec<usize> = untreated.iter().copied().collect();
    check_indices("untreated", &distinct, predicted.nrows())?;
    if untreated.len() <= MIN_REFERENCE {
        return Err(RankError::TooFewWells {
            what: "untreated",
            found: untreated.len(),
            needed: MIN_REFERENCE + 1,
        });
    }
    let mut scores = Array1::zeros(predicted.nrows());
    let mut score = |residuals: ArrayView2<'_, f32>, rows: &[usize]| -> Result<(), RankError> {
        let of_rows = metric.score(
            residuals,
            predicted.select(Axis(0), rows).view(),
            actual.select(Axis(0), rows).view(),
        )?;
        check_size("scores", rows.len(), of_rows.len())?;
        for (&row, &value) in rows.iter().zip(&of_rows) {
            scores[row] = value;
        }
        Ok(())
    };
    for &row in &untreated {
        score(reference.without(row).view(), &[row])?;
    }
    let rest: Vec<usize> = (0..predicted.nrows())
        .filter(|row| !untreated.contains(row))
        .collect();
    score(reference.residuals.view(), &rest)?;
    Ok(scores)
}

/// Actual − predicted in double precision, after checking both.
pub(crate) fn residuals(
    predicted: ArrayView2<'_, f32>,
    actual: ArrayView2<'_, f32>,
) -> Result<DMatrix<f64>, RankError> {
    check_rows(predicted, actual)?;
    Ok(DMatrix::from_fn(actual.nrows(), actual.ncols(), |i, j| {
        f64::from(actual[[i, j]]) - f64::from(predicted[[i, j]])
    }))
}

/// Reference rows in double precision, after checking them.
pub(crate) fn reference_rows(
    reference: ArrayView2<'_, f32>,
    features: usize,
) -> Result<DMatrix<f64>, RankError> {
    check_size("features of the reference", features, reference.ncols())?;
    check_finite("reference", reference)?;
    if reference.nrows() < MIN_REFERENCE {
        return Err(RankError::TooFewWells {
            what: "untreated",
            found: reference.nrows(),
            needed: MIN_REFERENCE,
        });
    }
    Ok(DMatrix::from_fn(reference.nrows(), features, |i, j| {
        f64::from(reference[[i, j]])
    }))
}

pub(crate) fn check_rows(
    predicted: ArrayView2<'_, f32>,
    actual: ArrayView2<'_, f32>,
) -> Result<(), RankError> {
    check_size("rows of the prediction", actual.nrows(), predicted.nrows())?;
    check_size(
        "features of the prediction",
        actual.ncols(),
        predicted.ncols(),
    )?;
    if actual.ncols() == 0 {
        return Err(RankError::NoFeatures);
    }
    check_finite("predicted", predicted)?;
    check_finite("actual", actual)
}

pub(crate) fn check_size(
    what: &'static str,
    expected: usize,
    found: usize,
) -> Result<(), RankError> {
    if expected == found {
        Ok(())
    } else {
        Err(RankError::Shape {
            what,
            expected,
            found,
        })
    }
}

pub(crate) fn check_finite(what: &'static str, rows: ArrayView2<'_, f32>) -> Result<(), RankError> {
    match rows.indexed_iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some(((row, feature), &value)) => Err(RankError::NotFinite {
            what,
            row,
            feature,
            value,
        }),
    }
}

pub(crate) fn check_indices(
    what: &'static str,
    indices: &[usize],
    rows: usize,
) -> Result<HashSet<usize>, RankError> {
    let mut known = HashSet::with_capacity(indices.len());
    match indices
        .iter()
        .find(|&&row| row >= rows || !known.insert(row))
    {
        None => Ok(known),
        Some(&row) => Err(RankError::BadRow { what, row, rows }),
    }
}

/// Reference residuals and residuals, less the mean reference residual when `centre` says so.
pub(crate) fn centred(
    reference: ArrayView2<'_, f32>,
    predicted: ArrayView2<'_, f32>,
    actual: ArrayView2<'_, f32>,
    centre: bool,
) -> Result<(DMatrix<f64>, DMatrix<f64>), RankError> {
    let mut residuals = residuals(predicted, actual)?;
    let mut reference = reference_rows(reference, residuals.ncols())?;
    if centre {
        let mean = reference.row_mean();
        for mut row in reference.row_iter_mut().chain(residuals.row_iter_mut()) {
            row -= &mean;
        }
    }
    Ok((reference, residuals))
}

/// Reference residuals and residuals about the mean reference residual, every feature divided by
/// its scale with the default floor of [`StandardizedL2`].
pub(crate) fn standardized(
    metric: &'static str,
    reference: ArrayView2<'_, f32>,
    predicted: ArrayView2<'_, f32>,
    actual: ArrayView2<'_, f32>,
) -> Result<(DMatrix<f64>, DMatrix<f64>), RankError> {
    let (mut reference, mut residuals) = centred(reference, predicted, actual, true)?;
    let floor = StandardizedL2Config::default().floor;
    let scales = feature_scales(&reference, floor).ok_or(RankError::DegenerateReference {
        metric,
        reason: "no feature varies among the untreated wells",
    })?;
    for (feature, scale) in scales.into_iter().enumerate() {
        reference.column_mut(feature).unscale_mut(scale);
        residuals.column_mut(feature).unscale_mut(scale);
    }
    Ok((reference, residuals))
}

/// The scale of every feature, by which it is divided so that all weigh alike.
///
/// ```text
/// max(sⱼ, floor · s̄),   sⱼ² = mean of squared reference residuals,   s̄² = mean of sⱼ²
/// ```
/// `None` when no feature varies.
pub(crate) fn feature_scales(reference: &DMatrix<f64>, floor: f64) -> Option<Vec<f64>> {
    let rows = reference.nrows() as f64;
    let variances: Vec<f64> = reference
        .column_iter()
        .map(|column| column.norm_squared() / rows)
        .collect();
    let mean = variances.iter().sum::<f64>() / variances.len() as f64;
    let least = floor.powi(2) * mean;
    (mean > 0.0).then(|| {
        variances
            .iter()
            .map(|variance| variance.max(least).sqrt())
            .collect()
    })
}
