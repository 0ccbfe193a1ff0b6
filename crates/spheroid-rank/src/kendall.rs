use spheroid_core::{Direction, RankMetric};

use crate::{RankError, paired::checked};

/// Kendall's τ-b: the surplus of pairs in the right order, corrected for ties; from −1 to 1.
///
/// ```text
/// τ_b = (C − D) / √((N − T_scores) (N − T_truth))
/// ```
/// with `C` concordant, `D` discordant and `N` all pairs, `T` those tied in one list. O(n log n).
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
        let (scores, truth) = checked("Kendall's tau", scores, truth)?;
        let mut items: Vec<(f64, f64)> = scores.into_iter().zip(truth).collect();
        items.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let all = pairs(items.len());
        let tied_scores = tied_pairs(&items, |a, b| a.0 == b.0);
        let tied_both = tied_pairs(&items, |a, b| a == b);

        let mut truth: Vec<f64> = items.into_iter().map(|item| item.1).collect();
        let discordant = sort_counting_inversions(&mut truth);
        let tied_truth = tied_pairs(&truth, |a, b| a == b);

        // Concordant + discordant pairs are those tied in neither list.
        let untied = all - tied_scores - tied_truth + tied_both;
        let surplus = untied as f64 - 2.0 * discordant as f64;
        // One square root of the product, so that perfect agreement is exactly 1.
        Ok(surplus / ((all - tied_scores) as f64 * (all - tied_truth) as f64).sqrt())
    }
}

fn pairs(items: usize) -> u64 {
    let items = items as u64;
    items * (items - 1) / 2
}

/// Pairs within runs of equal neighbours.
fn tied_pairs<T>(sorted: &[T], equal: impl Fn(&T, &T) -> bool) -> u64 {
    sorted.chunk_by(equal).map(|run| pairs(run.len())).sum()
}

/// Merge sort that counts the pairs it has to turn round.
fn sort_counting_inversions(values: &mut [f64]) -> u64 {
    let mut inversions = 0;
    let mut merged = values.to_vec();
    let mut width = 1;
    while width < values.len() {
        for (from, to) in values.chunks(2 * width).zip(merged.chunks_mut(2 * width)) {
            let (mut left, mut right) = from.split_at(width.min(from.len()));
            for slot in to {
                let take_left = match (left.first(), right.first()) {
                    (Some(l), Some(r)) => l <= r,
                    (l, _) => l.is_some(),
                };
                let run = if take_left { &mut left } else { &mut right };
                *slot = run[0];
                *run = &run[1..];
                if !take_left {
                    inversions += left.len() as u64;
                }
            }
        }
        values.copy_from_slice(&merged);
        width *= 2;
    }
    inversions
}
