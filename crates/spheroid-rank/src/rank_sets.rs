//! Sets that hold the true ranks with a stated confidence.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::draws::{JointDraws, quantile};

/// What a set of ranks covers with the stated confidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RankCoverage {
    /// The rank of one treatment that was chosen before the data were seen.
    Marginal,
    /// The ranks of all treatments at once: also that of the one that came out first.
    Simultaneous,
}

/// The ranks that a treatment may have, both ends included; 1 is the strongest effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RankSet {
    /// One more than the number of treatments that are shown to be stronger.
    pub low: usize,
    /// The number of treatments less those that are shown to be weaker.
    pub high: usize,
}

/// Draws that the critical value is taken from, at most.
const MOST_DRAWS: usize = 1000;

/// The ranks each treatment may have, by stepwise tests of every difference in both directions.
///
/// For an ordered pair the hypothesis θⱼ ≤ θₖ is rejected when (θ̂ⱼ − θ̂ₖ) / s exceeds the quantile of
/// the largest (εⱼ − εₖ) / s over all pairs not yet rejected, with s² = sⱼ² + sₖ², ε the draws of
/// estimate − truth and sⱼ half the width of their central 68 %. Rejected pairs leave the maximum, and
/// the rest is tested again until no more is rejected.
pub(crate) fn rank_sets(
    joint: &JointDraws,
    confidence: f64,
    coverage: RankCoverage,
) -> Vec<RankSet> {
    let treatments = joint.treatments();
    let strays: Vec<Vec<f64>> = (0..treatments)
        .into_par_iter()
        .map(|t| {
            let draws = joint.of_treatment(t).iter().take(MOST_DRAWS);
            draws.map(|draw| joint.estimates()[t] - draw).collect()
        })
        .collect();
    let squares = strays
        .par_iter()
        .map(|strays| {
            let mut sorted = strays.clone();
            sorted.sort_unstable_by(f64::total_cmp);
            ((quantile(&sorted, 0.841) - quantile(&sorted, 0.159)) / 2.0).powi(2)
        })
        .collect();
    let differences = Differences {
        estimates: joint.estimates(),
        strays,
        squares,
    };
    let all: Vec<usize> = (0..treatments).collect();
    match coverage {
        RankCoverage::Marginal => all
            .iter()
            .map(|&t| {
                let t = joint.like(t);
                let others = |_| (0..treatments).filter(move |&other| other != t);
                differences.set(t, differences.critical_value(&[t], others, confidence))
            })
            .collect(),
        RankCoverage::Simultaneous => {
            let later = |first| first + 1..treatments;
            let critical = differences.critical_value(&all, later, confidence);
            all.iter().map(|&t| differences.set(t, critical)).collect()
        }
    }
}

struct Differences<'a> {
    estimates: &'a [f64],
    strays: Vec<Vec<f64>>,
    squares: Vec<f64>,
}

impl Differences<'_> {
    /// (θ̂ⱼ − θ̂ₖ) / s; without scatter any difference is infinitely large.
    fn statistic(&self, j: usize, k: usize) -> f64 {
        let difference = self.estimates[j] - self.estimates[k];
        match (self.squares[j] + self.squares[k]).sqrt() {
            0.0 if difference == 0.0 => 0.0,
            s => difference / s,
        }
    }

    /// Beyond this a pair is rejected, when each of `firsts` is compared with its `seconds` in both
    /// directions.
    fn critical_value<I: Iterator<Item = usize>>(
        &self,
        firsts: &[usize],
        seconds: impl Fn(usize) -> I + Sync,
        confidence: f64,
    ) -> f64 {
        let mut critical = f64::INFINITY;
        loop {
            let mut largest = self.largest(firsts, &seconds, critical);
            largest.sort_unstable_by(f64::total_cmp);
            let next = quantile(&largest, confidence).min(critical);
            let rejects_more = firsts.iter().any(|&j| {
                seconds(j).any(|k| {
                    let size = self.statistic(j, k).abs();
                    size > next && size <= critical
                })
            });
            critical = next;
            if !rejects_more {
                return critical;
            }
        }
    }

    /// In each draw the largest stray, in units of s, among the pairs that `critical` leaves.
    fn largest<I: Iterator<Item = usize>>(
        &self,
        firsts: &[usize],
        seconds: &(impl Fn(usize) -> I + Sync),
        critical: f64,
    ) -> Vec<f64> {
        let none = || vec![0.0f64; self.strays[0].len()];
        firsts
            .par_iter()
            .fold(none, |mut largest, &j| {
                for k in seconds(j) {
                    let s = (self.squares[j] + self.squares[k]).sqrt();
                    let unit = if s > 0.0 { s.recip() } else { 0.0 };
                    let statistic = self.statistic(j, k);
                    // The factor takes the direction that is already rejected out of the maximum.
                    let (up, down) = (
                        if statistic <= critical { unit } else { 0.0 },
                        if -statistic <= critical { -unit } else { 0.0 },
                    );
                    let strays = self.strays[j].iter().zip(&self.strays[k]);
                    for (largest, (a, b)) in largest.iter_mut().zip(strays) {
                        let stray = a - b;
                        *largest = largest.max(stray * up).max(stray * down);
                    }
                }
                largest
            })
            .reduce(none, |a, b| {
                a.iter().zip(&b).map(|(a, b)| a.max(*b)).collect()
            })
    }

    fn set(&self, treatment: usize, critical: f64) -> RankSet {
        let treatments = self.estimates.len();
        let count =
            |shown: &dyn Fn(usize) -> f64| (0..treatments).filter(|&k| shown(k) > critical).count();
        RankSet {
            low: 1 + count(&|k| self.statistic(k, treatment)),
            high: treatments - count(&|k| self.statistic(treatment, k)),
        }
    }
}
