use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, at_least, non_negative};

use crate::{
    RankError, Scale, WellScore,
    aggregate::{median_and_mad, median_of_scratch},
    well_score::by_plate,
};

/// Settings of [`MedianPolish`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MedianPolishConfig {
    /// Sweeps over rows and columns at most, at least 1.
    pub max_sweeps: usize,
    /// A sweep that changes the sum of absolute residuals by less than this share is the last; from 0.
    pub tolerance: f64,
}

impl Default for MedianPolishConfig {
    fn default() -> Self {
        Self {
            max_sweeps: 10,
            tolerance: 0.01,
        }
    }
}

impl MedianPolishConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// When `max_sweeps` is 0 or `tolerance` is negative or not finite.
    pub fn build(&self) -> Result<MedianPolish, ParamError> {
        at_least("max_sweeps", self.max_sweeps, 1, "at least 1")?;
        non_negative("tolerance", self.tolerance)?;
        Ok(MedianPolish {
            config: self.clone(),
        })
    }
}

/// Tukey's median polish: a table as overall + row + column + residual.
///
/// Medians of rows and of columns are taken out in turn until the residuals hardly change. A plate on
/// which most wells of every row and column do nothing loses its row and column effects this way.
///
/// Treatments that fill whole rows or columns are taken out along with them, and the table cannot tell:
/// use it only where treatments lie scattered over the plate.
///
/// # Source
/// Tukey, Exploratory Data Analysis (1977), chapter 11. B-scores: Brideau, Gunter, Pikounis and Liaw,
/// Journal of Biomolecular Screening 8 (2003), 634–647.
///
/// # Example
/// ```
/// use ndarray::array;
/// use spheroid_rank::MedianPolishConfig;
/// let table = array![[1., 2., 3.], [11., 12., 13.], [21., 22., 93.]];
/// let polished = MedianPolishConfig::default().build()?.fit(table.view())?;
/// assert_eq!((polished.overall, polished.rows), (12.0, array![-10., 0., 10.]));
/// assert_eq!(polished.residuals[[2, 2]], 70.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct MedianPolish {
    config: MedianPolishConfig,
}

/// A table taken apart by [`MedianPolish`].
#[derive(Debug, Clone, PartialEq)]
pub struct Polished {
    /// Typical value.
    pub overall: f64,
    /// Effect of each row; 0 for a row without a value.
    pub rows: Array1<f64>,
    /// Effect of each column; 0 for a column without a value.
    pub columns: Array1<f64>,
    /// What is left, `[row, column]`; NaN where there was no value.
    pub residuals: Array2<f64>,
    /// Whether the residuals had settled before the sweeps ran out.
    pub converged: bool,
}

impl MedianPolish {
    /// Takes `table` `[row, column]` apart; NaN stands for a well that is absent.
    ///
    /// # Errors
    /// When a value is infinite or there is none.
    pub fn fit(&self, table: ArrayView2<'_, f64>) -> Result<Polished, RankError> {
        let undefined = |reason: String| RankError::Undefined {
            what: "median polish",
            reason,
        };
        if let Some(((row, column), _)) = table.indexed_iter().find(|(_, v)| v.is_infinite()) {
            return Err(undefined(format!("row {row}, column {column} is infinite")));
        }
        if table.iter().all(|value| value.is_nan()) {
            return Err(undefined("there is no value".into()));
        }
        let mut polished = Polished {
            overall: 0.0,
            rows: Array1::zeros(table.nrows()),
            columns: Array1::zeros(table.ncols()),
            residuals: table.to_owned(),
            converged: false,
        };
        let mut before = 0.0;
        for _ in 0..self.config.max_sweeps {
            polished.sweep_rows();
            polished.sweep_columns();
            let present = polished.residuals.iter().filter(|value| !value.is_nan());
            let sum: f64 = present.map(|value| value.abs()).sum();
            if sum == 0.0 || (sum - before).abs() < self.config.tolerance * sum {
                polished.converged = true;
                break;
            }
            before = sum;
        }
        Ok(polished)
    }
}

impl Polished {
    fn sweep_rows(&mut self) {
        sweep(&mut self.residuals, Axis(0), &mut self.rows);
        self.overall += recentre(&mut self.columns);
    }

    fn sweep_columns(&mut self) {
        sweep(&mut self.residuals, Axis(1), &mut self.columns);
        self.overall += recentre(&mut self.rows);
    }

    /// Residuals in units of their median absolute deviation (not scaled to a normal deviation).
    ///
    /// # Errors
    /// When at least half of the residuals are equal.
    pub fn b_scores(&self) -> Result<Array2<f64>, RankError> {
        let present = self
            .residuals
            .iter()
            .copied()
            .filter(|value| !value.is_nan());
        let (_, mad) = median_and_mad(&present.collect::<Vec<_>>());
        if mad > 0.0 {
            Ok(&self.residuals / mad)
        } else {
            let reason = "at least half of the residuals are equal".into();
            Err(RankError::Undefined {
                what: "B-score",
                reason,
            })
        }
    }
}

/// Moves the median of every lane along `axis` from the residuals to its effect.
fn sweep(residuals: &mut Array2<f64>, axis: Axis, effects: &mut Array1<f64>) {
    for (mut lane, effect) in residuals.axis_iter_mut(axis).zip(effects) {
        let mut present: Vec<f64> = lane
            .iter()
            .copied()
            .filter(|value| !value.is_nan())
            .collect();
        if !present.is_empty() {
            let median = median_of_scratch(&mut present);
            lane -= median;
            *effect += median;
        }
    }
}

fn recentre(effects: &mut Array1<f64>) -> f64 {
    let median = median_of_scratch(&mut effects.to_vec());
    *effects -= median;
    median
}

/// The scores without the row and column effects of their plate, each plate polished by itself with
/// the default settings.
///
/// The typical score of a plate stays. Scores are taken apart on `scale` and given back as scores.
/// Nothing calls this unasked: see [`MedianPolish`] for layouts that it spoils.
///
/// # Errors
/// When there is no well, a score is not finite or not on the scale, or a well occurs twice.
pub fn remove_position_effects(
    wells: &[WellScore],
    scale: Scale,
) -> Result<Vec<WellScore>, RankError> {
    let polish = MedianPolishConfig::default().build()?;
    let mut polished = std::collections::BTreeMap::new();
    for (plate, of_plate) in by_plate(wells, scale)? {
        let size = |of: fn(&WellScore) -> usize| {
            1 + of_plate.iter().map(|(well, _)| of(well)).max().unwrap_or(0)
        };
        let shape = (
            size(|well| well.well.row()),
            size(|well| well.well.column()),
        );
        let mut table = Array2::from_elem(shape, f64::NAN);
        for (well, value) in &of_plate {
            table[[well.well.row(), well.well.column()]] = *value;
        }
        polished.insert(plate, polish.fit(table.view())?);
    }
    let cleaned = wells.iter().map(|well| {
        let polished = &polished[well.plate.as_str()];
        let residual = polished.residuals[[well.well.row(), well.well.column()]];
        WellScore {
            score: scale.score(polished.overall + residual),
            ..well.clone()
        }
    });
    Ok(cleaned.collect())
}
