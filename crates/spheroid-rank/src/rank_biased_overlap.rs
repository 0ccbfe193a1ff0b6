use spheroid_core::{Direction, ParamError, RankMetric};

use crate::{RankError, paired::checked};

/// Rank-biased overlap, extrapolated: how alike two lists are to one who reads on from the top with
/// probability p; from 0 to 1.
///
/// ```text
/// RBO_ext = A(n) pⁿ + (1 − p) Σ A(d) p^(d−1) over d from 1 to n,   A(d) = 2 X(d) / (|S(d)| + |T(d)|)
/// ```
/// `S(d)` and `T(d)` are the items of rank `d` or better by score and by truth, the highest having
/// rank 1, and `X(d)` the number that both hold. Tied items all have the best of their ranks, as
/// in the paper. Both lists hold all items, so A(n) = 1. The first 1 / (1 − p)
/// ranks weigh most.
///
/// NaN among the values gives NaN and infinite values are ordered. It is undefined for fewer than
/// two items and where a list is constant.
///
/// # Source
/// Webber, Moffat and Zobel, ACM Transactions on Information Systems 28 (2010), 20, equations 28
/// and 30.
///
/// # Example
/// ```
/// use spheroid_core::RankMetric;
/// use spheroid_rank::RankBiasedOverlap;
/// let truth = [1.0, 2.0, 3.0];
/// let overlap = RankBiasedOverlap::new(0.5)?;
/// // Nothing shared at depth 1, all from depth 2: 0.5 of the weight is lost.
/// assert_eq!(overlap.evaluate(&[1.0, 3.0, 2.0], &truth)?, 0.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankBiasedOverlap {
    persistence: f64,
}

impl RankBiasedOverlap {
    /// Overlap for one who reads on with probability `persistence`.
    ///
    /// # Errors
    /// When `persistence` is not between 0 and 1.
    pub fn new(persistence: f64) -> Result<Self, ParamError> {
        if persistence > 0.0 && persistence < 1.0 {
            Ok(Self { persistence })
        } else {
            Err(ParamError::new(
                "persistence",
                persistence,
                "above 0 and below 1",
            ))
        }
    }
}

impl Default for RankBiasedOverlap {
    /// p = 0.9: the first ten ranks have 86 % of the weight.
    fn default() -> Self {
        Self { persistence: 0.9 }
    }
}

impl RankMetric for RankBiasedOverlap {
    type Error = RankError;

    fn name(&self) -> &str {
        "rank_biased_overlap"
    }

    fn direction(&self) -> Direction {
        Direction::HigherIsBetter
    }

    fn evaluate(&self, scores: &[f64], truth: &[f64]) -> Result<f64, RankError> {
        let Some((scores, truth)) = checked("rank-biased overlap", scores, truth)? else {
            return Ok(f64::NAN);
        };
        let items = scores.len();
        // By depth: how many items come in by score, by truth, and how many are in by both from
        // here on.
        let (by_score, by_truth) = (best_ranks(&scores), best_ranks(&truth));
        let mut entering = vec![(0, 0); items];
        for (&score, &truth) in by_score.iter().zip(&by_truth) {
            entering[score].0 += 1;
            entering[truth].0 += 1;
            entering[score.max(truth)].1 += 1;
        }
        let (mut listed, mut shared) = (0usize, 0usize);
        let (mut sum, mut weight) = (0.0, 1.0);
        for (both_lists, both) in entering {
            listed += both_lists;
            shared += both;
            sum += weight * 2.0 * shared as f64 / listed as f64;
            weight *= self.persistence;
        }
        Ok((1.0 - self.persistence) * sum + weight)
    }
}

/// Rank of every item from 0 for the highest value, tied items having the best of theirs.
fn best_ranks(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[b].total_cmp(&values[a]));
    let mut ranks = vec![0; values.len()];
    let mut first = 0;
    for run in order.chunk_by(|&a, &b| values[a] == values[b]) {
        for &item in run {
            ranks[item] = first;
        }
        first += run.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn persistence_outside_its_range_is_refused() {
        for bad in [0.0, 1.0, -0.1, f64::NAN] {
            let error = RankBiasedOverlap::new(bad).unwrap_err();
            assert_eq!(error.param, "persistence");
        }
    }

    #[test]
    fn ties_by_hand() {
        // By score a = b > c, by truth a > b > c: agreements 2·1/3, 1 and 1.
        let overlap = RankBiasedOverlap::new(0.5).unwrap();
        let value = overlap.evaluate(&[2.0, 2.0, 1.0], &[3.0, 2.0, 1.0]);
        assert!((value.unwrap() - (0.5 * 2.0 / 3.0 + 0.5)).abs() < 1e-15);
    }
}
