//! Augmentation of one crop: the two views that training takes, and the parts of a view.
//!
//! `cargo bench --bench augment` (about half a minute; `-- --quick` less exactly)
//!
//! Every iteration draws anew, since the width of a blur decides what it costs; the draws are the
//! same in every run. A view is made of one plane of the crop, each part here works on all three.

#![expect(clippy::unwrap_used, reason = "an error must stop the bench")]

mod support;

use std::{fmt::Debug, hint::black_box, time::Duration};

use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use ndarray::Array3;
use spheroid::{
    augment::SpheroidPolicyConfig,
    core::{Augment, DrawKey},
};

/// Seed of every draw.
const SEED: u64 = 1;
/// Number of different draws.
const DRAWS: u64 = 64;

/// Times `views` draws of `transform`, each applied to `crop`.
fn bench<T>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    transform: &T,
    crop: &Array3<f32>,
    views: u64,
) where
    T: Augment<Array3<f32>, View = Array3<f32>>,
    T::Error: Debug,
{
    let view = |item, view| {
        let key = DrawKey {
            seed: SEED,
            epoch: 0,
            item,
            view,
        };
        let draw = transform.draw(key);
        transform.apply(black_box(crop), &draw).unwrap()
    };
    for item in 0..DRAWS {
        let view = view(item, 0);
        assert_ne!(view, crop, "the transform changes nothing");
        assert!(view.iter().all(|value| value.is_finite()));
    }
    let mut items = (0..DRAWS).cycle();
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            let item = items.next().unwrap();
            for index in 0..views {
                black_box(view(item, index));
            }
        });
    });
}

fn augment(criterion: &mut Criterion) {
    let crop = support::crops(1).remove(0);
    let (planes, rows, columns) = crop.dim();
    let shape = format!("{planes}x{rows}x{columns}");
    let config = SpheroidPolicyConfig::default();

    let mut group = criterion.benchmark_group("augment");
    let id = BenchmarkId::new("SpheroidPolicy", format!("views=2,crop={shape}"));
    group.throughput(Throughput::Elements(2 * (rows * columns) as u64));
    bench(&mut group, id, &config.build().unwrap(), &crop, 2);

    let id = |name| BenchmarkId::new(name, format!("crop={shape}"));
    group.throughput(Throughput::Elements(crop.len() as u64));
    let affine = config.affine.build().unwrap();
    bench(&mut group, id("Affine"), &affine, &crop, 1);
    let defocus = config.defocus.build().unwrap();
    bench(&mut group, id("Defocus"), &defocus, &crop, 1);
    let noise = config.noise.build().unwrap();
    bench(&mut group, id("ReadNoise"), &noise, &crop, 1);
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    targets = augment
}
criterion_main!(benches);
