//! Probes: what a simple classifier can read out of frozen features.
//!
//! [`LogisticRegression`] asks whether classes lie apart by planes, [`Knn`] whether they lie together. Rows
//! that show one thing (the days of a well) form a group, which is never on both sides of a split.
//!
//! # Source
//! Alain, Bengio 2016, "Understanding intermediate layers using linear classifier probes", arXiv 1610.01644.

mod knn;
mod logistic;

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{Array2, ArrayView2, Axis};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use spheroid_core::{DrawKey, ParamError, at_least};

pub use knn::Knn;
pub use logistic::LogisticRegression;

use crate::SslError;

/// Something that classifies rows after it has seen others with their classes.
pub trait Probe: Sync {
    /// Name in tables.
    fn name(&self) -> &'static str;

    /// Class, below `classes`, of every row of `test`.
    ///
    /// # Errors
    /// When a setting is outside what is allowed, `test` has other features, or a label of `train` is not
    /// below `classes`.
    fn classify(
        &self,
        train: &LabelledFeatures,
        classes: usize,
        test: ArrayView2<'_, f32>,
    ) -> Result<Vec<usize>, SslError>;
}

/// A matrix of all classes against all others is made.
const MOST_CLASSES: usize = 4096;

/// Rows of features with a class and a group each.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledFeatures {
    features: Array2<f32>,
    labels: Vec<usize>,
    groups: Vec<usize>,
}

impl LabelledFeatures {
    /// Joins features `[row, feature]` with the class and the group of every row.
    ///
    /// # Errors
    /// When there is no row, not one class and one group a row, or a feature is not finite.
    pub fn new(
        features: Array2<f32>,
        labels: Vec<usize>,
        groups: Vec<usize>,
    ) -> Result<Self, ParamError> {
        let rows = features.nrows();
        at_least("features", features.len(), 1, "at least one")?;
        for (name, count) in [("labels", labels.len()), ("groups", groups.len())] {
            if count != rows {
                return Err(ParamError::new(name, count, "as many as there are rows"));
            }
        }
        if let Some(label) = labels.iter().find(|label| **label >= MOST_CLASSES) {
            return Err(ParamError::new("labels", label, "below 4096"));
        }
        if let Some(value) = features.iter().find(|value| !value.is_finite()) {
            return Err(ParamError::new("features", value, "finite"));
        }
        Ok(Self {
            features,
            labels,
            groups,
        })
    }

    /// Number of classes: one more than the largest label.
    pub fn classes(&self) -> usize {
        self.labels.iter().max().map_or(0, |last| last + 1)
    }

    /// Rows to learn from and rows to test with; see [`split_by_group`].
    pub fn split(&self, key: DrawKey) -> (Self, Self) {
        let [train, test] =
            split_by_group(&self.labels, &self.groups, key).expect("there is one group a row");
        (self.select(&train), self.select(&test))
    }

    /// `count` rows of every class, drawn without replacement; all of a class that has fewer.
    pub fn per_class(&self, count: usize, key: DrawKey) -> Self {
        let mut rng = key.rng();
        let mut rows: Vec<usize> = (0..self.labels.len()).collect();
        rows.shuffle(&mut rng);
        let mut taken = vec![0; self.classes()];
        rows.retain(|row| {
            let taken = &mut taken[self.labels[*row]];
            *taken += 1;
            *taken <= count
        });
        self.select(&rows)
    }

    fn select(&self, rows: &[usize]) -> Self {
        Self {
            features: self.features.select(Axis(0), rows),
            labels: rows.iter().map(|row| self.labels[*row]).collect(),
            groups: rows.iter().map(|row| self.groups[*row]).collect(),
        }
    }
}

/// Numbers of the rows to learn from and of those to test with, never of one group.
///
/// A third of the groups of every class is held out, at least one where a class has two; the class of a
/// group is the largest label of its rows.
///
/// # Errors
/// When there is not one group a label.
pub fn split_by_group(
    labels: &[usize],
    groups: &[usize],
    key: DrawKey,
) -> Result<[Vec<usize>; 2], ParamError> {
    if labels.len() != groups.len() {
        return Err(ParamError::new("groups", groups.len(), "as many as labels"));
    }
    let mut class_of: BTreeMap<usize, usize> = BTreeMap::new();
    for (group, label) in groups.iter().zip(labels) {
        let class = class_of.entry(*group).or_insert(*label);
        *class = (*class).max(*label);
    }
    let mut by_class: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (group, class) in class_of {
        by_class.entry(class).or_default().push(group);
    }
    let mut rng = key.rng();
    let mut held_out: BTreeSet<usize> = BTreeSet::new();
    for groups in by_class.values_mut() {
        groups.shuffle(&mut rng);
        let count = (groups.len() / 3).max(usize::from(groups.len() > 1));
        held_out.extend(&groups[..count]);
    }
    let (test, train) = (0..labels.len()).partition(|row| held_out.contains(&groups[*row]));
    Ok([train, test])
}

/// How often rows of a class were taken for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfusionMatrix {
    /// `[true class, predicted class]`.
    pub counts: Array2<u64>,
}

impl ConfusionMatrix {
    /// Counts predictions.
    ///
    /// # Errors
    /// When there are not as many predictions as labels, one is not below `classes`, or there are more than
    /// 4096 classes.
    pub fn new(labels: &[usize], predicted: &[usize], classes: usize) -> Result<Self, ParamError> {
        if labels.len() != predicted.len() {
            return Err(ParamError::new(
                "predicted",
                predicted.len(),
                "as many as labels",
            ));
        }
        if classes > MOST_CLASSES {
            return Err(ParamError::new("classes", classes, "at most 4096"));
        }
        let mut counts = Array2::zeros((classes, classes));
        for (label, predicted) in labels.iter().zip(predicted) {
            let wrong =
                || ParamError::new("label", label.max(predicted), "below the number of classes");
            *counts.get_mut((*label, *predicted)).ok_or_else(wrong)? += 1;
        }
        Ok(Self { counts })
    }

    /// Share of rows that are right; `None` without rows.
    pub fn accuracy(&self) -> Option<f64> {
        let all = self.counts.sum();
        (all > 0).then(|| self.counts.diag().sum() as f64 / all as f64)
    }

    /// Mean over the classes that occur of the share of their rows that are right; `None` without rows.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        let recalls = self.counts.rows().into_iter().enumerate();
        let recalls: Vec<f64> = recalls
            .filter(|(_, row)| row.sum() > 0)
            .map(|(class, row)| row[class] as f64 / row.sum() as f64)
            .collect();
        (!recalls.is_empty()).then(|| recalls.iter().sum::<f64>() / recalls.len() as f64)
    }
}

/// What a probe found over several draws of rows to learn from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probed {
    /// Accuracy of every draw.
    pub accuracies: Vec<f64>,
    /// Balanced accuracy of every draw.
    pub balanced: Vec<f64>,
    /// All draws together.
    pub confusion: ConfusionMatrix,
}

/// Mean, and where 95 % of draws lie.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Mean over the draws.
    pub mean: f64,
    /// 2.5th percentile.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

impl Interval {
    /// Percentiles by linear interpolation, so with few draws nearly their range. It says how much the draw
    /// of rows matters; draws share rows, so it is not a confidence interval of the accuracy on new data.
    /// `None` without values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let percentile = |share: f64| {
            let at = share * last as f64;
            let low = at as usize;
            let high = (low + 1).min(last);
            sorted[low] + (at - low as f64) * (sorted[high] - sorted[low])
        };
        Some(Self {
            mean: sorted.iter().sum::<f64>() / sorted.len() as f64,
            low: percentile(0.025),
            high: percentile(0.975),
        })
    }
}

/// Settings of [`evaluate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluateConfig {
    /// Rows of every class to learn from; `None` takes all.
    pub per_class: Option<usize>,
    /// Draws of rows; at least 1.
    pub draws: usize,
    /// Fixes the draws.
    pub seed: u64,
}

/// Trains and tests `probe` over several draws.
///
/// With `test` every draw learns from other rows of `data`; without, every draw splits `data` by group.
///
/// # Errors
/// When there is no draw, `test` has other features or classes, nothing is left to test with, or the probe
/// refuses its settings.
pub fn evaluate(
    data: &LabelledFeatures,
    test: Option<&LabelledFeatures>,
    probe: &dyn Probe,
    config: &EvaluateConfig,
) -> Result<Probed, SslError> {
    at_least("draws", config.draws, 1, "at least 1")?;
    if let Some(count) = config.per_class {
        at_least("per_class", count, 1, "at least 1")?;
    }
    let classes = data
        .classes()
        .max(test.map_or(0, LabelledFeatures::classes));
    let mut probed = Probed {
        accuracies: Vec::new(),
        balanced: Vec::new(),
        confusion: ConfusionMatrix {
            counts: Array2::zeros((classes, classes)),
        },
    };
    for draw in 0..config.draws as u64 {
        let key = |view| DrawKey {
            seed: config.seed,
            epoch: draw,
            item: 0,
            view,
        };
        let (mut train, held_out) = match test {
            Some(test) => (data.clone(), test.clone()),
            None => data.split(key(0)),
        };
        if let Some(count) = config.per_class {
            train = train.per_class(count, key(1));
        }
        let predicted = probe.classify(&train, classes, held_out.features.view())?;
        let confusion = ConfusionMatrix::new(&held_out.labels, &predicted, classes)?;
        let nothing = || ParamError::new("groups", "none to test with", "at least two in a class");
        probed
            .accuracies
            .push(confusion.accuracy().ok_or_else(nothing)?);
        probed
            .balanced
            .push(confusion.balanced_accuracy().ok_or_else(nothing)?);
        probed.confusion.counts += &confusion.counts;
    }
    Ok(probed)
}

/// Refuses rows to test with that do not fit those to learn from.
fn check(
    train: &LabelledFeatures,
    classes: usize,
    test: ArrayView2<'_, f32>,
) -> Result<(), ParamError> {
    if let Some(label) = train.labels.iter().find(|label| **label >= classes) {
        let rule = "below the number of classes";
        return Err(ParamError::new("label", label, rule));
    }
    if test.ncols() != train.features.ncols() {
        let rule = "of as many features as the training rows";
        return Err(ParamError::new("test", test.ncols(), rule));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every row a group of its own.
    pub(super) fn labelled(rows: Array2<f32>, labels: &[usize]) -> LabelledFeatures {
        LabelledFeatures::new(rows, labels.to_vec(), (0..labels.len()).collect()).unwrap()
    }

    fn key(seed: u64) -> DrawKey {
        DrawKey {
            seed,
            epoch: 0,
            item: 0,
            view: 0,
        }
    }

    fn data(labels: Vec<usize>, groups: Vec<usize>) -> LabelledFeatures {
        let rows = labels.len();
        // Each class along an axis of its own.
        let features = Array2::from_shape_fn((rows, 3), |(row, column)| {
            let noise = ((row * 7 + column * 3) % 5) as f32 * 0.1;
            f32::from(u8::from(labels[row] == column)) + noise
        });
        LabelledFeatures::new(features, labels, groups).unwrap()
    }

    proptest! {
        #[test]
        fn no_group_is_on_both_sides(
            rows in proptest::collection::vec((0usize..3, 0usize..9), 2..60), seed in 0u64..50,
        ) {
            let (labels, groups) = rows.iter().copied().unzip();
            let data = data(labels, groups);
            let (train, test) = data.split(key(seed));
            prop_assert_eq!(train.labels.len() + test.labels.len(), rows.len());
            prop_assert!(train.groups.iter().all(|group| !test.groups.contains(group)));
        }
    }

    #[test]
    fn every_class_is_tested_with_a_third_of_its_groups() {
        // Three classes of 9, 4 and 2 wells on two days each.
        let wells = [9, 4, 2];
        let of_class = |class: usize| std::iter::repeat_n(class, 2 * wells[class]);
        let labels: Vec<usize> = (0..3).flat_map(of_class).collect();
        let groups = (0..labels.len()).map(|row| row / 2).collect();
        let (train, test) = data(labels, groups).split(key(1));
        let count =
            |side: &LabelledFeatures, class| side.labels.iter().filter(|l| **l == class).count();
        assert_eq!([0, 1, 2].map(|class| count(&test, class)), [6, 2, 2]);
        assert_eq!([0, 1, 2].map(|class| count(&train, class)), [12, 6, 2]);
    }

    #[test]
    fn as_many_rows_are_drawn_of_every_class_as_there_are() {
        let data = data(vec![0, 0, 0, 0, 1, 1], (0..6).collect());
        let drawn = data.per_class(3, key(1));
        assert_eq!(drawn.labels.iter().filter(|label| **label == 0).count(), 3);
        assert_eq!(drawn.labels.iter().filter(|label| **label == 1).count(), 2);
        assert_ne!(drawn.groups, data.per_class(3, key(2)).groups);
    }

    #[test]
    fn accuracies_are_those_of_the_matrix() {
        let matrix = ConfusionMatrix::new(&[0, 0, 0, 1], &[0, 0, 1, 1], 3).unwrap();
        assert_eq!(matrix.accuracy(), Some(0.75));
        assert_eq!(matrix.balanced_accuracy(), Some((2.0 / 3.0 + 1.0) / 2.0));
        assert!(ConfusionMatrix::new(&[0], &[3], 3).is_err());
        assert!(ConfusionMatrix::new(&[0], &[], 3).is_err());
        assert_eq!(ConfusionMatrix::new(&[], &[], 2).unwrap().accuracy(), None);
    }

    #[test]
    fn classes_that_lie_apart_are_told_apart() {
        let labels: Vec<usize> = (0..30).map(|row| row % 3).collect();
        let data = data(labels, (0..30).collect());
        for probe in [
            &LogisticRegression::default() as &dyn Probe,
            &Knn::default(),
        ] {
            let config = EvaluateConfig {
                per_class: Some(4),
                draws: 3,
                seed: 1,
            };
            let probed = evaluate(&data, None, probe, &config).unwrap();
            assert_eq!(probed.accuracies, [1.0; 3], "{}", probe.name());
            assert_eq!(probed.confusion.counts.diag().sum(), 27);
            let again = evaluate(&data, None, probe, &config).unwrap();
            assert_eq!(again, probed);
        }
    }

    #[test]
    fn intervals_are_percentiles() {
        let interval = Interval::of(&[3.0, 1.0, 2.0]).unwrap();
        assert!((interval.mean - 2.0).abs() < 1e-12);
        assert!((interval.low - 1.05).abs() < 1e-12 && (interval.high - 2.95).abs() < 1e-12);
        assert_eq!(Interval::of(&[]), None);
    }

    #[test]
    fn what_cannot_be_probed_is_refused() {
        assert!(LabelledFeatures::new(Array2::zeros((0, 2)), vec![], vec![]).is_err());
        assert!(LabelledFeatures::new(Array2::zeros((2, 2)), vec![0], vec![0, 1]).is_err());
        assert!(LabelledFeatures::new(Array2::zeros((2, 2)), vec![0, 1], vec![0]).is_err());
        assert!(LabelledFeatures::new(Array2::zeros((1, 1)), vec![usize::MAX], vec![0]).is_err());
        assert!(split_by_group(&[0, 1], &[0], key(1)).is_err());
        assert!(ConfusionMatrix::new(&[], &[], 1 << 40).is_err());
        let nan = Array2::from_elem((1, 1), f32::NAN);
        assert!(LabelledFeatures::new(nan, vec![0], vec![0]).is_err());
        let alone = data(vec![0, 1], vec![0, 1]);
        let config = EvaluateConfig {
            per_class: None,
            draws: 1,
            seed: 1,
        };
        // One group a class leaves nothing to test with.
        assert!(evaluate(&alone, None, &Knn::default(), &config).is_err());
        for wrong in [
            EvaluateConfig { draws: 0, ..config },
            EvaluateConfig {
                per_class: Some(0),
                ..config
            },
        ] {
            assert!(evaluate(&alone, Some(&alone), &Knn::default(), &wrong).is_err());
        }
    }
}
