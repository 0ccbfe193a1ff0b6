//! Any bytes as a TIFF file: read or refused, never a panic, never more memory than the limits.
//!
//! `cargo +nightly fuzz run read_tiff corpus/read_tiff ../tests/fixtures/tiff` (in the folder of the crate)

#![no_main]

use libfuzzer_sys::fuzz_target;
use spheroid_imaging::{Limits, Region, StackReader};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits {
        max_pixels_per_plane: 1 << 16,
        max_planes: 16,
        max_bytes: 1 << 20,
    };
    let Ok(reader) = StackReader::from_bytes("fuzz.tif", bytes.to_vec(), &limits) else {
        return;
    };
    let info = reader.info();
    assert!((info.rows * info.columns) as u64 <= limits.max_pixels_per_plane);
    let (planes, rows, columns) = (info.planes, info.rows, info.columns);
    if let Ok(stack) = reader.read() {
        assert_eq!(stack.dim(), (planes, rows, columns));
    }
    let region = Region {
        planes: planes / 2..planes,
        rows: rows / 3..rows,
        columns: columns / 2..columns,
        step: 2,
    };
    if let Ok(stack) = reader.read_region(&region) {
        assert_eq!(stack.dim(), region.dim());
    }
    let (channels, frames) = (info.channels, info.frames);
    if let Ok(reader) = reader.select(channels - 1, frames - 1) {
        let planes = reader.info().planes;
        if let Ok(stack) = reader.read() {
            assert_eq!(stack.dim(), (planes, rows, columns));
        }
    }
});
