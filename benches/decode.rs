//! From a TIFF file to a mask: writing, reading and measuring focal stacks of 16-bit planes.
//!
//! `cargo bench --bench decode` (about half a minute; `-- read_stack` runs one of them, `-- --quick`
//! all of them less exactly)
//!
//! Files lie in the folder for temporary files and are read back at once, so that decoding is timed
//! and not the disk. `flatten` and `segment` work on the middle plane.

#![expect(clippy::unwrap_used, reason = "an error must stop the bench")]

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use spheroid::{
    core::StackSource,
    imaging::{
        FocalStack, Limits, Scale, Widening, effective_depth, flatten, read_stack, segment,
        write_stack,
    },
    sim::PlateSimConfig,
};

/// Rows and columns: the simulator's default, and a 5-megapixel camera.
const FRAMES: [(usize, usize); 2] = [(512, 512), (2054, 2456)];
const PLANES: usize = 3;

/// The first stack of a simulated plate.
fn simulate(rows: usize, columns: usize) -> FocalStack {
    let config = PlateSimConfig {
        rows,
        columns,
        planes: PLANES,
        ..PlateSimConfig::default()
    };
    config.build().unwrap().load(0).unwrap()
}

fn decode(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    for (rows, columns) in FRAMES {
        let stack = simulate(rows, columns);
        let frame = format!("{rows}x{columns}");
        let stack_id = |name| BenchmarkId::new(name, format!("{PLANES}x{frame}"));
        let plane_id = |name| BenchmarkId::new(name, &frame);
        let file = folder.path().join(format!("{frame}.tif"));
        let files = [file.clone()];
        let limits = Limits::default();

        write_stack(&file, &stack).unwrap();
        assert_eq!(read_stack(&files, &limits).unwrap(), stack);
        let depth = effective_depth(&stack);
        assert_eq!(
            (depth.effective_bits, depth.widening),
            (12, Widening::Replication)
        );
        let plane = stack.plane_f32(PLANES / 2, Scale::Container).unwrap();
        let flat = flatten(plane.view()).unwrap();
        let found = segment(flat.view()).unwrap();
        assert!(found.flags.is_empty(), "{:?}", found.flags);

        let mut group = criterion.benchmark_group("decode");
        group.throughput(Throughput::Bytes((2 * PLANES * rows * columns) as u64));
        group.bench_function(stack_id("write_stack"), |bencher| {
            bencher.iter(|| write_stack(&file, black_box(&stack)).unwrap());
        });
        group.bench_function(stack_id("read_stack"), |bencher| {
            bencher.iter(|| black_box(read_stack(black_box(&files), &limits).unwrap()));
        });
        group.bench_function(stack_id("effective_depth"), |bencher| {
            bencher.iter(|| black_box(effective_depth(black_box(&stack))));
        });
        group.throughput(Throughput::Elements((rows * columns) as u64));
        group.bench_function(plane_id("flatten"), |bencher| {
            bencher.iter(|| black_box(flatten(black_box(plane.view())).unwrap()));
        });
        group.bench_function(plane_id("segment"), |bencher| {
            bencher.iter(|| black_box(segment(black_box(flat.view())).unwrap()));
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = decode
}
criterion_main!(benches);
