//! NT-Xent by number of rows, forward alone and with its gradient, on every compiled-in backend.
//!
//! `cargo bench --bench contrastive_loss` (about a minute on two cores)
//!
//! Flex is compiled in by default. Others come with their feature, and are skipped where they do
//! not work: `cargo bench --features ndarray --bench contrastive_loss`, or `cpu`, `wgpu` and `cuda`;
//! `-- flex` runs one of them.
//!
//! Throughput counts pairs of rows, since the loss compares each with each.

#![expect(clippy::unwrap_used, reason = "an error must stop the bench")]

mod support;

use std::{hint::black_box, time::Duration};

use burn::tensor::{Tensor, TensorData};
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use spheroid::kernels::NtXentConfig;

/// Two views of 128, 512 and 2048 images.
const ROWS: [usize; 3] = [256, 1024, 4096];
const FEATURES: usize = 128;
const TEMPERATURE: f64 = 0.2;

/// Projections of `rows / 2` images, row-major: the second views are near the first ones, other
/// images far.
fn projections(rows: usize) -> TensorData {
    let images = rows / 2;
    let values: Vec<f32> = (0..rows * FEATURES)
        .map(|index| {
            let (row, feature) = (index / FEATURES, index % FEATURES);
            // Phases of different images are unrelated; a view adds a little of its own.
            let of_image = (12.9898 * (row % images) as f64 + 78.233 * feature as f64).sin();
            let of_view = (39.3467 * index as f64).sin();
            ((43_758.545 * of_image).sin() + 0.3 * of_view) as f32
        })
        .collect();
    TensorData::new(values, [rows, FEATURES])
}

fn contrastive_loss(criterion: &mut Criterion) {
    let nt_xent = NtXentConfig::new(TEMPERATURE).build().unwrap();
    let mut group = criterion.benchmark_group("nt_xent");
    group.sampling_mode(SamplingMode::Flat);
    for (backend, device) in support::backends() {
        for rows in ROWS {
            let id =
                |pass| BenchmarkId::new(pass, format!("rows={rows},features={FEATURES},{backend}"));
            group.throughput(Throughput::Elements((rows * rows) as u64));

            let z = Tensor::<2>::from_data(projections(rows), &device);
            let forward = || {
                let loss = nt_xent.forward(black_box(z.clone())).unwrap();
                loss.into_scalar::<f32>()
            };
            // Below the loss of rows that are all alike.
            let loss = forward();
            assert!(
                loss > 0.0 && loss < ((rows - 1) as f32).ln(),
                "{rows} rows: {loss}"
            );
            group.bench_function(id("forward"), |bencher| {
                bencher.iter(|| black_box(forward()));
            });

            let device = device.clone().autodiff();
            let z = Tensor::<2>::from_data(projections(rows), &device).require_grad();
            let backward = || {
                let loss = nt_xent.forward(black_box(z.clone())).unwrap();
                let gradient = z.grad(&loss.backward()).unwrap();
                device.sync().unwrap();
                gradient
            };
            let steepness = backward().abs().max().into_scalar::<f32>();
            assert!(
                steepness.is_finite() && steepness > 0.0,
                "{rows} rows: {steepness}"
            );
            group.bench_function(id("forward+backward"), |bencher| {
                bencher.iter(|| black_box(backward()));
            });
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
    targets = contrastive_loss
}
criterion_main!(benches);
