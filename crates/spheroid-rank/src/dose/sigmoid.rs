//! Least squares of a log-logistic curve.
//!
//! Given its middle and slope the curve is linear in its ends, so these are solved for and only two
//! numbers are searched (variable projection: Golub and Pereyra, SIAM Journal on Numerical Analysis 10
//! (1973), 413–432), with the Jacobian of Kaufman, BIT 15 (1975), 49–57, in a Levenberg-Marquardt
//! iteration within bounds.

use nalgebra::{Matrix2, Vector2};

use crate::RankError;

/// The wells of one dose.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    pub(super) dose: f64,
    /// Natural logarithm of the dose; minus infinity for dose 0.
    log: f64,
    pub(super) wells: f64,
    pub(super) mean: f64,
}

/// Responses by dose, ascending: all that least squares needs to know of them.
#[derive(Debug, Clone)]
pub(super) struct Levels {
    pub(super) levels: Vec<Level>,
    pub(super) wells: usize,
    /// Sum of squares around the means of the doses.
    pub(super) within: f64,
}

impl Levels {
    /// Groups the responses; the order of the wells does not matter.
    pub(super) fn of(doses: &[f64], responses: &[f64]) -> Result<Self, RankError> {
        if doses.len() != responses.len() {
            return Err(RankError::Shape {
                what: "responses to doses",
                expected: doses.len(),
                found: responses.len(),
            });
        }
        for (well, (&dose, &response)) in doses.iter().zip(responses).enumerate() {
            let bad = |what, value, rule| RankError::BadDoseWell {
                well,
                what,
                value,
                rule,
            };
            if !(dose.is_finite() && dose >= 0.0) {
                return Err(bad("dose", dose, "finite and not negative"));
            }
            if !response.is_finite() {
                return Err(bad("response", response, "finite"));
            }
        }
        // Adding zero turns -0 into +0.
        let doses = doses.iter().map(|dose| dose + 0.0);
        let mut pairs: Vec<(f64, f64)> = doses.zip(responses.iter().copied()).collect();
        pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut within = 0.0;
        let levels = pairs.chunk_by(|a, b| a.0 == b.0).map(|of_dose| {
            let wells = of_dose.len() as f64;
            let mean = of_dose.iter().map(|pair| pair.1).sum::<f64>() / wells;
            within += of_dose
                .iter()
                .map(|pair| (pair.1 - mean).powi(2))
                .sum::<f64>();
            Level {
                dose: of_dose[0].0,
                log: of_dose[0].0.ln(),
                wells,
                mean,
            }
        });
        let levels = levels.collect();
        let data = Self {
            levels,
            wells: pairs.len(),
            within,
        };
        if pairs.is_empty() || data.around_mean().is_finite() {
            Ok(data)
        } else {
            Err(RankError::Undefined {
                what: "sum of squares of the responses",
                reason: "it is too large a number".into(),
            })
        }
    }

    /// The levels with a dose above 0.
    pub(super) fn dosed(&self) -> &[Level] {
        let first = self.levels.partition_point(|level| level.dose == 0.0);
        &self.levels[first..]
    }

    /// Sum of squares around the mean of all.
    pub(super) fn around_mean(&self) -> f64 {
        let wells = self.wells as f64;
        let mean = self.levels.iter().map(|l| l.wells * l.mean).sum::<f64>() / wells;
        let between = self
            .levels
            .iter()
            .map(|l| l.wells * (l.mean - mean).powi(2));
        self.within + between.sum::<f64>()
    }
}

/// What is fitted, and within which bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Model {
    /// The response at dose 0 where it is given.
    pub(super) start: Option<f64>,
    /// Bounds of the response at infinite dose, the start between them; only where that is given.
    pub(super) end: [f64; 2],
    /// Bounds of the slope, above 0.
    pub(super) slope: [f64; 2],
    /// The EC50 is sought up to this factor beyond the doses tested, the height up to this factor times
    /// what the means of the doses show of it.
    pub(super) reach: f64,
}

/// `start + (end − start) / (1 + (ec50 / dose)^slope)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Curve {
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) log_ec50: f64,
    pub(super) log_slope: f64,
    /// Sum of squares between the means of the doses and the curve.
    pub(super) squares: f64,
    height_is_bound: bool,
}

/// Share of the way from start to end.
pub(super) fn share(log_dose: f64, log_ec50: f64, slope: f64) -> f64 {
    1.0 / (1.0 + (slope * (log_ec50 - log_dose)).exp())
}

/// Largest step of the first grid along the logarithm of the EC50.
const GRID_STEP: f64 = 0.5;
/// Slopes of a grid.
const GRID_SLOPES: usize = 9;
/// Local minima of the grid from which the search starts.
const STARTS: usize = 5;

impl Model {
    /// Number of parameters.
    pub(super) fn parameters(&self) -> usize {
        if self.start.is_some() { 3 } else { 4 }
    }

    /// Bounds of the logarithm of the EC50; some dose is above 0.
    pub(super) fn log_ec50_bounds(&self, data: &Levels) -> [f64; 2] {
        let dosed = data.dosed();
        let reach = self.reach.ln();
        [dosed[0].log - reach, dosed[dosed.len() - 1].log + reach]
    }

    /// Bounds of what lies between the ends: a curve that shows too little of itself has no height.
    fn height_bounds(&self, data: &Levels) -> [f64; 2] {
        let means = || data.levels.iter().map(|level| level.mean);
        match self.start {
            None => {
                let seen = means().fold(f64::NEG_INFINITY, f64::max)
                    - means().fold(f64::INFINITY, f64::min);
                [-self.reach * seen, self.reach * seen]
            }
            Some(start) => {
                let seen = means().fold(0.0, |most: f64, mean| most.max((mean - start).abs()));
                let [low, high] = self.end.map(|end| end - start);
                [low.max(-self.reach * seen), high.min(self.reach * seen)]
            }
        }
    }

    fn log_slope_bounds(&self) -> [f64; 2] {
        self.slope.map(f64::ln)
    }

    /// The best ends for a middle and slope.
    fn at(&self, data: &Levels, log_ec50: f64, log_slope: f64) -> Curve {
        let slope = log_slope.exp();
        let shares: Vec<f64> = data
            .levels
            .iter()
            .map(|level| share(level.log, log_ec50, slope))
            .collect();
        let weighted = |value: &dyn Fn(&Level, f64) -> f64| -> f64 {
            let levels = data.levels.iter().zip(&shares);
            levels
                .map(|(level, w)| level.wells * value(level, *w))
                .sum()
        };
        let wells = data.wells as f64;
        // Shares and means are counted from these.
        let (origin, level) = match self.start {
            None => (
                weighted(&|_, w| w) / wells,
                weighted(&|level, _| level.mean) / wells,
            ),
            Some(start) => (0.0, start),
        };
        let length = weighted(&|_, w| (w - origin).powi(2));
        let free = weighted(&|l, w| (w - origin) * (l.mean - level)) / length;
        let [low, high] = self.height_bounds(data);
        let height = if free.is_nan() {
            0.0
        } else {
            free.clamp(low, high)
        };
        let start = level - height * origin;
        let (end, height_is_bound) = (start + height, height != free);
        let squares = weighted(&|l, w| (l.mean - start - height * w).powi(2));
        Curve {
            start,
            end,
            log_ec50,
            log_slope,
            squares,
            height_is_bound,
        }
    }

    /// The curve of least squares: the best of searches from the local minima of a grid.
    pub(super) fn fit(&self, data: &Levels) -> Curve {
        let [low, high] = self.log_ec50_bounds(data);
        let columns = ((high - low) / GRID_STEP).ceil() as usize + 1;
        let middles = between(low, high, columns);
        let slopes = self.grid_slopes();
        let grid: Vec<Curve> = middles
            .iter()
            .flat_map(|x| slopes.iter().map(|s| self.at(data, *x, *s)))
            .collect();
        let near = |index: usize, count: usize| index.saturating_sub(1)..(index + 2).min(count);
        let mut starts: Vec<&Curve> = (0..grid.len())
            .filter(|&point| {
                let (column, row) = (point / slopes.len(), point % slopes.len());
                near(column, columns).all(|c| {
                    near(row, slopes.len())
                        .all(|r| grid[c * slopes.len() + r].squares >= grid[point].squares)
                })
            })
            .map(|point| &grid[point])
            .collect();
        starts.sort_by(|a, b| a.squares.total_cmp(&b.squares));
        starts
            .into_iter()
            .take(STARTS)
            .map(|start| self.refine(data, *start))
            .min_by(|a, b| a.squares.total_cmp(&b.squares))
            .expect("the least of the grid is a local minimum")
    }

    fn grid_slopes(&self) -> Vec<f64> {
        let [low, high] = self.log_slope_bounds();
        between(low, high, GRID_SLOPES)
    }

    /// Levenberg-Marquardt within the bounds.
    fn refine(&self, data: &Levels, mut curve: Curve) -> Curve {
        const STEPS: usize = 200;
        const MOST_DAMPING: f64 = 1e10;
        const LEAST_STEP: f64 = 1e-13;
        let bounds = [self.log_ec50_bounds(data), self.log_slope_bounds()];
        let mut damping = 1e-3;
        for _ in 0..STEPS {
            let (mut normal, mut downhill) = self.normal_equations(data, &curve);
            let here = [curve.log_ec50, curve.log_slope];
            for k in 0..2 {
                let [low, high] = bounds[k];
                let blocked =
                    (here[k] <= low && downhill[k] < 0.0) || (here[k] >= high && downhill[k] > 0.0);
                if blocked {
                    downhill[k] = 0.0;
                    normal[(0, 1)] = 0.0;
                    normal[(1, 0)] = 0.0;
                }
            }
            let mut improved = false;
            while damping <= MOST_DAMPING {
                let mut damped = normal;
                for k in 0..2 {
                    damped[(k, k)] *= 1.0 + damping;
                }
                let Some(step) = damped.lu().solve(&downhill) else {
                    return curve;
                };
                let to = |k: usize| {
                    let [low, high]: [f64; 2] = bounds[k];
                    (here[k] + step[k]).clamp(low, high)
                };
                let next = self.at(data, to(0), to(1));
                if next.squares < curve.squares {
                    damping = (damping / 10.0).max(1e-12);
                    curve = next;
                    improved = true;
                    break;
                }
                damping *= 10.0;
            }
            let moved = (curve.log_ec50 - here[0])
                .abs()
                .max((curve.log_slope - here[1]).abs());
            if !improved || moved < LEAST_STEP {
                break;
            }
        }
        curve
    }

    /// JᵀJ and −Jᵀr for the logarithms of EC50 and slope, the ends projected out.
    fn normal_equations(&self, data: &Levels, curve: &Curve) -> (Matrix2<f64>, Vector2<f64>) {
        let slope = curve.log_slope.exp();
        let height = curve.end - curve.start;
        let wells = data.wells as f64;
        let shares: Vec<f64> = data
            .levels
            .iter()
            .map(|level| share(level.log, curve.log_ec50, slope))
            .collect();
        let weighted = |values: &dyn Fn(usize) -> f64| -> f64 {
            let levels = data.levels.iter().enumerate();
            levels.map(|(j, level)| level.wells * values(j)).sum()
        };
        let mean_share = match self.start {
            None => weighted(&|j| shares[j]) / wells,
            Some(_) => 0.0,
        };
        let along: Vec<f64> = shares.iter().map(|w| w - mean_share).collect();
        let length = weighted(&|j| along[j] * along[j]);
        let derivatives = [0, 1].map(|k| {
            let mut column: Vec<f64> = data
                .levels
                .iter()
                .zip(&shares)
                .map(|(level, w)| {
                    // At dose 0 the share is 0 whatever the curve.
                    let change = height * slope * w * (1.0 - w);
                    match (k, change == 0.0) {
                        (_, true) => 0.0,
                        (0, _) => -change,
                        _ => change * (level.log - curve.log_ec50),
                    }
                })
                .collect();
            if self.start.is_none() {
                let mean = weighted(&|j| column[j]) / wells;
                column.iter_mut().for_each(|value| *value -= mean);
            }
            if !curve.height_is_bound && length > 0.0 {
                let part = weighted(&|j| column[j] * along[j]) / length;
                column
                    .iter_mut()
                    .zip(&along)
                    .for_each(|(value, w)| *value -= part * w);
            }
            column
        });
        let residual = |j: usize| data.levels[j].mean - curve.start - height * shares[j];
        let normal = Matrix2::from_fn(|a, b| weighted(&|j| derivatives[a][j] * derivatives[b][j]));
        let downhill = Vector2::from_fn(|a, _| weighted(&|j| derivatives[a][j] * residual(j)));
        (normal, downhill)
    }

    /// Least sum of squares between means and curve with this EC50: a grid of slopes, then the golden
    /// section.
    fn profile(&self, data: &Levels, log_ec50: f64) -> f64 {
        const SECTIONS: usize = 20;
        let slopes = self.grid_slopes();
        let squares = |log_slope: f64| self.at(data, log_ec50, log_slope).squares;
        let values: Vec<f64> = slopes.iter().map(|s| squares(*s)).collect();
        let best = (0..values.len())
            .min_by(|a, b| values[*a].total_cmp(&values[*b]))
            .expect("there are slopes");
        let golden = (5f64.sqrt() - 1.0) / 2.0;
        let (mut low, mut high) = (
            slopes[best.saturating_sub(1)],
            slopes[(best + 1).min(slopes.len() - 1)],
        );
        let mut left = high - golden * (high - low);
        let mut right = low + golden * (high - low);
        let (mut at_left, mut at_right) = (squares(left), squares(right));
        for _ in 0..SECTIONS {
            if at_left <= at_right {
                (high, right, at_right) = (right, left, at_left);
                left = high - golden * (high - low);
                at_left = squares(left);
            } else {
                (low, left, at_left) = (left, right, at_right);
                right = low + golden * (high - low);
                at_right = squares(right);
            }
        }
        values[best].min(at_left).min(at_right)
    }

    /// The least and the largest logarithm of an EC50 whose curve leaves at most `most` as the sum of
    /// squares between means and curve; none where that holds up to the bound.
    pub(super) fn log_ec50_within(
        &self,
        data: &Levels,
        best: &Curve,
        most: f64,
    ) -> [Option<f64>; 2] {
        const HALVINGS: usize = 30;
        self.log_ec50_bounds(data).map(|bound| {
            let columns = ((best.log_ec50 - bound).abs() / GRID_STEP).ceil() as usize + 1;
            let mut outside = None;
            let mut inside = best.log_ec50;
            for x in between(bound, best.log_ec50, columns) {
                if self.profile(data, x) <= most {
                    inside = x;
                    break;
                }
                if x != best.log_ec50 {
                    outside = Some(x);
                }
            }
            let mut outside = outside?;
            for _ in 0..HALVINGS {
                let middle = inside.midpoint(outside);
                if self.profile(data, middle) <= most {
                    inside = middle;
                } else {
                    outside = middle;
                }
            }
            Some(inside)
        })
    }
}

/// `count` numbers from `first` to `last`, both included; the first alone when `count` is 1.
fn between(first: f64, last: f64, count: usize) -> Vec<f64> {
    let steps = count.saturating_sub(1).max(1) as f64;
    (0..count)
        .map(|i| first + (last - first) * (i as f64 / steps))
        .collect()
}
