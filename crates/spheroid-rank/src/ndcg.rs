use spheroid_core::{Direction, RankMetric};

use crate::{RankError, paired::checked};

/// Normalised discounted cumulative gain: how much of the truth the scores put at the top; from 0
/// to 1.
///
/// ```text
/// DCG = Σ gain of the item at rank r / log₂(r + 2),   NDCG = DCG by score / DCG by truth
/// ```
/// with `r` from 0 and the truth as gain. Items with tied scores share their mean gain, which is
/// the mean over the orders in which they may stand. The same as `sklearn.metrics.ndcg_score`.
///
/// NaN among the values gives NaN. It is undefined for fewer than two items, where a list is
/// constant, and where a gain is negative or infinite.
///
/// # Source
/// Järvelin and Kekäläinen, ACM Transactions on Information Systems 20 (2002), 422–446; ties:
/// McSherry and Najork, ECIR 2008, 414–421.
///
/// # Example
/// ```
/// use spheroid_core::RankMetric;
/// use spheroid_rank::Ndcg;
/// let ndcg = Ndcg.evaluate(&[0.1, 0.9, 0.5], &[0.0, 0.0, 1.0])?;
/// assert!((ndcg - 1.0 / 3f64.log2()).abs() < 1e-15);
/// # Ok::<(), spheroid_rank::RankError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ndcg;

impl RankMetric for Ndcg {
    type Error = RankError;

    fn name(&self) -> &str {
        "ndcg"
    }

    fn direction(&self) -> Direction {
        Direction::HigherIsBetter
    }

    fn evaluate(&self, scores: &[f64], truth: &[f64]) -> Result<f64, RankError> {
        const WHAT: &str = "normalised discounted cumulative gain";
        let Some((scores, truth)) = checked(WHAT, scores, truth)? else {
            return Ok(f64::NAN);
        };
        if let Some(gain) = (truth.iter()).find(|gain| !(gain.is_finite() && **gain >= 0.0)) {
            return Err(RankError::Undefined {
                what: WHAT,
                reason: format!("a truth is {gain}, but gains are finite and not negative"),
            });
        }
        // Gains as shares of the largest, whose sum cannot overflow.
        let largest = truth.iter().copied().fold(0.0, f64::max);
        let gains: Vec<f64> = truth.iter().map(|gain| gain / largest).collect();
        Ok(discounted(&scores, &gains) / discounted(&gains, &gains))
    }
}

/// Discounted sum of `gains` by falling `scores`, runs of tied scores sharing their mean.
fn discounted(scores: &[f64], gains: &[f64]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut rank = 0;
    let of_runs = order.chunk_by(|&a, &b| scores[a] == scores[b]).map(|run| {
        let ranks = rank..rank + run.len();
        rank = ranks.end;
        let gain: f64 = run.iter().map(|&item| gains[item]).sum();
        let discount: f64 = ranks.map(|rank| 1.0 / (rank as f64 + 2.0).log2()).sum();
        gain / run.len() as f64 * discount
    });
    of_runs.sum()
}
