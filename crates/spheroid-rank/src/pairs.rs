//! Counting the pairs of items that two lists order alike, in O(n log n).
//!
//! Knight, Journal of the American Statistical Association 61 (1966), 436–439.

/// How many pairs of items the two lists tie or order differently.
pub(crate) struct PairCounts {
    pub(crate) all: u64,
    pub(crate) tied_scores: u64,
    pub(crate) tied_truth: u64,
    pub(crate) tied_both: u64,
    pub(crate) discordant: u64,
}

impl PairCounts {
    /// Counts the pairs; no value is NaN.
    pub(crate) fn of(scores: &[f64], truth: &[f64]) -> Self {
        let mut items: Vec<(f64, f64)> =
            scores.iter().copied().zip(truth.iter().copied()).collect();
        items.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let tied_scores = tied_pairs(&items, |a, b| a.0 == b.0);
        let tied_both = tied_pairs(&items, |a, b| a == b);
        let mut truth: Vec<f64> = items.into_iter().map(|item| item.1).collect();
        let mut turned = 0;
        // Both items of a turned pair are reported.
        merge_sort(
            &mut truth,
            |truth| *truth,
            |_, pairs| turned += pairs as u64,
        );
        Self {
            all: pairs(truth.len()),
            tied_scores,
            tied_truth: tied_pairs(&truth, |a, b| a == b),
            tied_both,
            discordant: turned / 2,
        }
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

/// Stable merge sort by a key that is not NaN.
///
/// Reports every item with a number of pairs that it was in and that had to be turned round. An
/// item is reported several times; over all reports each turned pair comes once for either of its
/// items.
pub(crate) fn merge_sort<T: Copy>(
    items: &mut [T],
    key: impl Fn(&T) -> f64,
    mut turned: impl FnMut(&T, usize),
) {
    let mut merged = items.to_vec();
    let mut width = 1;
    while width < items.len() {
        for (from, to) in items.chunks(2 * width).zip(merged.chunks_mut(2 * width)) {
            let (mut left, mut right) = from.split_at(width.min(from.len()));
            let all_right = right.len();
            for slot in to {
                let take_left = match (left.first(), right.first()) {
                    (Some(l), Some(r)) => key(l) <= key(r),
                    (l, _) => l.is_some(),
                };
                let (run, passed) = if take_left {
                    (&mut left, all_right - right.len())
                } else {
                    (&mut right, left.len())
                };
                *slot = run[0];
                turned(&run[0], passed);
                *run = &run[1..];
            }
        }
        items.copy_from_slice(&merged);
        width *= 2;
    }
}
