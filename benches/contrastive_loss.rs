//! NT-Xent by number of rows and features, forward alone and with its gradient: the fused operation against the
//! tensor formula that burn's users write, on every compiled-in backend.
//!
//! `cargo bench --bench contrastive_loss` (about ten minutes on two cores)
//! `cargo bench --bench contrastive_loss -- rows=1024,` (a part of it)
//!
//! Flex is compiled in by default. Others come with their feature, and are skipped where they do
//! not work: `cargo bench --features cuda --bench contrastive_loss`, or `ndarray`, `cpu` and `wgpu`.
//!
//! Throughput counts pairs of rows, since the loss compares each with each. Before the times stands the
//! memory that forward and backward take above their input, on backends that use the memory of the CPU.

#![expect(clippy::unwrap_used, reason = "an error must stop the bench")]

mod support;

use std::{hint::black_box, time::Duration};

use burn::tensor::{Tensor, TensorData, activation::log_softmax};
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use peak_alloc::PeakAlloc;
use spheroid::kernels::NtXentConfig;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Two views of 128 to 32,768 images.
const ROWS: [usize; 5] = [256, 1024, 4096, 16_384, 65_536];
const FEATURES: [usize; 2] = [128, 512];
/// More rows than the matrices of the formula fit into memory for.
const MOST_OF_FORMULA: usize = 16_384;
const TEMPERATURE: f64 = 0.2;

/// Mean NT-Xent of projections `[row, feature]`.
type Loss = fn(Tensor<2>) -> Tensor<1>;

fn fused(z: Tensor<2>) -> Tensor<1> {
    let nt_xent = NtXentConfig::new(TEMPERATURE).build().unwrap();
    nt_xent.forward(z).unwrap()
}

fn formula(z: Tensor<2>) -> Tensor<1> {
    let [rows, _] = z.dims();
    let (pairs, device) = (rows / 2, z.device());
    let length = z.clone().square().sum_dim(1).sqrt();
    let z = z / length;
    let itself = Tensor::<2>::eye(rows, &device) * 1e9;
    let similarity = z.clone().matmul(z.transpose()) / TEMPERATURE - itself;
    let probability = log_softmax(similarity, 1);
    let above = probability.clone().slice([0..pairs, pairs..rows]);
    let below = probability.slice([pairs..rows, 0..pairs]);
    let both: Tensor<2> = above + below;
    (both * Tensor::eye(pairs, &device)).sum() / -(rows as f64)
}

/// Projections of `rows / 2` images, row-major: the second views are near the first ones, other
/// images far.
fn projections(rows: usize, features: usize) -> TensorData {
    let images = rows / 2;
    let values: Vec<f32> = (0..rows * features)
        .map(|index| {
            let (row, feature) = (index / features, index % features);
            // Phases of different images are unrelated; a view adds a little of its own.
            let of_image = (12.9898 * (row % images) as f64 + 78.233 * feature as f64).sin();
            let of_view = (39.3467 * index as f64).sin();
            ((43_758.545 * of_image).sin() + 0.3 * of_view) as f32
        })
        .collect();
    TensorData::new(values, [rows, features])
}

fn contrastive_loss(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("nt_xent");
    group.sampling_mode(SamplingMode::Flat);
    let losses: [(&str, Loss); 2] = [("fused", fused), ("formula", formula)];
    for (backend, device) in support::backends() {
        for (features, rows) in FEATURES.into_iter().flat_map(|f| ROWS.map(|r| (f, r))) {
            // Seconds for a matrix of similarities: more repetitions tell nothing new.
            group.measurement_time(Duration::from_secs(if rows <= 4096 { 3 } else { 1 }));
            group.throughput(Throughput::Elements((rows * rows) as u64));
            for (name, loss) in losses {
                if name == "formula" && rows > MOST_OF_FORMULA || rows > 16_384 && features > 128 {
                    continue;
                }
                let of = format!("rows={rows},features={features}");
                let id = |pass| BenchmarkId::new(format!("{name},{pass},{backend}"), &of);
                group.bench_function(id("forward"), |bencher| {
                    let z = Tensor::<2>::from_data(projections(rows, features), &device);
                    bencher.iter(|| black_box(loss(black_box(z.clone())).into_scalar::<f32>()));
                });

                let device = device.clone().autodiff();
                let mut measured = false;
                group.bench_function(id("forward+backward"), |bencher| {
                    let z = Tensor::<2>::from_data(projections(rows, features), &device);
                    let z = z.require_grad();
                    let backward = || {
                        let loss = loss(black_box(z.clone()));
                        let gradient = z.grad(&loss.backward()).unwrap();
                        device.sync().unwrap();
                        gradient
                    };
                    if !measured {
                        let before = HEAP.current_usage();
                        HEAP.reset_peak_usage();
                        black_box(backward());
                        let above = (HEAP.peak_usage() - before) as f64 / f64::from(1 << 20);
                        println!("memory of {name},{backend}/{of}: {above:.1} MiB");
                        measured = true;
                    }
                    bencher.iter(|| black_box(backward()));
                });
            }
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(500));
    targets = contrastive_loss
}
criterion_main!(benches);
