use spheroid_core::{Direction, RankMetric};

use crate::{RankError, paired::checked};

/// Average precision: how purely the relevant items stand at the top; from 0 to 1.
///
/// ```text
/// Σ (Rₖ − Rₖ₋₁) Pₖ
/// ```
/// over the scores from the highest down, with `P` and `R` the precision and recall of all items
/// that score as high. An item is relevant when its truth is above
/// [`relevant_above`](Self::relevant_above). The same as `sklearn.metrics.average_precision_score`.
/// Scores that know nothing give the share of relevant items.
///
/// NaN among the values gives NaN and infinite values are ordered. It is undefined for fewer than
/// two items, where a list is constant, and where all items or none are relevant; scikit-learn then
/// gives the share of relevant items.
///
/// # Source
/// Zhu, Recall, precision and average precision, University of Waterloo (2004).
///
/// # Example
/// ```
/// use spheroid_core::RankMetric;
/// use spheroid_rank::AveragePrecision;
/// // The relevant items stand first and third.
/// let value = AveragePrecision::default().evaluate(&[9.0, 7.0, 5.0], &[0.8, 0.0, 0.3])?;
/// assert_eq!(value, (1.0 + 2.0 / 3.0) / 2.0);
/// # Ok::<(), spheroid_rank::RankError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AveragePrecision {
    /// Truth above which an item is relevant; 0 by default.
    pub relevant_above: f64,
}

impl RankMetric for AveragePrecision {
    type Error = RankError;

    fn name(&self) -> &str {
        "average_precision"
    }

    fn direction(&self) -> Direction {
        Direction::HigherIsBetter
    }

    fn evaluate(&self, scores: &[f64], truth: &[f64]) -> Result<f64, RankError> {
        const WHAT: &str = "average precision";
        let Some((scores, truth)) = checked(WHAT, scores, truth)? else {
            return Ok(f64::NAN);
        };
        let relevant = |item: usize| truth[item] > self.relevant_above;
        let count = (0..truth.len()).filter(|&item| relevant(item)).count();
        if count == 0 || count == truth.len() {
            return Err(RankError::Undefined {
                what: WHAT,
                reason: format!(
                    "{count} of {} truths are above {}",
                    truth.len(),
                    self.relevant_above
                ),
            });
        }
        let ranked = by_falling(&scores);
        Ok(of_ranked(
            ranked.iter().map(|&(item, last)| (relevant(item), last)),
        ))
    }
}

/// Items by falling value, each with whether it is the last of those that tie with it.
pub(crate) fn by_falling(values: &[f64]) -> Vec<(usize, bool)> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[b].total_cmp(&values[a]));
    let last = |position: usize| {
        let next = order.get(position + 1);
        next.is_none_or(|&next| values[next] != values[order[position]])
    };
    (0..order.len())
        .map(|position| (order[position], last(position)))
        .collect()
}

/// Average precision of items, at least one of them relevant: whether it is, and whether it is the
/// last of a tie.
pub(crate) fn of_ranked(ranked: impl Iterator<Item = (bool, bool)>) -> f64 {
    let (mut seen, mut found, mut found_before, mut sum) = (0usize, 0usize, 0usize, 0.0);
    for (relevant, last) in ranked {
        seen += 1;
        found += usize::from(relevant);
        if last {
            sum += (found - found_before) as f64 * found as f64 / seen as f64;
            found_before = found;
        }
    }
    sum / found as f64
}
