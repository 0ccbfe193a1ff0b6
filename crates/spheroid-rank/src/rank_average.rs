use crate::{RankError, discrepancy::check_size};

/// Joins several lists of scores of the same items by the mean of their ranks.
///
/// In every list the lowest score has rank 1 and tied items share the mean of their ranks, so the
/// result is larger for a stronger effect, as scores are, and no list weighs more for its unit.
/// Infinite scores have a rank.
///
/// # Errors
/// When there is no list, they differ in length, or a score is NaN.
///
/// # Source
/// Borda, Histoire de l'Académie royale des sciences (1781), 657–665; midranks as in Kendall and
/// Gibbons, Rank Correlation Methods, chapter 3.
///
/// # Example
/// ```
/// let joined = spheroid_rank::rank_average(&[&[0.1, 0.9, 0.5], &[20.0, 20.0, 7.0]])?;
/// assert_eq!(joined, [1.75, 2.75, 1.5]);
/// # Ok::<(), spheroid_rank::RankError>(())
/// ```
pub fn rank_average(lists: &[&[f64]]) -> Result<Vec<f64>, RankError> {
    let undefined = |reason: &str| RankError::Undefined {
        what: "mean rank",
        reason: reason.into(),
    };
    let (first, rest) = lists
        .split_first()
        .ok_or_else(|| undefined("there is no list"))?;
    for list in rest {
        check_size("scores of a list", first.len(), list.len())?;
    }
    if lists
        .iter()
        .any(|list| list.iter().any(|score| score.is_nan()))
    {
        return Err(undefined("a score is NaN"));
    }
    let mut sums = vec![0.0; first.len()];
    for list in lists {
        for (sum, rank) in sums.iter_mut().zip(average_ranks(list)) {
            *sum += rank;
        }
    }
    let count = lists.len() as f64;
    Ok(sums.into_iter().map(|sum| sum / count).collect())
}

/// Ranks from 1 upwards, tied items sharing the mean of theirs; no value is NaN.
pub(crate) fn average_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 1;
    for run in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = first as f64 + (run.len() - 1) as f64 / 2.0;
        for &item in run {
            ranks[item] = rank;
        }
        first += run.len();
    }
    ranks
}
