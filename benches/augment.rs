//! Augmentation of one crop: the two views that training takes, and the parts of a view.
//!
//! `cargo bench --bench augment` (about half a minute; `-- --quick` less exactly)
//!
//! Every iteration draws anew, since the width of a blur decides what it costs; the draws are the
//! same in every run. A view is made of one plane of the crop, each part here works on all three.

#![expect(clippy::unwrap_used, reason = "an error must stop the bench")]

mod support;

use std::{hint::black_box, time::Duration};

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

/// Times `views` calls of `view` with a key each; `view` makes one from `crop`.
fn bench(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    crop: &Array3<f32>,
    views: u64,
    view: impl Fn(DrawKey, &Array3<f32>) -> Array3<f32>,
) {
    let key = |item, view| DrawKey {
        seed: SEED,
        epoch: 0,
        item,
        view,
    };
    let mut checked = (0..DRAWS).map(|item| view(key(item, 0), crop));
    assert!(checked.all(|view| view.dim().1 == crop.dim().1 && view.iter().all(|v| v.is_finite())));
    assert_ne!(view(key(0, 0), crop), view(key(1, 0), crop));
    let mut items = (0..DRAWS).cycle();
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            let item = items.next().unwrap();
            for index in 0..views {
                black_box(view(key(item, index), black_box(crop)));
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
    let policy = config.build().unwrap();
    bench(&mut group, id, &crop, 2, |key, crop| {
        policy.apply(crop, &policy.draw(key)).unwrap()
    });

    let id = |name| BenchmarkId::new(name, format!("crop={shape}"));
    group.throughput(Throughput::Elements(crop.len() as u64));
    let affine = config.affine.build().unwrap();
    bench(&mut group, id("Affine"), &crop, 1, |key, crop| {
        affine.apply(crop, &affine.draw(key)).unwrap()
    });
    let defocus = config.defocus.build().unwrap();
    bench(&mut group, id("Defocus"), &crop, 1, |key, crop| {
        defocus.apply(crop, &defocus.draw(key)).unwrap()
    });
    let noise = config.noise.build().unwrap();
    bench(&mut group, id("ReadNoise"), &crop, 1, |key, crop| {
        noise.apply(crop, &noise.draw(key)).unwrap()
    });
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
