//! Augmentation: two views of a stored frame, and single transforms.
//!
//! `cargo bench --bench augment` (about a minute; `-- two_views` for the first part)
//!
//! Every iteration draws anew, since the draw decides what it costs; the draws are the same in every run.
//! `two_views` reads full.tif and small.tif of the folder `AUGMENT_BENCH_FOLDER` and simulates frames when
//! it is not set; with two threads an iteration makes the views of two frames.

#![expect(clippy::unwrap_used, reason = "an error must stop the bench")]

use std::{hint::black_box, path::Path, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array3;
use rayon::prelude::*;
use spheroid::{
    augment::{
        Affine, AnyTransform, Clahe, ColorJitter, Defocus, Elastic, Equalize, GaussianBlur,
        GaussianNoise, Image, Median, PolicyConfig, RandomResizedCrop, Range, ToneBudget,
        ToneCurve, Transform,
    },
    core::{DrawKey, StackSource},
    imaging::{Limits, Samples, read_stack},
    sim::PlateSimConfig,
};

/// Seed of every draw.
const SEED: u64 = 1;
/// Number of different draws.
const DRAWS: u64 = 512;

/// Three planes of 16 bits.
fn frame(name: &str, rows: usize, columns: usize) -> Array3<u16> {
    let stack = match std::env::var_os("AUGMENT_BENCH_FOLDER") {
        Some(folder) => {
            let path = Path::new(&folder).join(format!("{name}.tif"));
            read_stack(&[path], &Limits::default()).unwrap()
        }
        None => {
            let config = PlateSimConfig {
                rows,
                columns,
                ..PlateSimConfig::default()
            };
            config.build().unwrap().load(0).unwrap()
        }
    };
    let Samples::U16(samples) = stack.into_samples() else {
        panic!("{name}.tif has not 16 bits");
    };
    assert_eq!(samples.dim(), (3, rows, columns));
    samples
}

fn two_views(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("two_views");
    let policy = PolicyConfig::preset("rgb_planes").unwrap().build().unwrap();
    for (name, rows, columns) in [("full", 2054, 2456), ("small", 512, 512)] {
        let frame = frame(name, rows, columns);
        let image = Image::new(&frame).unwrap();
        let views = |item: u64| policy.views(&image, SEED, 0, item % DRAWS).unwrap().views;
        for view in (0..8).flat_map(views) {
            assert!(view.dim() == (3, 96, 96) && view.samples().iter().all(|v| v.is_finite()));
        }
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            group.throughput(Throughput::Elements(threads as u64));
            let mut item = 0;
            group.bench_function(
                BenchmarkId::new(name, format!("threads={threads}")),
                |bencher| {
                    pool.install(|| {
                        bencher.iter(|| {
                            item += threads as u64;
                            (0..threads as u64).into_par_iter().for_each(|frame| {
                                black_box(views(item + frame));
                            });
                        });
                    });
                },
            );
        }
    }
    group.finish();
}

fn transforms(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transform");
    let frame = frame("small", 512, 512);
    let image = Image::new(&frame).unwrap();
    group.throughput(Throughput::Elements(frame.len() as u64));
    let jitter = ColorJitter {
        brightness: 0.5,
        contrast: 0.5,
        ..ColorJitter::default()
    };
    let transforms: [AnyTransform; 12] = [
        Affine::default().into(),
        Clahe::default().into(),
        jitter.into(),
        Defocus {
            radius: Range::new(1.0, 3.0),
        }
        .into(),
        Elastic::default().into(),
        Equalize {}.into(),
        GaussianBlur::new(0.5, 2.0).into(),
        GaussianNoise {
            deviation: Range::only(0.01),
        }
        .into(),
        Median { radius: [1, 1] }.into(),
        RandomResizedCrop::new(96, 96).into(),
        ToneBudget::new(0.3).into(),
        ToneCurve::default().into(),
    ];
    for transform in transforms {
        let name = transform.name();
        let built = transform.build().unwrap();
        let mut item = 0;
        group.bench_function(BenchmarkId::new(name, "3x512x512"), |bencher| {
            bencher.iter(|| {
                item += 1;
                let draw = built.draw(DrawKey {
                    seed: SEED,
                    epoch: 0,
                    item: item % DRAWS,
                    view: 0,
                });
                black_box(built.apply(image.view(), &draw).unwrap());
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    targets = two_views, transforms
}
criterion_main!(benches);
