use rand_distr::{ChiSquared, Distribution, StandardNormal};

use super::sigmoid::Levels;
use crate::draws::rng_of;

/// Draws of the null distribution.
const DRAWS: usize = 1999;

/// Chance of means that are as far from monotone, rising or falling, as these when the truth is
/// monotone.
///
/// The statistic is the weighted sum of squares between the means of the doses and their isotonic
/// regression over the variance within doses. It is compared with its distribution when all doses are
/// alike and normal, the monotone truth that leads astray most often, drawn from the numbers of wells
/// alone. None when no dose has a second well.
///
/// Robertson, Wright and Dykstra, Order Restricted Statistical Inference (1988), chapter 2.
pub(super) fn monotone_p(data: &Levels) -> Option<f64> {
    let degrees = (data.wells - data.levels.len()) as f64;
    let scatter = ChiSquared::new(degrees).ok()?;
    let weights: Vec<f64> = data.levels.iter().map(|level| level.wells).collect();
    let rising: Vec<f64> = data.levels.iter().map(|level| level.mean).collect();
    let falling: Vec<f64> = rising.iter().map(|mean| -mean).collect();
    // Monotone either way: both must be rejected.
    let squares = violation(&rising, &weights).min(violation(&falling, &weights));
    if squares == 0.0 {
        return Some(1.0);
    }
    let observed = squares / data.within * degrees;
    let mut rng = rng_of(data.levels.iter().map(|level| level.wells.to_bits()));
    let as_large = (0..DRAWS)
        .filter(|_| {
            let means: Vec<f64> = weights
                .iter()
                .map(|wells| {
                    let z: f64 = StandardNormal.sample(&mut rng);
                    z / wells.sqrt()
                })
                .collect();
            let within: f64 = scatter.sample(&mut rng);
            violation(&means, &weights) / within * degrees >= observed
        })
        .count();
    Some((1 + as_large) as f64 / (1 + DRAWS) as f64)
}

/// Weighted sum of squares between values and their isotonic regression.
fn violation(values: &[f64], weights: &[f64]) -> f64 {
    let fitted = isotonic(values, weights);
    let parts = values.iter().zip(&fitted).zip(weights);
    parts.map(|((v, f), w)| w * (v - f).powi(2)).sum()
}

/// Isotonic regression: the nearest values that never fall, by pooling adjacent violators.
fn isotonic(values: &[f64], weights: &[f64]) -> Vec<f64> {
    let mut blocks: Vec<(f64, f64, usize)> = Vec::with_capacity(values.len());
    for (&value, &weight) in values.iter().zip(weights) {
        let mut block = (value, weight, 1);
        while let Some(&(before, heavy, count)) = blocks.last() {
            if before <= block.0 {
                break;
            }
            let total = heavy + block.1;
            let mean = (before * heavy + block.0 * block.1) / total;
            block = (mean, total, count + block.2);
            blocks.pop();
        }
        blocks.push(block);
    }
    blocks
        .into_iter()
        .flat_map(|(mean, _, count)| std::iter::repeat_n(mean, count))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use spheroid_testkit::{Tolerance, assert_close, json_fixture};

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        values: Vec<f64>,
        weights: Vec<f64>,
        fitted: Vec<f64>,
    }

    #[test]
    fn isotonic_regression_agrees_with_scikit_learn() {
        let cases: Vec<Case> = json_fixture(env!("CARGO_MANIFEST_DIR"), "isotonic.json");
        for case in cases {
            let fitted = isotonic(&case.values, &case.weights);
            assert_close(&fitted, &case.fitted, Tolerance::F64);
        }
    }

    #[test]
    fn single_wells_cannot_tell() {
        let data = Levels::of(&[1.0, 2.0, 3.0], &[1.0, 9.0, 1.0]).unwrap();
        assert_eq!(monotone_p(&data), None);
    }

    #[test]
    fn monotone_means_are_never_doubted() {
        let data = Levels::of(&[1.0, 1.0, 2.0, 3.0], &[5.0, 4.0, 2.0, 1.0]).unwrap();
        assert_eq!(monotone_p(&data), Some(1.0));
    }

    /// Of flat series the test calls its nominal share, of rising ones less.
    #[test]
    fn test_keeps_its_size() {
        const SERIES: usize = 300;
        let doses: Vec<f64> = (0..18).map(|well| f64::from(1 + well / 3)).collect();
        let called = |rise: f64| {
            let noise = spheroid_testkit::normal(SERIES * doses.len(), 4);
            let series = noise.chunks(doses.len()).map(|noise| {
                let response = |(dose, z): (&f64, &f32)| rise * dose + f64::from(*z);
                let responses: Vec<f64> = doses.iter().zip(noise).map(response).collect();
                Levels::of(&doses, &responses).unwrap()
            });
            series.filter(|data| monotone_p(data) < Some(0.05)).count()
        };
        // Both directions must be rejected, so even flat series are called less than 5 % of the time.
        let (flat, rising) = (called(0.0), called(1.0));
        assert!(
            flat <= SERIES / 20 && rising <= flat.max(3),
            "{flat}, {rising}"
        );
    }
}
