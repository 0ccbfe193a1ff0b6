//! Simulated experiments whose truth is known: how often do the intervals hold it?

use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, Exp1, StandardNormal, StudentT};
use spheroid_core::{Group, Treatment, WellId};
use spheroid_rank::{RankCoverage, RankingConfig, Scale, WellScore};

type Noise = fn(&mut ChaCha8Rng) -> f64;

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

fn student_3(rng: &mut ChaCha8Rng) -> f64 {
    StudentT::new(3.0).unwrap().sample(rng)
}

fn laplace(rng: &mut ChaCha8Rng) -> f64 {
    let size: f64 = Exp1.sample(rng);
    if rng.random_bool(0.5) { size } else { -size }
}

/// An experiment of treatments with these true medians on the linear scale, all with so many wells
/// that differ in their spread by a factor of 1.4 (standard deviation of its logarithm 0.35).
fn experiment(truths: &[f64], wells: usize, noise: Noise, rng: &mut ChaCha8Rng) -> Vec<WellScore> {
    let mut scores = Vec::new();
    for (t, truth) in truths.iter().enumerate() {
        let spread = (0.35 * normal(rng)).exp();
        for _ in 0..wells {
            let index = scores.len();
            scores.push(WellScore {
                plate: "P1".into(),
                well: WellId::new(index / 48, index % 48).unwrap(),
                treatment: Treatment {
                    name: format!("T{t}"),
                    group: Group::DrugScreened,
                    doses: vec![],
                },
                score: truth + spread * noise(rng),
            });
        }
    }
    scores
}

/// Coverage in percent of 95 % intervals.
fn coverage(
    treatments: usize,
    count: usize,
    noise: Noise,
    scale: Scale,
    shape: fn(f64) -> f64,
) -> f64 {
    const INTERVALS: usize = 1920;
    let ranker = RankingConfig {
        scale,
        draws: 1000,
        ..Default::default()
    }
    .build()
    .unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(11 + count as u64);
    let mut held = 0;
    for _ in 0..INTERVALS / treatments {
        let mut wells = experiment(&vec![0.0; treatments], count, noise, &mut rng);
        for well in &mut wells {
            well.score = shape(well.score);
        }
        let truth = shape(0.0);
        for row in ranker.rank(&wells).unwrap().0.rows {
            held += usize::from(row.ci_low <= Some(truth) && row.ci_high >= Some(truth));
        }
    }
    100.0 * held as f64 / INTERVALS as f64
}

fn check(name: &str, noise: Noise, scale: Scale, shape: fn(f64) -> f64) {
    let found = [3, 4, 6, 12].map(|wells| coverage(16, wells, noise, scale, shape));
    println!("{name}: {found:.1?}");
    assert!(
        found.iter().all(|c| (92.0..=98.0).contains(c)),
        "{name}: {found:.1?}"
    );
}

#[test]
fn intervals_hold_the_truth_with_normal_wells() {
    check("normal", normal, Scale::Linear, |x| x);
}

#[test]
fn intervals_hold_the_truth_with_log_normal_wells() {
    check("log-normal, linear", normal, Scale::Linear, |x| {
        (0.4 * x).exp()
    });
    check("log-normal, log", normal, Scale::Log, |x| (0.4 * x).exp());
}

#[test]
fn intervals_hold_the_truth_with_heavy_tails() {
    check("Student t, 3 degrees", student_3, Scale::Linear, |x| x);
    check("Laplace", laplace, Scale::Linear, |x| x);
}

#[test]
fn two_wells_or_four_treatments_are_nearly_enough() {
    for (name, noise) in [("normal", normal as Noise), ("Laplace", laplace)] {
        let two_wells = coverage(16, 2, noise, Scale::Linear, |x| x);
        let four_treatments = coverage(4, 3, noise, Scale::Linear, |x| x);
        println!("{name}: {two_wells:.1}, {four_treatments:.1}");
        for found in [two_wells, four_treatments] {
            assert!((91.0..=98.0).contains(&found), "{name}: {found}");
        }
    }
}

/// In how many of the experiments do all sets hold the true rank, and how wide are they?
fn rank_set_coverage(truths: &[f64], coverage: RankCoverage) -> (f64, f64) {
    const EXPERIMENTS: usize = 200;
    let ranker = RankingConfig {
        scale: Scale::Linear,
        draws: 1000,
        ..Default::default()
    };
    let ranker = ranker.build().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (mut held, mut width) = (0.0, 0.0);
    for _ in 0..EXPERIMENTS {
        let wells = experiment(truths, 4, normal, &mut rng);
        let (ranking, _) = ranker.rank(&wells).unwrap();
        let sets = ranking.rank_sets(coverage).unwrap();
        let holds: Vec<bool> = ranking
            .rows
            .iter()
            .zip(&sets)
            .map(|(row, set)| {
                let truth = truths[row.treatment[1..].parse::<usize>().unwrap()];
                let rank = 1 + truths.iter().filter(|other| **other > truth).count();
                assert!(set.low <= row.rank && row.rank <= set.high);
                (set.low..=set.high).contains(&rank)
            })
            .collect();
        held += match coverage {
            RankCoverage::Simultaneous => f64::from(u8::from(holds.iter().all(|held| *held))),
            RankCoverage::Marginal => {
                holds.iter().filter(|held| **held).count() as f64 / holds.len() as f64
            }
        };
        let widths: usize = sets.iter().map(|set| set.high - set.low).sum();
        width += widths as f64 / sets.len() as f64;
    }
    (held / EXPERIMENTS as f64, width / EXPERIMENTS as f64)
}

#[test]
fn rank_sets_hold_the_true_ranks_also_of_ties() {
    // Three standard errors of 200 experiments are 4.6 %.
    const LEAST: f64 = 0.95 - 0.046;
    let cases = [
        vec![0.0; 8],
        (0..8).map(|t| 0.7 * f64::from(t)).collect(),
        (0..8).map(|t| 2.5 * f64::from(t / 2)).collect(),
    ];
    for truths in cases {
        let (simultaneous, wide) = rank_set_coverage(&truths, RankCoverage::Simultaneous);
        let (marginal, narrow) = rank_set_coverage(&truths, RankCoverage::Marginal);
        println!("{truths:?}: {simultaneous} ({wide}), {marginal} ({narrow})");
        assert!(simultaneous >= LEAST && marginal >= LEAST, "{truths:?}");
        assert!(narrow <= wide, "{truths:?}");
    }
    let far: Vec<f64> = (0..8).map(|t| 50.0 * f64::from(t)).collect();
    assert_eq!(
        rank_set_coverage(&far, RankCoverage::Simultaneous),
        (1.0, 0.0)
    );
}
