use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::aggregate::median_of_sorted;

/// Percentile bootstrap interval of the median (Efron and Tibshirani 1993, chapter 13).
///
/// `sorted` holds at least one value, ascending; `draws` is at least 1.
pub(crate) fn median_interval(
    sorted: &[f64],
    draws: usize,
    confidence: f64,
    rng: &mut ChaCha8Rng,
) -> (f64, f64) {
    let mut indices = vec![0; sorted.len()];
    let mut resample = vec![0.0; sorted.len()];
    let mut medians: Vec<f64> = (0..draws)
        .map(|_| {
            indices.fill_with(|| rng.random_range(0..sorted.len()));
            // Sorting indices sorts the values they stand for.
            indices.sort_unstable();
            for (value, &index) in resample.iter_mut().zip(&indices) {
                *value = sorted[index];
            }
            median_of_sorted(&resample)
        })
        .collect();
    medians.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    (quantile(&medians, tail), quantile(&medians, 1.0 - tail))
}

/// Quantile of sorted values, interpolated linearly between neighbours (type 7 of Hyndman and Fan).
fn quantile(sorted: &[f64], probability: f64) -> f64 {
    let position = probability * (sorted.len() - 1) as f64;
    let (below, above) = (position.floor() as usize, position.ceil() as usize);
    let share = position - position.floor();
    sorted[below] * (1.0 - share) + sorted[above] * share
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn quantiles_interpolate() {
        let sorted = [0.0, 10.0, 20.0, 30.0];
        assert_eq!(quantile(&sorted, 0.0), 0.0);
        assert_eq!(quantile(&sorted, 0.5), 15.0);
        assert_eq!(quantile(&sorted, 1.0), 30.0);
    }

    #[test]
    fn equal_values_have_no_width() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        assert_eq!(median_interval(&[2.5; 4], 200, 0.95, &mut rng), (2.5, 2.5));
    }

    #[test]
    fn follows_the_exact_distribution_of_three_wells() {
        // The median of a resample of {0, 1, 2} is 0 with probability 7/27 = 0.259 and 2 likewise:
        // the central 40 % are all 1, the central 60 % reach both ends.
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let sorted = [0.0, 1.0, 2.0];
        assert_eq!(median_interval(&sorted, 5000, 0.4, &mut rng), (1.0, 1.0));
        assert_eq!(median_interval(&sorted, 5000, 0.6, &mut rng), (0.0, 2.0));
    }
}
