use std::collections::VecDeque;

use ndarray::{Array1, Array2, ArrayView2, Axis, Zip, s};
use serde::{Deserialize, Serialize};
use spheroid_core::positive;

use super::{Probe, check};
use crate::SslError;

/// Multinomial logistic regression on standardised features.
///
/// It minimises `C · Σ log loss + ½ |W|²` over weights `W` and free intercepts, as scikit-learn does, by
/// L-BFGS. Features are brought to mean 0 and variance 1 over the training rows before; a constant one
/// is left out.
///
/// # Source
/// Liu, Nocedal 1989, "On the limited memory BFGS method for large scale optimization", Mathematical
/// Programming 45.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogisticRegression {
    /// Weight `C` of the data against the penalty; above 0. Smaller is smoother.
    pub c: f64,
}

impl Default for LogisticRegression {
    fn default() -> Self {
        Self { c: 0.01 }
    }
}

impl Probe for LogisticRegression {
    fn name(&self) -> &'static str {
        "logistic regression"
    }

    fn classify(
        &self,
        train: ArrayView2<'_, f32>,
        labels: &[usize],
        classes: usize,
        test: ArrayView2<'_, f32>,
    ) -> Result<Vec<usize>, SslError> {
        let probabilities = self.probabilities(train, labels, classes, test)?;
        let best = |row: ndarray::ArrayView1<'_, f64>| {
            let best = (0..classes).reduce(|a, b| if row[b] > row[a] { b } else { a });
            best.unwrap_or(0)
        };
        Ok(probabilities.rows().into_iter().map(best).collect())
    }
}

impl LogisticRegression {
    /// Probability of every class for every row of `test`, `[row, class]`.
    ///
    /// # Errors
    /// When `c` is not finite and above 0, there is no training row, or rows, labels and classes do not
    /// fit each other.
    pub fn probabilities(
        &self,
        train: ArrayView2<'_, f32>,
        labels: &[usize],
        classes: usize,
        test: ArrayView2<'_, f32>,
    ) -> Result<Array2<f64>, SslError> {
        positive("c", self.c)?;
        check(train, labels, classes, test)?;
        let scaler = Scaler::fit(train);
        let problem = Problem {
            features: scaler.scale(train),
            labels,
            classes,
            c: self.c,
        };
        let weights = problem.minimize();
        Ok(softmax(scaler.scale(test).dot(&weights)))
    }
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

struct Problem<'a> {
    features: Array2<f64>,
    labels: &'a [usize],
    classes: usize,
    c: f64,
}

impl Problem<'_> {
    /// Objective and gradient at `weights`, `[feature + 1, class]`.
    fn evaluate(&self, weights: &Array2<f64>) -> (f64, Array2<f64>) {
        let mut errors = softmax(self.features.dot(weights));
        let mut loss = 0.0;
        for (mut row, label) in errors.rows_mut().into_iter().zip(self.labels) {
            loss -= row[*label].max(f64::MIN_POSITIVE).ln();
            row[*label] -= 1.0;
        }
        let mut gradient = self.features.t().dot(&errors) * self.c;
        // The last row holds the intercepts, which are free.
        let last = weights.nrows() - 1;
        let penalized = weights.slice(s![..last, ..]);
        let mut inner = gradient.slice_mut(s![..last, ..]);
        inner += &penalized;
        let penalty = 0.5 * penalized.iter().map(|weight| weight * weight).sum::<f64>();
        (self.c * loss + penalty, gradient)
    }

    fn minimize(&self) -> Array2<f64> {
        const PAIRS: usize = 10;
        const STEPS: usize = 1000;
        let mut weights = Array2::zeros((self.features.ncols(), self.classes));
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
    use spheroid_testkit::{Tolerance, assert_close, json_fixture};

    use super::*;

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
            let found = LogisticRegression { c: case.c }
                .probabilities(train.view(), &case.labels, case.classes, test.view())
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
        let train = ndarray::arr2(&[[0.0f32], [1.0]]);
        let found = LogisticRegression { c: 100.0 }
            .probabilities(train.view(), &[0, 2], 3, train.view())
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
            .probabilities(train.view(), &[0, 1, 0], 2, test.view())
            .unwrap();
        assert_eq!(found.row(0), found.row(1));
    }

    #[test]
    fn settings_and_rows_that_make_no_sense_are_refused() {
        let rows = ndarray::arr2(&[[1.0f32], [2.0]]);
        for c in [0.0, -1.0, f64::NAN] {
            let found = LogisticRegression { c }.classify(rows.view(), &[0, 1], 2, rows.view());
            assert!(found.is_err());
        }
        let regression = LogisticRegression::default();
        assert!(
            regression
                .classify(rows.view(), &[0, 2], 2, rows.view())
                .is_err()
        );
        assert!(
            regression
                .classify(rows.view(), &[0], 2, rows.view())
                .is_err()
        );
    }
}
