//! From embeddings to a ranked list of treatments.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, concatenate, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use spheroid_core::{
    Day, Discrepancy, Embeddings, Fit, Forecast, Group, PlateMap, PlateWell, StackKey, Warning,
    positive,
};
use spheroid_rank::{
    MIN_UNTREATED_OF_PLATE, RankError, Ranking, RankingConfig, Scale, WellScore, conformal_p_value,
    direction, discrepancy::by_name, median, remove_position_effects, standardize_scores,
};
use spheroid_temporal::{
    Folds, MIN_UNTREATED, MeanChange, Persistence, RidgeConfig, TemporalError, Trajectories, Well,
    out_of_fold, skill,
};

use crate::{PipelineError, Plate, prepare::BY_HAND};

/// Fewest untreated wells of a plate: each is left out in turn, and the others still have to predict one another.
pub const LEAST_UNTREATED: usize = MIN_UNTREATED + 1;

/// Settings of [`rank`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RankConfig {
    /// Last day on which images show no effect: drugs are given after they were taken.
    pub drug_day: Day,
    /// Discrepancy between predicted and actual embedding, by name.
    pub metric: String,
    /// Whether row and column effects are taken out of the scores of each plate by median polish
    /// (B-scores). Only for plates on which treatments lie scattered: a treatment that fills rows or
    /// columns is taken out along with them.
    pub remove_position_effects: bool,
    /// Intervals.
    pub ranking: RankingConfig,
}

impl Default for RankConfig {
    fn default() -> Self {
        Self {
            drug_day: Day::new(7.0).expect("7 is finite"),
            metric: "mahalanobis".to_owned(),
            remove_position_effects: false,
            ranking: RankingConfig::default(),
        }
    }
}

/// A ranked plate.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Treatments, strongest first.
    pub ranking: Ranking,
    /// The score of every well; a typical untreated well has 1.
    pub wells: Vec<WellScore>,
    /// Conformal p-value of each of `wells` among the untreated ones; of an untreated well among the
    /// others.
    pub p_values: Vec<f64>,
    /// Place of each of `wells` on the axis from the untreated wells (0) to those of the single dose
    /// (1) by the first set of features, as [`direction()`] gives it; none with fewer than two wells
    /// of the single dose.
    pub directions: Option<Vec<f64>>,
    /// Skill of each predictor on untreated wells out of fold (1 perfect, 0 persistence), by the
    /// name of the features and of the predictor.
    pub skills: Vec<(String, f64)>,
    /// Day that the predictions start from.
    pub from: Day,
    /// Day that is predicted.
    pub to: Day,
    /// What was left out.
    pub warnings: Vec<Warning>,
}

/// Features of stacks that are scored by themselves.
#[derive(Debug, Clone, Copy)]
pub struct FeatureSet<'a> {
    /// Name in the list of skills.
    pub name: &'a str,
    /// The features, of the same stacks in every set.
    pub embeddings: &'a Embeddings,
    /// How much the scores of this set count beside those of the others; above 0.
    pub weight: f64,
}

impl<'a> FeatureSet<'a> {
    /// A set that counts 1.
    pub fn new(name: &'a str, embeddings: &'a Embeddings) -> Self {
        Self {
            name,
            embeddings,
            weight: 1.0,
        }
    }
}

/// Scores every well by how far it ends up from where an untreated one would, and ranks treatments.
///
/// For each set of features a ridge regression learns
/// from untreated wells how the embedding moves from the drug day to the last day. The discrepancy of
/// a well is measured against what untreated wells do: their out-of-fold residuals at the last day and
/// their changes between consecutive days. Untreated wells are predicted and scored as if they were treated. With
/// several sets the score is the weighted geometric mean of their discrepancies, each in units of the
/// median untreated well.
///
/// Several plates are joined in units of how their untreated wells scatter ([`standardize_scores`]),
/// brought back to multiples of a typical untreated well by the median of the plates' scatters.
///
/// Days between the drug day and the last one are used of untreated wells alone: those of a treated
/// well already show the effect.
///
/// # Errors
/// When there is no day before and after the drug, fewer than [`LEAST_UNTREATED`] untreated wells have images of both,
/// one of several plates has fewer than [`MIN_UNTREATED_OF_PLATE`] of them, the metric is unknown, a weight is not
/// above 0, or the embeddings do not fit each other.
pub fn rank(
    features: &[FeatureSet<'_>],
    map: &PlateMap,
    config: &RankConfig,
) -> Result<Ranked, PipelineError> {
    let metric = by_name(&config.metric)?;
    let mut joined: Option<(Deviations, Array1<f64>)> = None;
    let mut skills = Vec::new();
    let mut weights = 0.0;
    for set in features {
        let weight = positive("weight", set.weight)?;
        let deviations = Deviations::new(set.embeddings, map, config.drug_day)?;
        let scores = weight * deviations.log_scores(&*metric)?;
        let named = |(predictor, skill): &(_, f64)| (format!("{}: {predictor}", set.name), *skill);
        skills.extend(deviations.skills.iter().map(named));
        weights += weight;
        match &mut joined {
            None => joined = Some((deviations, scores)),
            Some((first, sum)) if first.wells == deviations.wells => *sum += &scores,
            Some(_) => {
                let reason = "the feature sets embed different wells".to_owned();
                return Err(PipelineError::Stage {
                    path: "embeddings".into(),
                    reason,
                });
            }
        }
    }
    let Some((first, sum)) = joined else {
        return Err(RankError::NoWells.into());
    };
    let log_scores = sum / weights;
    let directions = first.directions(map)?;
    let Deviations {
        wells,
        from,
        to,
        warnings,
        ..
    } = first;

    let wells: Vec<WellScore> = wells
        .into_iter()
        .zip(&log_scores)
        .map(|(well, log_score)| WellScore {
            treatment: treatment(map, &well).clone(),
            plate: well.plate,
            well: well.well,
            score: log_score.exp(),
        })
        .collect();
    let wells = join_plates(wells, config.remove_position_effects)?;
    let (ranking, more) = config.ranking.build()?.rank(&wells)?;
    let warnings = warnings.into_iter().chain(more).collect();
    Ok(Ranked {
        ranking,
        p_values: conformal_p_values(&wells)?,
        directions,
        wells,
        skills,
        from,
        to,
        warnings,
    })
}

fn is_untreated(well: &WellScore) -> bool {
    well.treatment.group == Group::Untreated
}

/// Brings plates to one scale, on which a typical untreated well has 1.
fn join_plates(wells: Vec<WellScore>, polish: bool) -> Result<Vec<WellScore>, RankError> {
    let several = wells.iter().any(|well| well.plate != wells[0].plate);
    if !several && !polish {
        return Ok(wells);
    }
    let wells = if polish {
        remove_position_effects(&wells, Scale::Log)?
    } else {
        wells
    };
    let mut of_plates: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for well in wells.iter().filter(|well| is_untreated(well)) {
        let logs = of_plates.entry(&well.plate).or_default();
        logs.push(well.score.ln());
    }
    let spread = |logs: &Vec<f64>| {
        let middle = median(logs)?;
        let deviations: Vec<f64> = logs.iter().map(|log| (log - middle).abs()).collect();
        Ok(NORMAL_MAD * median(&deviations)?)
    };
    let spreads = of_plates.values().map(spread);
    let unit = median(&spreads.collect::<Result<Vec<_>, RankError>>()?)?;
    let mut joined = standardize_scores(&wells, Scale::Log)?;
    for well in &mut joined {
        well.score = (unit * well.score).exp();
    }
    Ok(joined)
}

/// Standard deviation of a normal distribution by its median absolute deviation.
const NORMAL_MAD: f64 = 1.482_602_218_505_602;

fn conformal_p_values(wells: &[WellScore]) -> Result<Vec<f64>, RankError> {
    let untreated: Vec<f64> = wells
        .iter()
        .filter(|well| is_untreated(well))
        .map(|well| well.score)
        .collect();
    let p_value = |well: &WellScore| {
        let mut others = untreated.clone();
        let itself = untreated.iter().position(|score| *score == well.score);
        if let Some(itself) = itself.filter(|_| is_untreated(well)) {
            others.swap_remove(itself);
        }
        conformal_p_value(well.score, &others)
    };
    wells.iter().map(p_value).collect()
}

/// How far every well ends up from where an untreated one would, by one set of features.
#[derive(Debug, Clone)]
pub struct Deviations {
    /// Wells with images of both days, sorted.
    pub wells: Vec<PlateWell>,
    /// Which of `wells` are untreated.
    pub untreated: Vec<usize>,
    /// Day that the predictions start from.
    pub from: Day,
    /// Day that is predicted.
    pub to: Day,
    /// Skill of each predictor on untreated wells out of fold, by its name.
    pub skills: Vec<(&'static str, f64)>,
    /// What was left out.
    pub warnings: Vec<Warning>,
    series: Trajectories,
    folds: Vec<Fold>,
}

impl Deviations {
    /// Predicts every well that `map` has; untreated wells out of fold.
    ///
    /// # Errors
    /// When there is no day before and after the drug, fewer than [`LEAST_UNTREATED`] untreated wells have images of
    /// both, or a well lacks an embedding.
    pub fn new(
        embeddings: &Embeddings,
        map: &PlateMap,
        drug_day: Day,
    ) -> Result<Self, PipelineError> {
        let layout = Layout::new(embeddings.keys().iter(), map);
        let Plan {
            from,
            to,
            wells,
            untreated,
            warning,
        } = layout.plan(map, drug_day)?;
        let series = layout.trajectories(embeddings, &wells, &[from, to])?;
        let ridge = RidgeConfig::default().build()?;
        let changes = |known: &[usize]| {
            let mut changes = Vec::new();
            for days in layout.days.windows(2) {
                // An untreated well may lack a day in between; its other days still count.
                let has_both = |&well: &usize| layout.has(&wells[well], days);
                let complete: Vec<usize> = known.iter().copied().filter(has_both).collect();
                if complete.len() < MIN_UNTREATED || days == [from, to] {
                    continue;
                }
                let members: Vec<PlateWell> =
                    complete.iter().map(|&well| wells[well].clone()).collect();
                let series = layout.trajectories(embeddings, &members, days)?;
                let all: Vec<usize> = (0..members.len()).collect();
                let predicted = out_of_fold(&MeanChange, &series, &all, Folds::LeaveOneOut)?;
                changes.push(residuals(&series, &predicted, &all));
            }
            Ok(changes)
        };
        let folds = folds(&ridge, &series, &untreated, changes)?;
        let of = |predicted: ArrayView2<'_, f32>| skill(predicted, &series, &untreated);
        let by_ridge = out_of_fold(&ridge, &series, &untreated, Folds::LeaveOneOut)?;
        let by_mean_change = out_of_fold(&MeanChange, &series, &untreated, Folds::LeaveOneOut)?;
        let by_persistence = out_of_fold(&Persistence, &series, &untreated, Folds::LeaveOneOut)?;
        let skills = vec![
            ("ridge", of(by_ridge.view())?),
            ("mean change", of(by_mean_change.view())?),
            ("persistence", of(by_persistence.view())?),
        ];
        Ok(Self {
            wells,
            untreated,
            from,
            to,
            skills,
            warnings: warning.into_iter().collect(),
            series,
            folds,
        })
    }

    /// The discrepancy of every well, in its own unit.
    ///
    /// An untreated well is scored as a treated one would be on a plate where it is not untreated: neither its prediction
    /// nor anything that it is compared with has seen it. Leaving it out of the comparison alone is not enough: the
    /// residuals of the others, predicted with its help, add up to the opposite of its own, and with more features than
    /// wells it would look far more usual than it is.
    ///
    /// # Errors
    /// When the metric fails.
    pub fn scores(
        &self,
        metric: &dyn Discrepancy<Error = RankError>,
    ) -> Result<Array1<f64>, PipelineError> {
        scores(metric, &self.folds, &self.series)
    }

    /// Actual minus predicted embedding, `[well, feature]`.
    pub fn residuals(&self) -> Array2<f32> {
        let mut residuals = self.series.target().to_owned();
        for Fold {
            rows, predicted, ..
        } in &self.folds
        {
            for (&row, predicted) in rows.iter().zip(predicted.rows()) {
                let mut residual = residuals.row_mut(row);
                residual -= &predicted;
            }
        }
        residuals
    }

    /// Place of every well between the untreated ones and those of the single dose, where there are two of these.
    fn directions(&self, map: &PlateMap) -> Result<Option<Vec<f64>>, RankError> {
        let of_group = |well: &PlateWell| treatment(map, well).group == Group::SingleDose;
        let reference: Vec<usize> = (0..self.wells.len())
            .filter(|&well| of_group(&self.wells[well]))
            .collect();
        if reference.len() < 2 {
            return Ok(None);
        }
        let places = direction(self.residuals().view(), &self.untreated, &reference)?;
        Ok(Some(places.to_vec()))
    }

    /// Logarithm of the discrepancies in units of the median untreated well.
    ///
    /// # Errors
    /// As [`scores`](Self::scores).
    pub fn log_scores(
        &self,
        metric: &dyn Discrepancy<Error = RankError>,
    ) -> Result<Array1<f64>, PipelineError> {
        // A score of 0 (a prediction that came true to the last bit) has no logarithm.
        let logs = self
            .scores(metric)?
            .mapv(|score| score.max(f64::MIN_POSITIVE).ln());
        let of_untreated: Vec<f64> = self.untreated.iter().map(|&well| logs[well]).collect();
        Ok(logs - median(&of_untreated)?)
    }
}

/// Wells that are scored together, and what they are compared with.
#[derive(Debug, Clone)]
struct Fold {
    /// The wells: a part of the untreated ones, or all others.
    rows: Vec<usize>,
    /// Their predictions, by predictors that learned from the other untreated wells.
    predicted: Array2<f32>,
    /// Residuals of these, out of fold.
    reference: Array2<f32>,
}

/// Most parts of the untreated wells: each takes as long as a plate by itself.
const MOST_FOLDS: usize = 20;

/// Leaves out every untreated well, or a part of them where they are many, as if it was treated; the last fold holds the
/// wells that are. `more` gives further residuals of untreated wells.
fn folds<P>(
    predictor: &P,
    series: &Trajectories,
    untreated: &[usize],
    more: impl Fn(&[usize]) -> Result<Vec<Array2<f32>>, PipelineError> + Sync,
) -> Result<Vec<Fold>, PipelineError>
where
    P: Fit<Trajectories, Error = TemporalError> + Sync,
    P::Fitted: Forecast<Error = TemporalError>,
{
    let count = untreated.len().min(MOST_FOLDS);
    let fold = |fold: usize| {
        let rows: Vec<usize> = if fold < count {
            untreated
                .iter()
                .skip(fold)
                .step_by(count)
                .copied()
                .collect()
        } else {
            let wells = 0..series.wells().len();
            wells.filter(|well| !untreated.contains(well)).collect()
        };
        let known = untreated.iter().filter(|well| !rows.contains(well));
        let known: Vec<usize> = known.copied().collect();
        let predicted = out_of_fold(predictor, series, &known, Folds::LeaveOneOut)?;
        let mut parts = vec![residuals(series, &predicted, &known)];
        parts.extend(more(&known)?);
        let parts: Vec<_> = parts.iter().map(|part| part.view()).collect();
        let reference =
            concatenate(Axis(0), &parts).expect("all residuals have the features of the embedding");
        Ok(Fold {
            predicted: predicted.select(Axis(0), &rows),
            rows,
            reference,
        })
    };
    (0..=count).into_par_iter().map(fold).collect()
}

fn scores(
    metric: &dyn Discrepancy<Error = RankError>,
    folds: &[Fold],
    series: &Trajectories,
) -> Result<Array1<f64>, PipelineError> {
    let actual = series.target();
    let mut scores = Array1::zeros(actual.nrows());
    for fold in folds.iter().filter(|fold| !fold.rows.is_empty()) {
        let actual = actual.select(Axis(0), &fold.rows);
        let of_fold = metric.score(fold.reference.view(), fold.predicted.view(), actual.view())?;
        for (&row, &score) in fold.rows.iter().zip(&of_fold) {
            scores[row] = score;
        }
    }
    Ok(scores)
}

/// Tells before any image is read whether the plate can be ranked.
///
/// # Errors
/// When there is no day before and after the drug, or fewer than [`LEAST_UNTREATED`] untreated wells have images of
/// both.
pub fn check(plate: &Plate, config: &RankConfig) -> Result<(), PipelineError> {
    by_name(&config.metric)?;
    let keys = plate.stacks().iter().map(|stack| &stack.key);
    Layout::new(keys, plate.map())
        .plan(plate.map(), config.drug_day)
        .map(drop)
}

/// The plain baseline: area, circularity and darkness, as a laboratory compares them by hand, which are
/// the first [`BY_HAND`] features of `morphology`.
///
/// Their changes from the drug day to the last day are z-scored on untreated wells; the score of a
/// well is the Euclidean length of its z-scores, of a treatment the median over its wells.
///
/// # Errors
/// As [`rank`].
pub fn morphology_baseline(
    morphology: &Embeddings,
    map: &PlateMap,
    config: &RankConfig,
) -> Result<BTreeMap<String, f64>, PipelineError> {
    let layout = Layout::new(morphology.keys().iter(), map);
    let Plan {
        from,
        to,
        wells,
        untreated,
        ..
    } = layout.plan(map, config.drug_day)?;
    let by_hand = BY_HAND.min(morphology.values().ncols());
    let by_hand = morphology.values().slice(s![.., ..by_hand]).to_owned();
    let by_hand = Embeddings::new(morphology.keys().to_vec(), by_hand)?;
    let series = layout.trajectories(&by_hand, &wells, &[from, to])?;
    let folds = folds(&MeanChange, &series, &untreated, |_| Ok(Vec::new()))?;
    let scores = scores(&*by_name("standardized_l2")?, &folds, &series)?;
    let mut by_treatment: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (well, &score) in wells.iter().zip(&scores) {
        by_treatment
            .entry(treatment(map, well).name.clone())
            .or_default()
            .push(score);
    }
    by_treatment
        .into_iter()
        .map(|(name, scores)| Ok((name, median(&scores)?)))
        .collect()
}

fn treatment<'a>(map: &'a PlateMap, well: &PlateWell) -> &'a spheroid_core::Treatment {
    map.treatment_of(well)
        .expect("only wells of the map are kept")
}

fn residuals(series: &Trajectories, predicted: &Array2<f32>, wells: &[usize]) -> Array2<f32> {
    &series.target().select(Axis(0), wells) - &predicted.select(Axis(0), wells)
}

/// Which well was imaged when, wells of the plate map only.
struct Layout {
    rows: BTreeMap<StackKey, usize>,
    wells: BTreeSet<PlateWell>,
    days: Vec<Day>,
}

/// What can be ranked: wells with images of both days.
#[derive(Debug, Clone, PartialEq)]
struct Plan {
    from: Day,
    to: Day,
    wells: Vec<PlateWell>,
    /// Which of `wells` are untreated.
    untreated: Vec<usize>,
    warning: Option<Warning>,
}

impl Layout {
    fn new<'a>(keys: impl Iterator<Item = &'a StackKey>, map: &PlateMap) -> Self {
        let known = keys
            .enumerate()
            .filter(|(_, key)| map.treatment_of(&key.plate_well()).is_some());
        let rows: BTreeMap<_, _> = known.map(|(row, key)| (key.clone(), row)).collect();
        let wells = rows.keys().map(StackKey::plate_well).collect();
        let days: BTreeSet<Day> = rows.keys().map(|key| key.day).collect();
        Self {
            rows,
            wells,
            days: days.into_iter().collect(),
        }
    }

    fn plan(&self, map: &PlateMap, drug_day: Day) -> Result<Plan, PipelineError> {
        let from = self.days.iter().rev().find(|&&day| day <= drug_day);
        let (from, to) = match (from, self.days.last()) {
            (Some(&from), Some(&to)) if to > drug_day => (from, to),
            _ => {
                let days: Vec<_> = self.days.iter().map(ToString::to_string).collect();
                return Err(PipelineError::Days {
                    days: days.join(", "),
                    drug_day,
                });
            }
        };
        let (wells, incomplete): (Vec<PlateWell>, Vec<PlateWell>) = self
            .wells
            .iter()
            .cloned()
            .partition(|well| self.has(well, &[from, to]));
        let warning = Warning::about(
            format!("well without images of day {from} and day {to}; left out"),
            incomplete.iter().map(ToString::to_string).collect(),
        );
        let untreated: Vec<usize> = (0..wells.len())
            .filter(|&well| treatment(map, &wells[well]).group == Group::Untreated)
            .collect();
        if untreated.len() < LEAST_UNTREATED {
            let (found, needed) = (untreated.len(), LEAST_UNTREATED);
            return Err(PipelineError::TooFewUntreated {
                found,
                needed,
                from,
                to,
            });
        }
        let mut of_plates: BTreeMap<&str, usize> = BTreeMap::new();
        for well in &wells {
            of_plates.entry(&well.plate).or_default();
        }
        for &well in &untreated {
            *of_plates.entry(&wells[well].plate).or_default() += 1;
        }
        let few = of_plates
            .iter()
            .find(|(_, found)| **found < MIN_UNTREATED_OF_PLATE);
        if let Some((&plate, &found)) = few.filter(|_| of_plates.len() > 1) {
            let (plate, needed) = (plate.to_owned(), MIN_UNTREATED_OF_PLATE);
            let error = RankError::PlateTooFewUntreated {
                plate,
                found,
                needed,
            };
            return Err(error.into());
        }
        Ok(Plan {
            from,
            to,
            wells,
            untreated,
            warning,
        })
    }

    fn has(&self, well: &PlateWell, days: &[Day]) -> bool {
        days.iter()
            .all(|&day| self.rows.contains_key(&key(well, day)))
    }

    fn trajectories(
        &self,
        embeddings: &Embeddings,
        wells: &[PlateWell],
        days: &[Day],
    ) -> Result<Trajectories, PipelineError> {
        let values = embeddings.values();
        let mut series = Array3::zeros((wells.len(), days.len(), values.ncols()));
        for (mut of_well, well) in series.axis_iter_mut(Axis(0)).zip(wells) {
            for (mut of_day, &day) in of_well.axis_iter_mut(Axis(0)).zip(days) {
                of_day.assign(&values.row(self.rows[&key(well, day)]));
            }
        }
        let wells = wells.iter().map(|w| Well {
            plate: w.plate.clone(),
            well: w.well,
        });
        Ok(Trajectories::new(days.to_vec(), series, wells.collect())?)
    }
}

fn key(well: &PlateWell, day: Day) -> StackKey {
    StackKey {
        plate: well.plate.clone(),
        well: well.well,
        day,
    }
}

#[cfg(test)]
mod tests {
    use spheroid_core::{Dose, DrawKey, PlateFormat, Treatment, WellId};

    use super::*;

    const DAYS: [f64; 3] = [7.0, 8.0, 10.0];

    /// Eight untreated wells and two of each of three drugs, whose wells stray by `strays`.
    fn plate(strays: [f32; 3], days: &[f64]) -> (Embeddings, PlateMap) {
        use rand::RngExt;
        let group = |well: usize| match well {
            0..8 => ("untreated", Group::Untreated, 0.0),
            8..10 => ("weak", Group::DrugScreened, strays[0]),
            10..12 => ("middle", Group::SingleDose, strays[1]),
            _ => ("strong", Group::DrugScreened, strays[2]),
        };
        let well = |i: usize| PlateWell {
            plate: "p".into(),
            well: WellId::new(1 + i / 10, 1 + i % 10).unwrap(),
        };
        let map = PlateMap::new(
            (0..14).map(|i| {
                let (name, group, _) = group(i);
                let dose = Dose {
                    drug: name.into(),
                    concentration: 1.0,
                    unit: "uM".into(),
                };
                let doses = if group == Group::Untreated {
                    Vec::new()
                } else {
                    vec![dose]
                };
                (
                    well(i),
                    Treatment {
                        name: name.into(),
                        group,
                        doses,
                    },
                )
            }),
            PlateFormat::W96,
        )
        .unwrap();
        let mut keys = Vec::new();
        let mut values = Vec::new();
        for i in 0..14 {
            for &days in days {
                let day = Day::new(days).unwrap();
                let mut rng = DrawKey {
                    seed: 4,
                    epoch: 0,
                    item: i as u64,
                    view: days as u64,
                }
                .rng();
                let effect = if days > 7.0 { group(i).2 } else { 0.0 };
                keys.push(key(&well(i), day));
                values.extend((0..5).map(|feature| {
                    let stray = if feature == i % 5 { effect } else { 0.0 };
                    days as f32 + stray + rng.random_range(-0.1f32..0.1)
                }));
            }
        }
        let values = Array2::from_shape_vec((keys.len(), 5), values).unwrap();
        (Embeddings::new(keys, values).unwrap(), map)
    }

    fn set(embeddings: &Embeddings) -> FeatureSet<'_> {
        FeatureSet::new("features", embeddings)
    }

    fn order(ranked: &Ranked) -> Vec<&str> {
        ranked
            .ranking
            .rows
            .iter()
            .map(|row| row.treatment.as_str())
            .collect()
    }

    #[test]
    fn treatments_rank_by_how_far_their_wells_stray() {
        let (embeddings, map) = plate([1.0, -2.0, 4.0], &DAYS);
        for metric in ["mahalanobis", "standardized_l2", "l2"] {
            let config = RankConfig {
                metric: metric.into(),
                ..RankConfig::default()
            };
            let ranked = rank(&[set(&embeddings)], &map, &config).unwrap();
            assert_eq!(
                order(&ranked),
                ["strong", "middle", "weak", "untreated"],
                "{metric}"
            );
            assert_eq!((ranked.from.days(), ranked.to.days()), (7.0, 10.0));
            let untreated = ranked.ranking.rows.last().unwrap().score;
            assert!(
                (untreated - 1.0).abs() < 1e-9,
                "the unit is a typical untreated well"
            );
        }
    }

    #[test]
    fn feature_sets_are_joined_by_their_weighted_geometric_mean() {
        let (one, map) = plate([1.0, 2.0, 3.0], &DAYS);
        let (other, _) = plate([3.0, 0.5, 2.0], &DAYS);
        let config = RankConfig::default();
        let alone = |embeddings| rank(&[set(embeddings)], &map, &config).unwrap().wells;
        let sets = [
            set(&one),
            FeatureSet {
                weight: 2.0,
                ..set(&other)
            },
        ];
        let joined = rank(&sets, &map, &config).unwrap();
        assert_eq!(joined.skills.len(), 6);
        for (joined, (a, b)) in joined
            .wells
            .iter()
            .zip(alone(&one).iter().zip(alone(&other)))
        {
            let mean = (a.score * b.score * b.score).cbrt();
            assert!((joined.score - mean).abs() < 1e-9 * mean);
        }
        for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let wrong = FeatureSet {
                weight,
                ..set(&one)
            };
            let error = rank(&[wrong], &map, &config).unwrap_err();
            assert!(error.to_string().contains("weight"), "{weight}: {error}");
        }
    }

    #[test]
    fn wells_without_both_days_are_left_out_by_name() {
        let (embeddings, map) = plate([1.0, 2.0, 3.0], &DAYS);
        let kept: Vec<usize> = (0..embeddings.keys().len())
            .filter(|&row| embeddings.keys()[row].to_string() != "p C05 day 10")
            .collect();
        let keys = kept
            .iter()
            .map(|&row| embeddings.keys()[row].clone())
            .collect();
        let fewer = Embeddings::new(keys, embeddings.values().select(Axis(0), &kept)).unwrap();
        let ranked = rank(&[set(&fewer)], &map, &RankConfig::default()).unwrap();
        assert_eq!(ranked.wells.len(), 13);
        let warnings: Vec<_> = ranked.warnings.iter().map(ToString::to_string).collect();
        assert!(warnings[0].contains("day 7 and day 10") && warnings[0].ends_with("p C05"));
        assert!(warnings[1].contains("single well") && warnings[1].ends_with("strong"));
    }

    #[test]
    fn a_plate_without_a_day_before_or_after_the_drug_is_refused() {
        for days in [&[7.0][..], &[8.0, 10.0], &[6.0, 7.0]] {
            let (embeddings, map) = plate([1.0; 3], days);
            let error = rank(&[set(&embeddings)], &map, &RankConfig::default()).unwrap_err();
            assert!(
                matches!(error, PipelineError::Days { .. }),
                "{days:?}: {error}"
            );
        }
    }

    /// `plate` once more under the name `q`, its embedding shifted and stretched.
    fn two_plates(strays: [f32; 3], stretch: f32) -> (Embeddings, PlateMap) {
        let (embeddings, map) = plate(strays, &DAYS);
        let renamed = |well: &PlateWell| PlateWell {
            plate: "q".into(),
            ..well.clone()
        };
        let twice = map.wells().keys().flat_map(|well| {
            [well.clone(), renamed(well)].map(|other| (other, treatment(&map, well).clone()))
        });
        let twice = PlateMap::new(twice, PlateFormat::W96).unwrap();
        let mut keys = embeddings.keys().to_vec();
        keys.extend(embeddings.keys().iter().map(|key| StackKey {
            plate: "q".into(),
            ..key.clone()
        }));
        let other = embeddings.values().mapv(|value| stretch * value + 3.0);
        let values = concatenate![Axis(0), embeddings.values(), other];
        (Embeddings::new(keys, values).unwrap(), twice)
    }

    #[test]
    fn plates_are_joined_by_their_untreated_wells() {
        let (embeddings, map) = two_plates([1.0, -2.0, 4.0], 5.0);
        let config = RankConfig {
            // Stretches with the plate; what sees all directions alike would hide it.
            metric: "l2".into(),
            ..RankConfig::default()
        };
        let ranked = rank(&[set(&embeddings)], &map, &config).unwrap();
        assert_eq!(order(&ranked), ["strong", "middle", "weak", "untreated"]);
        for plate in ["p", "q"] {
            let of_plate = ranked.wells.iter().filter(|well| well.plate == plate);
            let untreated: Vec<f64> = of_plate
                .filter(|well| is_untreated(well))
                .map(|well| well.score)
                .collect();
            assert_eq!(untreated.len(), 8);
            assert!((median(&untreated).unwrap() - 1.0).abs() < 0.1, "{plate}");
        }
        assert!(
            !ranked
                .warnings
                .iter()
                .any(|warning| warning.what.contains("level"))
        );
    }

    #[test]
    fn each_of_several_plates_needs_untreated_wells() {
        let (embeddings, map) = two_plates([1.0, 2.0, 3.0], 1.0);
        let most = map.wells().keys().filter(|well| {
            let untreated = treatment(&map, well).group == Group::Untreated;
            well.plate == "q" && untreated && well.well.column() > 2
        });
        let map = map.without(&most.cloned().collect());
        let error = rank(&[set(&embeddings)], &map, &RankConfig::default()).unwrap_err();
        assert!(error.to_string().contains("plate q"), "{error}");
    }

    #[test]
    fn wells_have_p_values_and_directions() {
        let (embeddings, map) = plate([1.0, 2.0, 4.0], &DAYS);
        let ranked = rank(&[set(&embeddings)], &map, &RankConfig::default()).unwrap();
        let directions = ranked.directions.unwrap();
        for ((well, p), direction) in ranked.wells.iter().zip(&ranked.p_values).zip(directions) {
            match well.treatment.group {
                Group::Untreated => {
                    assert!(*p >= 1.0 / 8.0);
                    assert!(direction.abs() < 0.5, "{well:?}: {direction}");
                }
                Group::SingleDose => {
                    assert_eq!(*p, 1.0 / 9.0);
                }
                Group::DrugScreened => assert!(*p <= 2.0 / 9.0),
            }
        }
        // One well of the single dose shows no direction.
        let reference = map
            .wells()
            .keys()
            .find(|well| treatment(&map, well).group == Group::SingleDose);
        let fewer = map.without(&reference.cloned().into_iter().collect());
        let ranked = rank(&[set(&embeddings)], &fewer, &RankConfig::default()).unwrap();
        assert_eq!(ranked.directions, None);
    }

    #[test]
    fn effects_of_rows_and_columns_are_removed_when_asked() {
        let score = |row: usize, column: usize| {
            let effect = 0.4 * row as f64 - 0.3 * column as f64;
            // Scattered, so that polishing has something left.
            let own = 0.1 * (((row * 7 + column * 5) % 11) as f64 - 5.0);
            (effect + own).exp()
        };
        let wells: Vec<WellScore> = (0..48)
            .map(|i| WellScore {
                plate: "p".into(),
                well: WellId::new(i / 8, i % 8).unwrap(),
                treatment: Treatment {
                    name: if i % 3 == 0 { "drug" } else { "untreated" }.into(),
                    group: if i % 3 == 0 {
                        Group::DrugScreened
                    } else {
                        Group::Untreated
                    },
                    doses: Vec::new(),
                },
                score: score(i / 8, i % 8),
            })
            .collect();
        let spread = |wells: &[WellScore]| {
            let logs: Vec<f64> = wells.iter().map(|well| well.score.ln()).collect();
            let mean = logs.iter().sum::<f64>() / 48.0;
            logs.iter()
                .map(|log| (log - mean).powi(2))
                .sum::<f64>()
                .sqrt()
        };
        assert_eq!(join_plates(wells.clone(), false).unwrap(), wells);
        let polished = join_plates(wells.clone(), true).unwrap();
        assert!(spread(&polished) < 0.5 * spread(&wells));
        let untreated = polished.iter().filter(|well| is_untreated(well));
        let logs: Vec<f64> = untreated.map(|well| well.score.ln()).collect();
        assert!(median(&logs).unwrap().abs() < 1e-9);
    }

    #[test]
    fn the_baseline_orders_by_z_scored_change() {
        let (embeddings, map) = plate([1.0, 2.0, 4.0], &DAYS);
        let scores = morphology_baseline(&embeddings, &map, &RankConfig::default()).unwrap();
        assert!(scores["strong"] > scores["middle"] && scores["middle"] > scores["weak"]);
        assert!(scores["weak"] > scores["untreated"]);
    }
}
