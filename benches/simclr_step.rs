//! One training step of SimCLR, on every compiled-in backend.
//!
//! `cargo bench --bench simclr_step` (about two minutes on two cores)
//!
//! Flex is compiled in by default. Others come with their feature, and are skipped where they do
//! not work: `cargo bench --features ndarray --bench simclr_step`, or `cpu`, `wgpu` and `cuda`;
//! `-- flex` runs one of them.
//!
//! A step is the forward pass of both views with the loss, the backward pass and AdamW, each also timed by
//! itself, until the device has finished; views are on the device before. Throughput counts views, two for each pair.

#![expect(clippy::unwrap_used, reason = "an error must stop the bench")]

mod support;

use std::time::{Duration, Instant};

use burn::{
    module::Module,
    optim::GradientsParams,
    tensor::{Tensor, TensorData},
};
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use ndarray::Array3;
use spheroid::{
    augment::{Image, PolicyConfig},
    core::DrawKey,
    pretrain::POLICY,
    ssl::{
        Device, OptimizerConfig,
        encoder::{Encoder, EncoderConfig},
        methods::{Batch, Method, MethodConfig, Targets},
    },
};

/// Fixes weights and views.
const SEED: u64 = 1;
/// Encoder, pairs of views and planes: what the main job trains, and a full ResNet-18.
const STEPS: [(&str, usize, usize); 2] = [("resnet10-w16", 48, 1), ("resnet18", 16, 3)];
/// Parts of a step, and between which of its times they lie.
const PARTS: [(&str, (usize, usize)); 4] = [
    ("step", (0, 3)),
    ("forward", (0, 1)),
    ("backward", (1, 2)),
    ("optimizer", (2, 3)),
];
const LEARNING_RATE: f64 = 1e-3;
const WEIGHT_DECAY: f64 = 1e-4;

fn encoder(name: &str, planes: usize, device: &Device) -> Encoder {
    let config = EncoderConfig::by_name(name, planes).unwrap();
    config.build(SEED, device).unwrap()
}

/// View `view` of every crop: as many planes, each the project's own view of a plane of the crop.
fn views(crops: &[Array3<f32>], planes: usize, view: u64, device: &Device) -> Tensor<4> {
    let policy = PolicyConfig::preset(POLICY).unwrap().build().unwrap();
    let mut pixels = Vec::new();
    for (item, crop) in crops.iter().enumerate() {
        let crop = Image::new(crop).unwrap();
        for plane in 0..planes as u64 {
            let key = DrawKey {
                seed: SEED,
                epoch: plane,
                item: item as u64,
                view,
            };
            let view = policy.apply(&crop, &policy.draw(key)).unwrap();
            pixels.extend(view.into_samples());
        }
    }
    let (_, rows, columns) = crops[0].dim();
    let data = TensorData::new(pixels, [crops.len(), planes, rows, columns]);
    Tensor::from_data(data, device)
}

fn simclr_step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("simclr_step");
    group.sampling_mode(SamplingMode::Flat);
    group.measurement_time(Duration::from_secs(15));
    for (backend, device) in support::backends() {
        let device = device.autodiff();
        for (name, pairs, planes) in STEPS {
            let crops = support::crops(pairs, 96);
            let first = views(&crops, planes, 0, &device);
            let second = views(&crops, planes, 1, &device);
            let config = MethodConfig::by_name("simclr").unwrap();
            let encoder = encoder(name, planes, &device);
            let method = config.build(encoder, &Targets::default(), SEED).unwrap();
            let mut method = Some(method.train());
            let mut optimizer = OptimizerConfig::AdamW.build(WEIGHT_DECAY, None).unwrap();
            let batch = Batch {
                views: vec![first.clone(), second],
                labels: None,
                descriptions: None,
                key: DrawKey {
                    seed: SEED,
                    epoch: 0,
                    item: 0,
                    view: 0,
                },
            };
            // When the step and each of its parts ended.
            let mut step = || {
                let learner = method.take().unwrap();
                let mut times = vec![Instant::now()];
                let mut lap = || {
                    device.sync().unwrap();
                    times.push(Instant::now());
                };
                let loss = learner.step(batch.clone()).unwrap().loss;
                lap();
                let gradients = GradientsParams::from_grads(loss.backward(), &learner);
                lap();
                method = Some(optimizer.step(LEARNING_RATE, learner, gradients));
                lap();
                let loss = loss.into_scalar::<f32>();
                assert!(loss.is_finite() && loss > 0.0, "loss {loss}");
                times
            };
            step();

            let [_, _, rows, columns] = first.dims();
            let shape = format!("pairs={pairs},view={planes}x{rows}x{columns}");
            group.throughput(Throughput::Elements(2 * pairs as u64));
            for (part, range) in PARTS {
                let id = BenchmarkId::new(format!("{name},{part}"), format!("{shape},{backend}"));
                group.bench_function(id, |bencher| {
                    bencher.iter_custom(|steps| {
                        let of_part = |times: Vec<Instant>| times[range.1] - times[range.0];
                        (0..steps).map(|_| of_part(step())).sum()
                    });
                });
            }
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
    targets = simclr_step
}
criterion_main!(benches);
