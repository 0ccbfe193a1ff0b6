//! Embedding with a frozen encoder, on every compiled-in backend.
//!
//! `cargo bench --bench embed` (about two minutes on two cores)
//!
//! Further backends come with their feature: `cargo bench --features ndarray --bench embed`; `-- flex` runs one of
//! them. Images are in memory and their features on the host at the end; mean and deviation of every channel at
//! every depth are kept. Throughput counts images.

#![expect(clippy::unwrap_used, reason = "an error must stop the bench")]

mod support;

use std::{hint::black_box, time::Duration};

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use ndarray::{Array3, s};
use spheroid::{
    core::Embed,
    ssl::{
        FrozenEncoder,
        encoder::{EncoderConfig, Pooling},
    },
};

/// Fixes the weights.
const SEED: u64 = 1;
/// Encoder, planes and side of an image: what the main job embeds with, and what peers have.
const CASES: [(&str, usize, usize); 5] = [
    ("resnet10-w16", 1, 96),
    ("resnet18", 3, 96),
    ("resnet18", 3, 224),
    ("efficientnet-lite0", 3, 96),
    ("efficientnet-lite0", 3, 224),
];
/// Images that are embedded at once.
const IMAGES: usize = 32;

fn embed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("embed");
    group.sampling_mode(SamplingMode::Flat);
    group.throughput(Throughput::Elements(IMAGES as u64));
    for (backend, device) in support::backends() {
        for (name, planes, side) in CASES {
            let config = EncoderConfig::by_name(name, planes).unwrap();
            let encoder = config.build(SEED, &device).unwrap();
            let frozen = FrozenEncoder::new(&encoder, Pooling::ALL, &device);
            let images: Vec<Array3<f32>> = support::crops(IMAGES, side)
                .iter()
                .map(|crop| crop.slice(s![..planes, .., ..]).to_owned())
                .collect();
            let features = frozen.embed(&images).unwrap();
            assert_eq!(features.dim(), (IMAGES, frozen.dim()));
            assert!(features.iter().all(|value| value.is_finite()));

            let shape = format!("images={IMAGES}x{planes}x{side}x{side}");
            group.bench_function(
                BenchmarkId::new(name, format!("{shape},{backend}")),
                |bencher| bencher.iter(|| black_box(frozen.embed(black_box(&images)).unwrap())),
            );
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5));
    targets = embed
}
criterion_main!(benches);
