//! Reading and writing TIFF: three planes of 2456 × 2054 pixels with 16 bits, under every compression, and
//! reading them from the cache, whatever the compression was.
//!
//! `cargo bench --bench tiff` writes the files itself and reads them back; `benches/peers/tiff.py`
//! has tifffile write them and compares. Files lie in the folder for temporary files and are read at
//! once, so that decoding is timed and not the disk.

#![expect(clippy::unwrap_used, reason = "an error must stop the bench")]

use std::{env, hint::black_box, path::PathBuf, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use spheroid::{
    core::StackSource,
    imaging::{Compression, Limits, Region, StackCache, StackReader, TiffWriter, read_stack},
    sim::PlateSimConfig,
};

/// A folder of files to read instead of own ones: `none.tif`, `lzw.tif`, `deflate.tif`, `zstd.tif`,
/// and the same with `_tiled`.
const FOLDER: &str = "TIFF_BENCH_FOLDER";

const CODECS: [(&str, Compression); 4] = [
    ("none", Compression::None),
    ("lzw", Compression::Lzw),
    ("deflate", Compression::Deflate),
    ("zstd", Compression::Zstd),
];

fn tiff(criterion: &mut Criterion) {
    let own = tempfile::tempdir().unwrap();
    let given = env::var_os(FOLDER).map(PathBuf::from);
    let folder = given.clone().unwrap_or_else(|| own.path().to_owned());
    let limits = Limits::default();
    let file = |name: &str| folder.join(format!("{name}.tif"));
    if given.is_none() {
        let (rows, columns, planes) = (2054, 2456, 3);
        let config = PlateSimConfig {
            rows,
            columns,
            planes,
            ..PlateSimConfig::default()
        };
        let stack = config.build().unwrap().load(0).unwrap();
        for (name, compression) in CODECS {
            let writer = TiffWriter {
                compression,
                description: None,
            };
            writer.write(&file(name), &stack).unwrap();
        }
    }
    let stack = read_stack(&[file("none")], &limits).unwrap();
    let (planes, rows, columns) = stack.dim();
    let mut group = criterion.benchmark_group("tiff");
    group.throughput(Throughput::Bytes((2 * planes * rows * columns) as u64));
    for (name, compression) in CODECS {
        let files = [file(name)];
        assert_eq!(read_stack(&files, &limits).unwrap(), stack);
        group.bench_function(format!("read/{name}"), |bencher| {
            bencher.iter(|| black_box(read_stack(black_box(&files), &limits).unwrap()));
        });
        let copy = own.path().join("copy.tif");
        let writer = TiffWriter {
            compression,
            description: None,
        };
        group.bench_function(format!("write/{name}"), |bencher| {
            // A new file each time: to replace one, some file systems wait for the disk.
            bencher.iter_batched(
                || drop(std::fs::remove_file(&copy)),
                |()| writer.write(&copy, black_box(&stack)).unwrap(),
                BatchSize::PerIteration,
            );
        });
    }
    let cache = StackCache::open(own.path().join("cache")).unwrap();
    let files = [file("lzw")];
    assert_eq!(cache.read(&files, &limits).unwrap().to_stack(), stack);
    group.bench_function("read/cached", |bencher| {
        bencher.iter(|| {
            let cached = cache.read(black_box(&files), &limits).unwrap();
            black_box(cached.to_stack())
        });
    });
    assert_eq!(cache.statistics().misses, 1);
    let region = Region {
        planes: 1..2,
        rows: 700..1212,
        columns: 900..1412,
        step: 1,
    };
    group.throughput(Throughput::Bytes(2 * 512 * 512));
    for (name, _) in CODECS {
        for name in [name.to_owned(), format!("{name}_tiled")] {
            let files = [file(&name)];
            if !files[0].exists() {
                continue;
            }
            group.bench_function(format!("region/{name}"), |bencher| {
                bencher.iter(|| {
                    let reader = StackReader::open(black_box(&files), &limits).unwrap();
                    black_box(reader.read_region(&region).unwrap())
                });
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = tiff
}
criterion_main!(benches);
