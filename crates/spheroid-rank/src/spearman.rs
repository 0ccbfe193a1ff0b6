use spheroid_core::{Direction, RankMetric};

use crate::{RankError, paired::checked};

/// Spearman's ρ: the correlation of ranks, tied items sharing their mean rank; from −1 to 1.
///
/// # Source
/// Spearman, American Journal of Psychology 15 (1904), 72–101; midranks as in Kendall and Gibbons,
/// Rank Correlation Methods, chapter 3.
///
/// # Example
/// ```
/// use spheroid_core::RankMetric;
/// use spheroid_rank::Spearman;
/// assert_eq!(Spearman.evaluate(&[1.0, 2.0, 3.0], &[1.0, 3.0, 2.0])?, 0.5);
/// # Ok::<(), spheroid_rank::RankError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spearman;

impl RankMetric for Spearman {
    type Error = RankError;

    fn name(&self) -> &str {
        "spearman"
    }

    fn direction(&self) -> Direction {
        Direction::HigherIsBetter
    }

    fn evaluate(&self, scores: &[f64], truth: &[f64]) -> Result<f64, RankError> {
        let (scores, truth) = checked("Spearman's rho", scores, truth)?;
        let (scores, truth) = (centred_ranks(&scores), centred_ranks(&truth));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        // One square root of the product, so that perfect agreement is exactly 1.
        Ok(dot(&scores, &truth) / (dot(&scores, &scores) * dot(&truth, &truth)).sqrt())
    }
}

/// Midranks less their mean.
pub(crate) fn centred_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mean = (values.len() - 1) as f64 / 2.0;
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for run in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = first as f64 + (run.len() - 1) as f64 / 2.0;
        for &item in run {
            ranks[item] = rank - mean;
        }
        first += run.len();
    }
    ranks
}
