use spheroid_core::{Direction, RankMetric};

use crate::{RankError, paired::checked, pairs::PairCounts};

/// Kendall's τ-b: the surplus of pairs in the right order, corrected for ties; from −1 to 1.
///
/// ```text
/// τ_b = (C − D) / √((N − T_scores) (N − T_truth))
/// ```
/// with `C` concordant, `D` discordant and `N` all pairs, `T` those tied in one list. O(n log n).
///
/// NaN among the values gives NaN and infinite values are ordered, as `scipy.stats.kendalltau`
/// does. It is undefined for fewer than two items and where a list is constant; SciPy returns NaN
/// there.
///
/// # Source
/// Kendall, Biometrika 33 (1945), 239–251; Knight, Journal of the American Statistical Association
/// 61 (1966), 436–439 for the algorithm.
///
/// # Example
/// ```
/// use spheroid_core::RankMetric;
/// use spheroid_rank::KendallTauB;
/// // One of three pairs is in the wrong order.
/// let tau = KendallTauB.evaluate(&[1.0, 2.0, 3.0], &[1.0, 3.0, 2.0])?;
/// assert_eq!(tau, 1.0 / 3.0);
/// # Ok::<(), spheroid_rank::RankError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KendallTauB;

impl RankMetric for KendallTauB {
    type Error = RankError;

    fn name(&self) -> &str {
        "kendall_tau_b"
    }

    fn direction(&self) -> Direction {
        Direction::HigherIsBetter
    }

    fn evaluate(&self, scores: &[f64], truth: &[f64]) -> Result<f64, RankError> {
        let Some((scores, truth)) = checked("Kendall's tau", scores, truth)? else {
            return Ok(f64::NAN);
        };
        let pairs = PairCounts::of(&scores, &truth);
        // Concordant + discordant pairs are those tied in neither list.
        let untied = pairs.all + pairs.tied_both - pairs.tied_scores - pairs.tied_truth;
        let surplus = untied as f64 - 2.0 * pairs.discordant as f64;
        let of_scores = (pairs.all - pairs.tied_scores) as f64;
        let of_truth = (pairs.all - pairs.tied_truth) as f64;
        // One square root of the product, so that perfect agreement is exactly 1.
        Ok(surplus / (of_scores * of_truth).sqrt())
    }
}
