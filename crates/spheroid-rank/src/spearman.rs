use spheroid_core::{Direction, RankMetric};

use crate::{RankError, paired::checked, rank_average::average_ranks};

/// Spearman's ρ: the correlation of ranks, tied items sharing their mean rank; from −1 to 1.
///
/// NaN among the values gives NaN and infinite values are ordered, as `scipy.stats.spearmanr` does.
/// It is undefined for fewer than two items and where a list is constant; SciPy returns NaN there.
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
        let Some((scores, truth)) = checked("Spearman's rho", scores, truth)? else {
            return Ok(f64::NAN);
        };
        let (scores, truth) = (centred_ranks(&scores), centred_ranks(&truth));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        // One square root of the product, so that perfect agreement is exactly 1.
        Ok(dot(&scores, &truth) / (dot(&scores, &scores) * dot(&truth, &truth)).sqrt())
    }
}

/// Midranks less their mean.
pub(crate) fn centred_ranks(values: &[f64]) -> Vec<f64> {
    let mean = (values.len() + 1) as f64 / 2.0;
    average_ranks(values)
        .into_iter()
        .map(|rank| rank - mean)
        .collect()
}
