use std::collections::VecDeque;

use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, s};
use serde::{Deserialize, Serialize};
use spheroid_core::{DrawKey, ParamError, at_least, positive};

use super::{ConfusionMatrix, LabelledFeatures, Probe, check};
use crate::SslError;

/// Multinomial logistic regression on standardised features.
///
/// It minimises `C · Σ w · log loss + ½ |W|²` over weights `W` and free intercepts by L-BFGS. A row weighs `w`
/// = rows ÷ (classes · rows of its class), so that every class weighs the same: scikit-learn's
/// `class_weight="balanced"`. Features are brought to mean 0 and variance 1 over the training rows before;
/// a constant one is left out.
///
/// # Source
/// Liu, Nocedal 1989, "On the limited memory BFGS method for large scale optimization", Mathematical
/// Programming 45.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogisticRegression {
    /// Weights `C` of the data against the penalty; above 0, smaller is smoother. Of several the one is used
    /// with which two thirds of the training groups classify the last third best: the first of equals, and the
    /// first of all where no class has two groups.
    pub c: Vec<f64>,
}

impl Default for LogisticRegression {
    fn default() -> Self {
        Self {
            c: vec![0.001, 0.003, 0.01, 0.03, 0.1, 0.3],
        }
    }
}

impl Probe for LogisticRegression {
    fn name(&self) -> &'static str {
        "logistic regression"
    }

    fn classify(
        &self,
        train: &LabelledFeatures,
        classes: usize,
        test: ArrayView2<'_, f32>,
    ) -> Result<Vec<usize>, SslError> {
        Ok(most_probable(&self.probabilities(train, classes, test)?))
    }
}

impl LogisticRegression {
    /// Probability of every class for every row of `test`, `[row, class]`.
    ///
    /// # Errors
    /// When there is no `c`, one is not finite and above 0, or rows, labels and classes do not fit each
    /// other.
    pub fn probabilities(
        &self,
        train: &LabelledFeatures,
        classes: usize,
        test: ArrayView2<'_, f32>,
    ) -> Result<Array2<f64>, SslError> {
        check(train, classes, test)?;
        let c = self.choose(train, classes)?;
        Ok(fit(train, classes, c).probabilities(test))
    }

    fn choose(&self, train: &LabelledFeatures, classes: usize) -> Result<f64, ParamError> {
        at_least("c", self.c.len(), 1, "at least one")?;
        for c in &self.c {
            positive("c", *c)?;
        }
        let (learned, held_out) = train.split(HELD_OUT);
        // Nothing is held out when no class has two groups.
        if self.c.len() == 1 || held_out.labels.is_empty() {
            return Ok(self.c[0]);
        }
        let mut best = (self.c[0], f64::NEG_INFINITY);
        for c in &self.c {
            let probabilities = fit(&learned, classes, *c).probabilities(held_out.features.view());
            let predicted = most_probable(&probabilities);
            let matrix = ConfusionMatrix::new(&held_out.labels, &predicted, classes)?;
            if let Some(accuracy) = matrix.balanced_accuracy().filter(|found| *found > best.1) {
                best = (*c, accuracy);
            }
        }
        Ok(best.0)
    }
}

/// Fixes which groups choose `C`.
const HELD_OUT: DrawKey = DrawKey {
    seed: 0,
    epoch: 0,
    item: 0,
    view: 0,
};

fn most_probable(probabilities: &Array2<f64>) -> Vec<usize> {
    let rows = probabilities.rows().into_iter();
    rows.map(|row| {
        let classes = 0..row.len();
        let best = classes.reduce(|a, b| if row[b] > row[a] { b } else { a });
        best.unwrap_or(0)
    })
    .collect()
}

/// A fitted regression.
struct Fitted {
    scaler: Scaler,
    weights: Array2<f64>,
}

impl Fitted {
    fn probabilities(&self, rows: ArrayView2<'_, f32>) -> Array2<f64> {
        softmax(self.scaler.scale(rows).dot(&self.weights))
    }
}

fn fit(train: &LabelledFeatures, classes: usize, c: f64) -> Fitted {
    let rows = train.features.view();
    let scaler = Scaler::fit(rows);
    let problem = Problem {
        features: scaler.scale(rows),
        labels: &train.labels,
        factors: class_weights(&train.labels, classes).mapv(|weight| c * weight),
    };
    let weights = problem.minimize();
    Fitted { scaler, weights }
}

/// Mean and reciprocal deviation of every feature, 0 for a constant one.
struct Scaler {
    mean: Array1<f64>,
    factor: Array1<f64>,
}

impl Scaler {
    fn fit(rows: ArrayView2<'_, f32>) -> Self {
        let rows = rows.mapv(f64::from);
        let mean = rows.sum_axis(Axis(0)) / rows.nrows() as f64;
        let variance = (&rows - &mean).mapv(|x| x * x).sum_axis(Axis(0)) / rows.nrows() as f64;
        let factor = Zip::from(&variance)
            .and(&mean)
            .map_collect(|variance, mean| {
                // What rounding leaves of a constant is no variance.
                let deviation = variance.sqrt();
                if deviation > 1e-7 * mean.abs() {
                    1.0 / deviation
                } else {
                    0.0
                }
            });
        Self { mean, factor }
    }

    /// Standardised features and a column of ones, `[row, feature + 1]`.
    fn scale(&self, rows: ArrayView2<'_, f32>) -> Array2<f64> {
        let (count, features) = rows.dim();
        let mut scaled = Array2::ones((count, features + 1));
        let inner = (rows.mapv(f64::from) - &self.mean) * &self.factor;
        scaled.slice_mut(s![.., ..features]).assign(&inner);
        scaled
    }
}

/// Weight of a row by its class; 0 for a class without rows.
fn class_weights(labels: &[usize], classes: usize) -> Array1<f64> {
    let mut counts = vec![0usize; classes];
    for label in labels {
        counts[*label] += 1;
    }
    let present = counts.iter().filter(|count| **count > 0).count();
    let weight = |count: usize| match count {
        0 => 0.0,
        count => labels.len() as f64 / (present * count) as f64,
    };
    counts.into_iter().map(weight).collect()
}

struct Problem<'a> {
    features: Array2<f64>,
    labels: &'a [usize],
    /// What the loss of a row counts, by class.
    factors: Array1<f64>,
}

impl Problem<'_> {
    /// Objective and gradient at `weights`, `[feature + 1, class]`.
    fn evaluate(&self, weights: &Array2<f64>) -> (f64, Array2<f64>) {
        let mut errors = softmax(self.features.dot(weights));
        let mut loss = 0.0;
        for (mut row, label) in errors.rows_mut().into_iter().zip(self.labels) {
            let factor = self.factors[*label];
            loss -= factor * row[*label].max(f64::MIN_POSITIVE).ln();
            row[*label] -= 1.0;
            row *= factor;
        }
        let mut gradient = self.features.t().dot(&errors);
        // The last row holds the intercepts, which are free.
        let last = weights.nrows() - 1;
        let penalized = weights.slice(s![..last, ..]);
        let mut inner = gradient.slice_mut(s![..last, ..]);
        inner += &penalized;
        let penalty = 0.5 * penalized.iter().map(|weight| weight * weight).sum::<f64>();
        (loss + penalty, gradient)
    }

    fn minimize(&self) -> Array2<f64> {
        const PAIRS: usize = 10;
        const STEPS: usize = 1000;
        let mut weights = Array2::zeros((self.features.ncols(), self.factors.len()));
        let (mut value, mut gradient) = self.evaluate(&weights);
        // What the gradient is compared with: its size at the start, where nothing is known.
        let tolerance = 1e-7 * largest(&gradient).max(1e-300);
        let mut pairs: VecDeque<(Array2<f64>, Array2<f64>)> = VecDeque::new();
        for _ in 0..STEPS {
            if largest(&gradient) <= tolerance {
                break;
            }
            let direction = descent(&gradient, &pairs);
            let slope = dot(&direction, &gradient);
            let mut length = if pairs.is_empty() {
                1.0 / dot(&gradient, &gradient).sqrt()
            } else {
                1.0
            };
            let (next, next_value, next_gradient) = loop {
                let next = &weights + &(&direction * length);
                let (next_value, next_gradient) = self.evaluate(&next);
                // Armijo's condition; a convex objective meets it for a short enough step.
                if next_value <= value + 1e-4 * length * slope || length < 1e-12 {
                    break (next, next_value, next_gradient);
                }
                length *= 0.5;
            };
            let step = &next - &weights;
            let change = &next_gradient - &gradient;
            if dot(&step, &change) > 1e-12 * dot(&change, &change) {
                if pairs.len() == PAIRS {
                    pairs.pop_front();
                }
                pairs.push_back((step, change));
            }
            let progress = value - next_value;
            (weights, value, gradient) = (next, next_value, next_gradient);
            if progress <= 1e-15 * value.abs() {
                break;
            }
        }
        weights
    }
}

/// The two-loop recursion: minus the gradient times an estimate of the inverse Hessian.
fn descent(gradient: &Array2<f64>, pairs: &VecDeque<(Array2<f64>, Array2<f64>)>) -> Array2<f64> {
    let mut direction = gradient.clone();
    let mut shares = Vec::with_capacity(pairs.len());
    for (step, change) in pairs.iter().rev() {
        let share = dot(step, &direction) / dot(step, change);
        direction.scaled_add(-share, change);
        shares.push(share);
    }
    if let Some((step, change)) = pairs.back() {
        direction *= dot(step, change) / dot(change, change);
    }
    for ((step, change), share) in pairs.iter().zip(shares.into_iter().rev()) {
        let other = dot(change, &direction) / dot(step, change);
        direction.scaled_add(share - other, step);
    }
    -direction
}

fn dot(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    Zip::from(a).and(b).fold(0.0, |sum, a, b| sum + a * b)
}

fn largest(values: &Array2<f64>) -> f64 {
    values.iter().fold(0.0, |most, value| value.abs().max(most))
}

/// Rows of probabilities from rows of logits.
fn softmax(mut logits: Array2<f64>) -> Array2<f64> {
    for mut row in logits.rows_mut() {
        let most = row
            .iter()
            .fold(f64::NEG_INFINITY, |most, value| value.max(most));
        row.mapv_inplace(|value| (value - most).exp());
        let sum = row.sum();
        row /= sum;
    }
    logits
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use spheroid_testkit::{Tolerance, assert_close, json_fixture};

    use super::{super::tests::labelled, *};

    #[derive(Deserialize)]
    struct Case {
        c: f64,
        classes: usize,
        features: usize,
        train: Vec<f32>,
        labels: Vec<usize>,
        test: Vec<f32>,
        probabilities: Vec<f64>,
    }

    #[test]
    fn probabilities_agree_with_scikit_learn() {
        let cases: Vec<Case> = json_fixture(env!("CARGO_MANIFEST_DIR"), "logistic.json");
        assert!(cases.len() >= 4);
        for case in cases {
            let rows = |values: &[f32]| {
                let shape = (values.len() / case.features, case.features);
                Array2::from_shape_vec(shape, values.to_vec()).unwrap()
            };
            let (train, test) = (rows(&case.train), rows(&case.test));
            let train = labelled(train, &case.labels);
            let found = LogisticRegression { c: vec![case.c] }
                .probabilities(&train, case.classes, test.view())
                .unwrap();
            let tolerance = Tolerance {
                relative: 0.0,
                absolute: 1e-5,
            };
            assert_close(
                &found.into_raw_vec_and_offset().0,
                &case.probabilities,
                tolerance,
            );
        }
    }

    #[test]
    fn a_class_that_is_not_seen_gets_no_probability() {
        let rows = ndarray::arr2(&[[0.0f32], [1.0]]);
        let train = labelled(rows.clone(), &[0, 2]);
        let found = LogisticRegression { c: vec![100.0] }
            .probabilities(&train, 3, rows.view())
            .unwrap();
        assert!(found[[0, 0]] > 0.8 && found[[1, 2]] > 0.8);
        assert!(
            found
                .column(1)
                .iter()
                .all(|probability| *probability < 0.05),
            "{found}"
        );
    }

    #[test]
    fn a_constant_feature_says_nothing() {
        let train = ndarray::arr2(&[[0.1f32, 0.0], [0.1, 1.0], [0.1, 0.2]]);
        let test = ndarray::arr2(&[[0.1f32, 0.5], [900.0, 0.5]]);
        let found = LogisticRegression::default()
            .probabilities(&labelled(train, &[0, 1, 0]), 2, test.view())
            .unwrap();
        assert_eq!(found.row(0), found.row(1));
    }

    #[test]
    fn the_weight_is_chosen_by_held_out_rows() {
        // As many features of noise as rows beside one that tells: a large C learns the noise by heart.
        let mut rng = HELD_OUT.rng();
        let rows = Array2::from_shape_fn((300, 200), |(row, column)| {
            let noise: f32 = (0..6).map(|_| rng.random::<f32>() - 0.5).sum();
            let signal = if column == 0 { (row % 2) as f32 } else { 0.0 };
            noise + signal
        });
        let labels: Vec<usize> = (0..300).map(|row| row % 2).collect();
        let train = labelled(rows, &labels);
        let c = vec![1e-3, 1e3];
        let chosen = LogisticRegression { c }.choose(&train, 2).unwrap();
        assert_eq!(chosen, 1e-3);
        // With one group a class there is nothing to hold out.
        let single = labelled(ndarray::arr2(&[[0.0f32], [1.0]]), &[0, 1]);
        let first = LogisticRegression::default().choose(&single, 2).unwrap();
        assert_eq!(first, 0.001);
    }

    #[test]
    fn settings_and_rows_that_make_no_sense_are_refused() {
        let rows = ndarray::arr2(&[[1.0f32], [2.0]]);
        let train = labelled(rows.clone(), &[0, 1]);
        for c in [vec![], vec![0.0], vec![0.1, -1.0], vec![f64::NAN]] {
            let found = LogisticRegression { c }.classify(&train, 2, rows.view());
            assert!(found.is_err());
        }
        let regression = LogisticRegression::default();
        assert!(regression.classify(&train, 1, rows.view()).is_err());
        let wide = ndarray::arr2(&[[1.0f32, 2.0]]);
        assert!(regression.classify(&train, 2, wide.view()).is_err());
    }
}
