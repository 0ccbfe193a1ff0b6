use crate::RankError;

/// Most steps of the exact count; beyond, the normal approximation is close.
const MOST_STEPS: usize = 2_000_000;

/// One-sided p-value of the Mann–Whitney test: how probable it is that the scores of a treatment's wells rank as high
/// among those of untreated wells, or higher, when the treatment does nothing.
///
/// The count over all ways to hand out the labels is exact, ties included, as long as it takes less than some
/// milliseconds; for more wells it is the normal approximation with corrections for ties and continuity. Any increasing
/// transformation of the scores gives the same p-value. With `m` and `n` wells it is never below `1 / C(m + n, m)`.
///
/// # Errors
/// When either list is empty or a score is NaN.
///
/// # Source
/// Mann and Whitney 1947, "On a test of whether one of two random variables is stochastically larger than the other".
///
/// # Example
/// ```
/// use spheroid_rank::mann_whitney;
/// // All three above all four: one of the 35 ways.
/// let p = mann_whitney(&[5.0, 6.0, 7.0], &[1.0, 2.0, 3.0, 4.0])?;
/// assert!((p - 1.0 / 35.0).abs() < 1e-15);
/// # Ok::<(), spheroid_rank::RankError>(())
/// ```
pub fn mann_whitney(treated: &[f64], untreated: &[f64]) -> Result<f64, RankError> {
    let undefined = |reason: String| RankError::Undefined {
        what: "Mann–Whitney test",
        reason,
    };
    if treated.is_empty() || untreated.is_empty() {
        let (m, n) = (treated.len(), untreated.len());
        return Err(undefined(format!(
            "{m} treated and {n} untreated wells: at least one of each is needed"
        )));
    }
    let pooled: Vec<f64> = treated.iter().chain(untreated).map(|s| s + 0.0).collect();
    if let Some(item) = pooled.iter().position(|score| score.is_nan()) {
        return Err(undefined(format!("the score of item {item} is NaN")));
    }
    let (ranks, ties) = doubled_ranks(&pooled);
    let observed: usize = ranks[..treated.len()].iter().sum();
    let total: usize = ranks.iter().sum();
    let steps = ranks
        .len()
        .saturating_mul(treated.len())
        .saturating_mul(total);
    if steps <= MOST_STEPS {
        Ok(exact(&ranks, treated.len(), observed, total))
    } else {
        Ok(normal(treated.len(), untreated.len(), observed, ties))
    }
}

/// Twice the mid-ranks from 1, which are whole numbers, and the sum of t³ − t over groups of t tied values.
fn doubled_ranks(values: &[f64]) -> (Vec<usize>, f64) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0; values.len()];
    let (mut first, mut ties) = (0, 0.0);
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let count = group.len();
        for &item in group {
            ranks[item] = 2 * first + 1 + count;
        }
        ties += (count as f64).powi(3) - count as f64;
        first += count;
    }
    (ranks, ties)
}

/// Probability that `chosen` ranks, drawn without replacement, sum up to `observed` or more.
fn exact(ranks: &[usize], chosen: usize, observed: usize, total: usize) -> f64 {
    // ways[k][s]: number of subsets of k of the ranks so far whose sum is s.
    let mut ways = vec![vec![0.0; total + 1]; chosen + 1];
    ways[0][0] = 1.0;
    for (seen, &rank) in ranks.iter().enumerate() {
        for size in (1..=chosen.min(seen + 1)).rev() {
            let (smaller, larger) = ways.split_at_mut(size);
            let from = &smaller[size - 1];
            for (to, from) in larger[0][rank..].iter_mut().zip(from) {
                *to += from;
            }
        }
    }
    let all: f64 = ways[chosen].iter().sum();
    ways[chosen][observed..].iter().sum::<f64>() / all
}

fn normal(treated: usize, untreated: usize, observed: usize, ties: f64) -> f64 {
    let (m, n) = (treated as f64, untreated as f64);
    let u = observed as f64 / 2.0 - m * (m + 1.0) / 2.0;
    let pooled = m + n;
    let variance = m * n / 12.0 * (pooled + 1.0 - ties / (pooled * (pooled - 1.0)));
    if variance <= 0.0 {
        return 1.0;
    }
    let z = (u - m * n / 2.0 - 0.5) / variance.sqrt();
    0.5 * libm::erfc(z / std::f64::consts::SQRT_2)
}
