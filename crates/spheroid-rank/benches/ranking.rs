//! A ranking by number of wells and treatments, and the sets of ranks.
//!
//! `cargo bench -p spheroid-rank --bench ranking`

#![expect(clippy::unwrap_used, reason = "an error must stop the bench")]

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, SamplingMode, criterion_group, criterion_main};
use spheroid_core::{Group, Treatment, WellId};
use spheroid_rank::{RankCoverage, RankingConfig, WellScore};
use spheroid_testkit::normal;

/// Wells of each treatment, on as many plates of 384 wells as they fill.
const REPLICATES: usize = 10;

fn wells(treatments: usize) -> Vec<WellScore> {
    let noise = normal(REPLICATES * treatments, 1);
    noise
        .iter()
        .enumerate()
        .map(|(index, noise)| {
            // Treatments go round, so that their wells lie on several plates.
            let (treatment, place) = (index % treatments, index % 384);
            let strength = treatment as f64 / treatments as f64;
            WellScore {
                plate: format!("P{}", index / 384),
                well: WellId::new(place / 24, place % 24).unwrap(),
                treatment: Treatment {
                    name: format!("T{treatment}"),
                    // All are tested against the wells of the first.
                    group: match treatment {
                        0 => Group::Untreated,
                        _ => Group::DrugScreened,
                    },
                    doses: vec![],
                },
                score: (strength + 0.3 * f64::from(*noise)).exp(),
            }
        })
        .collect()
}

fn ranking(c: &mut Criterion) {
    let mut group = c.benchmark_group("ranking");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.measurement_time(Duration::from_secs(10));
    for (treatments, draws) in [(20, 2000), (100, 2000), (1000, 10_000)] {
        let wells = wells(treatments);
        let ranker = RankingConfig {
            draws,
            ..Default::default()
        }
        .build()
        .unwrap();
        let size = format!("treatments={treatments},draws={draws}");
        group.bench_with_input(BenchmarkId::new("rank", &size), &wells, |b, wells| {
            b.iter(|| black_box(ranker.rank(wells).unwrap()));
        });
        let (ranking, _) = ranker.rank(&wells).unwrap();
        let sets = |b: &mut criterion::Bencher<'_>| {
            b.iter(|| black_box(ranking.rank_sets(RankCoverage::Simultaneous).unwrap()));
        };
        group.bench_function(BenchmarkId::new("simultaneous_rank_sets", &size), sets);
    }
    group.finish();
}

criterion_group!(benches, ranking);
criterion_main!(benches);
