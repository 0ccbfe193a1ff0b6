//! Joint draws of the scores of all treatments.

use std::collections::HashMap;

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::{
    RankError,
    scatter::{Scatter, Spread},
};

/// Numbers that are held at most, 1 GiB of them.
const MOST_NUMBERS: usize = 1 << 27;

/// Where a treatment lies on the scale, in how many wells it was seen, and how these scatter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) wells: usize,
    pub(crate) spread: Spread,
}

impl Estimate {
    fn key(&self) -> [u64; 4] {
        let Spread { deviation, degrees } = self.spread;
        [
            self.value.to_bits(),
            self.wells as u64,
            deviation.to_bits(),
            degrees.to_bits(),
        ]
    }
}

/// Draws of every treatment's score, those of one treatment beside each other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JointDraws {
    values: Vec<f64>,
    estimates: Vec<f64>,
    draws: usize,
    /// The first treatment that is like this one in everything that draws depend on. What is said of
    /// a treatment is read off that one, so that no name decides between the two.
    like: Vec<usize>,
}

impl JointDraws {
    /// Draws the treatments independently of each other; the random numbers of a treatment come from
    /// its estimate and from the residuals of all.
    pub(crate) fn of(
        scatter: &Scatter,
        estimates: &[Estimate],
        draws: usize,
    ) -> Result<Self, RankError> {
        let most = MOST_NUMBERS / estimates.len().max(1);
        if draws > most {
            return Err(RankError::TooMany {
                what: "draws for so many treatments",
                found: draws,
                most,
            });
        }
        let seed = seed(
            scatter
                .residuals()
                .iter()
                .map(|residual| residual.to_bits()),
        );
        let mut known: HashMap<[u64; 4], (usize, u64)> = HashMap::new();
        let (like, copies): (Vec<usize>, Vec<u64>) = estimates
            .iter()
            .enumerate()
            .map(|(index, estimate)| {
                let (first, count) = known.entry(estimate.key()).or_insert((index, 0));
                *count += 1;
                (*first, *count)
            })
            .unzip();
        let mut values = vec![0.0; draws * estimates.len()];
        values
            .par_chunks_mut(draws)
            .zip(estimates.par_iter().zip(&copies))
            .for_each(|(values, (estimate, &copy))| {
                let mut rng = rng_of(seed.into_iter().chain(estimate.key()).chain([copy]));
                let mut strays = scatter.strays(estimate.spread, estimate.wells);
                for value in values {
                    *value = estimate.value - strays.draw(&mut rng);
                }
            });
        Ok(Self {
            values,
            estimates: estimates.iter().map(|estimate| estimate.value).collect(),
            draws,
            like,
        })
    }

    pub(crate) fn treatments(&self) -> usize {
        self.estimates.len()
    }

    pub(crate) fn estimates(&self) -> &[f64] {
        &self.estimates
    }

    /// The treatment whose draws stand for this one.
    pub(crate) fn like(&self, treatment: usize) -> usize {
        self.like[treatment]
    }

    /// The treatment's own draws.
    pub(crate) fn of_treatment(&self, treatment: usize) -> &[f64] {
        &self.values[treatment * self.draws..][..self.draws]
    }

    /// The central interval that holds this share of the treatment's draws.
    pub(crate) fn interval(&self, treatment: usize, confidence: f64) -> (f64, f64) {
        let mut sorted = self.of_treatment(self.like[treatment]).to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - confidence) / 2.0;
        (quantile(&sorted, tail), quantile(&sorted, 1.0 - tail))
    }

    /// Share of the draws in which `a` scores higher than `b`; a tie counts half.
    pub(crate) fn probability_higher(&self, a: usize, b: usize) -> f64 {
        let (a, b) = (self.like[a], self.like[b]);
        let pairs = self.of_treatment(a).iter().zip(self.of_treatment(b));
        let twice: usize = pairs
            .map(|(a, b)| usize::from(a >= b) + usize::from(a > b))
            .sum();
        twice as f64 / (2 * self.draws) as f64
    }

    /// Of each treatment the least and the largest rank among the central `confidence` of the draws;
    /// 1 is the highest score, and equal scores share the smaller rank.
    pub(crate) fn rank_intervals(&self, confidence: f64) -> Vec<(usize, usize)> {
        let treatments = self.treatments();
        let mut ranks = vec![0u32; self.values.len()];
        ranks.par_chunks_mut(treatments).enumerate().for_each_init(
            || Vec::with_capacity(treatments),
            |order: &mut Vec<(f64, usize)>, (draw, ranks)| {
                order.clear();
                order.extend((0..treatments).map(|t| (self.values[t * self.draws + draw], t)));
                order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
                let mut rank = 0;
                for (position, &(value, treatment)) in order.iter().enumerate() {
                    if position == 0 || value < order[position - 1].0 {
                        rank = position as u32 + 1;
                    }
                    ranks[treatment] = rank;
                }
            },
        );
        let tail = (1.0 - confidence) / 2.0 * (self.draws - 1) as f64;
        let (first, last) = (
            tail.floor() as usize,
            self.draws - 1 - tail.floor() as usize,
        );
        (0..treatments)
            .into_par_iter()
            .map(|treatment| {
                let of_treatment = ranks[self.like[treatment]..].iter().step_by(treatments);
                let mut sorted: Vec<u32> = of_treatment.copied().collect();
                sorted.sort_unstable();
                (sorted[first] as usize, sorted[last] as usize)
            })
            .collect()
    }
}

/// Quantile of sorted values, interpolated linearly between neighbours (type 7 of Hyndman and Fan).
pub(crate) fn quantile(sorted: &[f64], probability: f64) -> f64 {
    let position = probability * (sorted.len() - 1) as f64;
    let (below, above) = (position.floor() as usize, position.ceil() as usize);
    let share = position - position.floor();
    sorted[below] * (1.0 - share) + sorted[above] * share
}

/// Random numbers that belong to these numbers alone.
pub(crate) fn rng_of(numbers: impl IntoIterator<Item = u64>) -> ChaCha8Rng {
    let mut bytes = [0; 32];
    for (bytes, number) in bytes.chunks_exact_mut(8).zip(seed(numbers)) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    ChaCha8Rng::from_seed(bytes)
}

fn seed(numbers: impl IntoIterator<Item = u64>) -> [u64; 4] {
    let mut hash = Sha256::new();
    for number in numbers {
        hash.update(number.to_le_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(digest.chunks_exact(8)) {
        *word = u64::from_le_bytes(bytes.try_into().expect("chunks of 8 bytes"));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Aggregate;

    fn joint(values: &[f64]) -> JointDraws {
        let wells: Vec<_> = values
            .iter()
            .map(|v| vec![(0, v - 1.0), (0, *v), (0, v + 1.0)])
            .collect();
        let scatter = Scatter::of(&wells, 1, Aggregate::Median).unwrap().unwrap();
        let estimates: Vec<Estimate> = values
            .iter()
            .zip(&scatter.spreads)
            .map(|(&value, &spread)| Estimate {
                value,
                wells: 3,
                spread,
            })
            .collect();
        JointDraws::of(&scatter, &estimates, 2000).unwrap()
    }

    #[test]
    fn quantiles_interpolate() {
        let sorted = [0.0, 10.0, 20.0, 30.0];
        assert_eq!(quantile(&sorted, 0.0), 0.0);
        assert_eq!(quantile(&sorted, 0.5), 15.0);
        assert_eq!(quantile(&sorted, 1.0), 30.0);
    }

    #[test]
    fn treatments_far_apart_keep_their_ranks() {
        let joint = joint(&[0.0, 50.0, 100.0]);
        assert_eq!(joint.rank_intervals(0.95), [(3, 3), (2, 2), (1, 1)]);
        assert_eq!(joint.probability_higher(2, 0), 1.0);
        assert_eq!(joint.probability_higher(0, 2), 0.0);
    }

    #[test]
    fn treatments_that_are_alike_are_told_apart_by_nothing() {
        let joint = joint(&[5.0, 5.0, 5.0]);
        assert_eq!(joint.probability_higher(0, 2), 0.5);
        assert_eq!(joint.rank_intervals(0.95), [(1, 3); 3]);
        assert_eq!(joint.interval(0, 0.9), joint.interval(1, 0.9));
        // Yet each has draws of its own.
        assert_ne!(joint.of_treatment(0), joint.of_treatment(1));
    }

    #[test]
    fn probabilities_of_a_pair_add_up_to_one() {
        let joint = joint(&[0.0, 0.7, 1.5]);
        let p = joint.probability_higher(1, 0);
        assert!(p > 0.5 && p < 1.0, "{p}");
        assert_eq!(joint.probability_higher(0, 1), 1.0 - p);
    }

    #[test]
    fn sizes_are_checked_before_memory_is_taken() {
        let wells = [vec![(0, 0.0), (0, 1.0)]];
        let scatter = Scatter::of(&wells, 1, Aggregate::Median).unwrap().unwrap();
        let estimate = Estimate {
            value: 0.5,
            wells: 2,
            spread: scatter.spreads[0],
        };
        let error = JointDraws::of(&scatter, &[estimate], usize::MAX / 16).unwrap_err();
        assert!(matches!(
            error,
            RankError::TooMany {
                most: MOST_NUMBERS,
                ..
            }
        ));
    }
}
