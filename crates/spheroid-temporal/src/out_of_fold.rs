use std::collections::HashSet;

use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use spheroid_core::{Fit, Forecast, ParamError};

use crate::{Persistence, TemporalError, Trajectories, trajectories::expect};

/// Fewest untreated wells that [`out_of_fold`] accepts: three are left to learn from.
pub const MIN_UNTREATED: usize = 4;

/// How untreated wells are held out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Folds {
    /// Each well is predicted from all the others.
    #[default]
    LeaveOneOut,
    /// The wells, sorted by plate and position, are dealt in turn to this many folds, from 2 up to
    /// the number of wells.
    KFold(usize),
}

impl Folds {
    fn count(self, wells: usize) -> Result<usize, ParamError> {
        match self {
            Self::LeaveOneOut => Ok(wells),
            Self::KFold(folds) if (2..=wells).contains(&folds) => Ok(folds),
            Self::KFold(folds) => Err(ParamError::new(
                "folds",
                folds,
                "at least 2 and at most the number of untreated wells",
            )),
        }
    }
}

/// Predicts the target of every well by a predictor that has not seen that well.
///
/// `untreated` are the rows of untreated wells: each is predicted by a predictor fitted on the other
/// folds. Every other well is predicted by the one fitted on all untreated wells. The result depends
/// on the wells, not on their order.
///
/// # Shapes
/// Output `[well, feature]`, rows as in `data`.
///
/// # Errors
/// When there are fewer than [`MIN_UNTREATED`] untreated wells, `untreated` holds a row twice or one
/// beyond the wells, the number of folds does not fit, or the predictor fails.
///
/// # Example
/// ```
/// use ndarray::Array3;
/// use spheroid_core::{Day, WellId};
/// use spheroid_temporal::{Folds, MeanChange, Trajectories, Well, out_of_fold, skill};
///
/// let days = vec![Day::new(7.0)?, Day::new(10.0)?];
/// let wells = (0..5).map(|i| Well { plate: "P".into(), well: WellId::new(1, i).expect("on the plate") });
/// // Every well grows by 2; the last one, which is treated, by 0.
/// let values = Array3::from_shape_fn((5, 2, 1), |(well, day, _)| match (well, day) {
///     (4, _) | (_, 0) => well as f32,
///     _ => well as f32 + 2.0,
/// });
/// let data = Trajectories::new(days, values, wells.collect())?;
/// let untreated = [0, 1, 2, 3];
/// let predicted = out_of_fold(&MeanChange, &data, &untreated, Folds::LeaveOneOut)?;
/// assert_eq!(predicted.column(0).to_vec(), [2.0, 3.0, 4.0, 5.0, 6.0]);
/// assert_eq!(skill(predicted.view(), &data, &untreated)?, 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn out_of_fold<P, E>(
    predictor: &P,
    data: &Trajectories,
    untreated: &[usize],
    folds: Folds,
) -> Result<Array2<f32>, E>
where
    P: Fit<Trajectories, Error = E>,
    P::Fitted: Forecast<Error = E>,
    E: From<TemporalError>,
{
    let known = checked(data, untreated)?;
    if untreated.len() < MIN_UNTREATED {
        return Err(TemporalError::TooFewWells {
            found: untreated.len(),
            needed: MIN_UNTREATED,
        }
        .into());
    }
    // Sorted, so that neither the folds nor the sums depend on the order of the rows.
    let mut sorted = untreated.to_vec();
    sorted.sort_by_key(|&row| &data.wells()[row]);
    let folds = folds.count(sorted.len()).map_err(TemporalError::from)?;

    let mut predicted = Array2::zeros((data.wells().len(), data.dim()));
    let mut predict = |learn: &[usize], ask: &[usize]| -> Result<(), E> {
        if ask.is_empty() {
            return Ok(());
        }
        let fitted = predictor.fit(&data.select_wells(learn)?)?;
        let asked = data.select_wells(ask)?;
        let rows = fitted.forecast(asked.past_days(), asked.past(), asked.target_day())?;
        expect("rows of a forecast", ask.len(), rows.nrows())?;
        expect("features of a forecast", data.dim(), rows.ncols())?;
        for (&to, row) in ask.iter().zip(rows.rows()) {
            predicted.row_mut(to).assign(&row);
        }
        Ok(())
    };
    for fold in 0..folds {
        let (mut learn, mut ask) = (Vec::new(), Vec::new());
        for (position, &row) in sorted.iter().enumerate() {
            if position % folds == fold {
                ask.push(row)
            } else {
                learn.push(row)
            }
        }
        predict(&learn, &ask)?;
    }
    let treated: Vec<usize> = (0..data.wells().len())
        .filter(|row| !known.contains(row))
        .collect();
    predict(&sorted, &treated)?;
    Ok(predicted)
}

/// How much of the error of persistence a predictor avoids on untreated wells.
///
/// ```text
/// skill = 1 − Σ ‖actual − predicted‖² / Σ ‖actual − last past day‖²
/// ```
/// 1 for a perfect prediction, 0 for one as good as [`Persistence`], negative for a worse one. Only
/// meaningful when `predicted` comes from [`out_of_fold`].
///
/// # Shapes
/// `predicted` `[well, feature]`, rows as in `data`.
///
/// # Errors
/// When the shapes differ, a prediction of an untreated well is not finite, `untreated` is empty or
/// names a row twice or beyond the wells, or the untreated wells do not change at all.
///
/// # Source
/// Mean squared error skill score: Murphy, Monthly Weather Review 116 (1988), 2417–2424.
pub fn skill(
    predicted: ArrayView2<'_, f32>,
    data: &Trajectories,
    untreated: &[usize],
) -> Result<f64, TemporalError> {
    checked(data, untreated)?;
    expect(
        "rows of the prediction",
        data.wells().len(),
        predicted.nrows(),
    )?;
    expect("features of the prediction", data.dim(), predicted.ncols())?;
    let data = data.select_wells(untreated)?;
    let predicted = predicted.select(Axis(0), untreated);
    for ((row, feature), &value) in predicted.indexed_iter() {
        if !value.is_finite() {
            let well = format!("prediction of {}", data.wells()[row]);
            return Err(TemporalError::NotFinite {
                well,
                feature,
                value,
            });
        }
    }
    let persisted = Persistence.forecast(data.past_days(), data.past(), data.target_day())?;
    let baseline = squared_error(data.target(), persisted.view());
    if baseline > 0.0 {
        Ok(1.0 - squared_error(data.target(), predicted.view()) / baseline)
    } else {
        Err(TemporalError::NoChange {
            from: data.past_days()[data.past_days().len() - 1],
            to: data.target_day(),
        })
    }
}

fn checked(data: &Trajectories, untreated: &[usize]) -> Result<HashSet<usize>, TemporalError> {
    let wells = data.wells();
    let mut known = HashSet::with_capacity(untreated.len());
    for &index in untreated {
        let well = wells.get(index).ok_or(TemporalError::NoSuchWell {
            index,
            wells: wells.len(),
        })?;
        if !known.insert(index) {
            return Err(TemporalError::DuplicateWell {
                well: well.to_string(),
            });
        }
    }
    Ok(known)
}

fn squared_error(actual: ArrayView2<'_, f32>, predicted: ArrayView2<'_, f32>) -> f64 {
    actual
        .iter()
        .zip(predicted)
        .map(|(&a, &p)| (f64::from(a) - f64::from(p)).powi(2))
        .sum()
}
