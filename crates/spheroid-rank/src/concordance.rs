use spheroid_core::{Direction, RankMetric};

use crate::{RankError, paired::checked, pairs::PairCounts};

/// Harrell's concordance index: the share of pairs that differ in truth and are scored in that
/// order; from 0 to 1.
///
/// A pair with tied scores counts one half, so scores that know nothing give 0.5. For a binary
/// truth it is the area under the receiver operating characteristic. Nothing is censored. O(n log
/// n).
///
/// NaN among the values gives NaN and infinite values are ordered. It is undefined for fewer than
/// two items and where a list is constant; with constant scores other implementations give 0.5.
///
/// # Source
/// Harrell, Califf, Pryor, Lee and Rosati, Journal of the American Medical Association 247 (1982),
/// 2543–2546.
///
/// # Example
/// ```
/// use spheroid_core::RankMetric;
/// use spheroid_rank::ConcordanceIndex;
/// // Of three pairs one is right, one wrong and one tied in score.
/// let share = ConcordanceIndex.evaluate(&[1.0, 3.0, 1.0], &[1.0, 2.0, 3.0])?;
/// assert_eq!(share, 0.5);
/// # Ok::<(), spheroid_rank::RankError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConcordanceIndex;

impl RankMetric for ConcordanceIndex {
    type Error = RankError;

    fn name(&self) -> &str {
        "concordance_index"
    }

    fn direction(&self) -> Direction {
        Direction::HigherIsBetter
    }

    fn evaluate(&self, scores: &[f64], truth: &[f64]) -> Result<f64, RankError> {
        let Some((scores, truth)) = checked("concordance index", scores, truth)? else {
            return Ok(f64::NAN);
        };
        let pairs = PairCounts::of(&scores, &truth);
        let comparable = pairs.all - pairs.tied_truth;
        let tied = pairs.tied_scores - pairs.tied_both;
        let concordant = comparable - pairs.discordant - tied;
        Ok((concordant as f64 + 0.5 * tied as f64) / comparable as f64)
    }
}
