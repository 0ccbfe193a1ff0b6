use spheroid_core::{Direction, RankMetric};

use crate::{RankError, paired::checked, pairs::merge_sort};

/// Kendall's τ with pairs that count the more the higher their items stand; from −1 to 1.
///
/// ```text
/// τ = Σ wᵢⱼ sᵢⱼ tᵢⱼ / √(Σ wᵢⱼ sᵢⱼ² · Σ wᵢⱼ tᵢⱼ²),   wᵢⱼ = 1 / (rᵢ + 1) + 1 / (rⱼ + 1)
/// ```
/// over pairs of items, with `s`, `t` ∈ {−1, 0, 1} their order in either list and `r` the rank from
/// 0 for the strongest. It is computed with the ranks by score (ties by truth) and with the ranks
/// by truth (ties by score), and the mean is taken. O(n log n).
///
/// Of use when the top of a list matters: whether the two best drugs are found more than whether
/// the two worst are told apart. Equals `scipy.stats.weightedtau` with its default settings. NaN
/// among the values gives NaN (SciPy takes it for the least value here) and infinite values are
/// ordered. It is undefined for fewer than two items and where a list is constant; SciPy returns
/// NaN there.
///
/// # Source
/// Vigna, Proceedings of the 24th International Conference on World Wide Web (2015), 1166–1176.
///
/// # Example
/// ```
/// use spheroid_core::RankMetric;
/// use spheroid_rank::WeightedTau;
/// let truth = [1.0, 2.0, 3.0, 4.0];
/// let of_top = WeightedTau.evaluate(&[1.0, 2.0, 4.0, 3.0], &truth)?;
/// let of_bottom = WeightedTau.evaluate(&[2.0, 1.0, 3.0, 4.0], &truth)?;
/// assert!(of_top < of_bottom);
/// # Ok::<(), spheroid_rank::RankError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WeightedTau;

impl RankMetric for WeightedTau {
    type Error = RankError;

    fn name(&self) -> &str {
        "weighted_tau"
    }

    fn direction(&self) -> Direction {
        Direction::HigherIsBetter
    }

    fn evaluate(&self, scores: &[f64], truth: &[f64]) -> Result<f64, RankError> {
        let Some((scores, truth)) = checked("weighted tau", scores, truth)? else {
            return Ok(f64::NAN);
        };
        Ok((ranked_by_first(&scores, &truth) + ranked_by_first(&truth, &scores)) / 2.0)
    }
}

#[derive(Clone, Copy)]
struct Item {
    first: f64,
    second: f64,
    weight: f64,
}

/// Weighted τ with the ranks that `first` gives.
fn ranked_by_first(first: &[f64], second: &[f64]) -> f64 {
    let values = first.iter().zip(second);
    let mut items: Vec<Item> = values
        .map(|(&first, &second)| Item {
            first,
            second,
            weight: 0.0,
        })
        .collect();
    let by_both = |a: &Item, b: &Item| {
        let order = a.first.total_cmp(&b.first);
        order.then(a.second.total_cmp(&b.second))
    };
    items.sort_unstable_by(by_both);
    for (rank, item) in items.iter_mut().rev().enumerate() {
        item.weight = 1.0 / (rank as f64 + 1.0);
    }
    let all = of_pairs(&items);
    let tied_first = of_tied(&items, |a, b| a.first == b.first);
    let tied_both = of_tied(&items, |a, b| a.first == b.first && a.second == b.second);
    let mut discordant = 0.0;
    merge_sort(
        &mut items,
        |item| item.second,
        |item, pairs| discordant += item.weight * pairs as f64,
    );
    let tied_second = of_tied(&items, |a, b| a.second == b.second);

    let untied = all - tied_first - tied_second + tied_both;
    let norm = ((all - tied_first) * (all - tied_second)).sqrt();
    ((untied - 2.0 * discordant) / norm).clamp(-1.0, 1.0)
}

/// Weight of all pairs: every item stands in as many as there are others.
fn of_pairs(items: &[Item]) -> f64 {
    let weights: f64 = items.iter().map(|item| item.weight).sum();
    weights * (items.len() - 1) as f64
}

/// Weight of the pairs within runs of equal neighbours.
fn of_tied(sorted: &[Item], equal: impl Fn(&Item, &Item) -> bool) -> f64 {
    sorted.chunk_by(equal).map(of_pairs).sum()
}
