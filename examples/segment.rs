//! Finds the spheroid in each file: prints one JSON line with flags and measures, and draws the outline.
//!
//! `cargo run --release --example segment -- --out overlays FILE…`
//!
//! Measured is the sharpest plane, its illumination divided out; in µm where the file has a pixel size.
//! A file that cannot be read is reported on standard error, the others are still segmented, and the
//! exit code is 2.

mod support;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use ndarray::{Array2, ArrayView2};
use serde_json::{Value, json};
use spheroid::{
    core::atomic,
    imaging::{
        Limits, Morphometry, Scale, Segmentation, flatten, read_stack, segment, sharpest_plane,
        to_png,
    },
};

/// Finds spheroids.
#[derive(Parser)]
struct Arguments {
    /// Folder for the pictures with the outlines, one PNG a file.
    #[arg(long)]
    out: PathBuf,
    /// Files, each a focal stack.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

fn main() -> ExitCode {
    support::run(|| {
        let Arguments { out, files } = Arguments::parse();
        let mut failed = 0;
        for file in &files {
            match describe(file, &out) {
                Ok(line) => println!("{line}"),
                Err(error) => {
                    eprintln!("error: {}: {error}", file.display());
                    failed += 1;
                }
            }
        }
        if failed == 0 {
            return Ok(());
        }
        Err(format!("{failed} of {} files could not be segmented", files.len()).into())
    })
}

fn describe(file: &Path, out: &Path) -> Result<Value, Box<dyn Error>> {
    let stack = read_stack(&[file.to_owned()], &Limits::default())?;
    let plane = sharpest_plane(&stack)?;
    let flat = flatten(stack.plane_f32(plane, Scale::Positive)?.view())?;
    let found = segment(flat.view())?;
    let measures = if found.mask.iter().any(|&inside| inside) {
        let measured = Morphometry::measure(&found, flat.view())?;
        match stack.pixel_size() {
            Some(size) => json!(measured.in_micrometres(size)?),
            None => json!(measured),
        }
    } else {
        Value::Null
    };
    let name = file.file_stem().ok_or("the file has no name")?;
    let picture = out.join(name).with_extension("png");
    let overlay = overlay(flat.view(), &found);
    let png = to_png(overlay.view(), (0.0, 1.3))?;
    atomic::write_bytes(&picture, &png)?;
    let flags = &found.flags;
    Ok(
        json!({"file": file, "plane": plane, "flags": flags, "measures": measures, "overlay": picture}),
    )
}

/// The plane, enlarged if it is small, with a white line on the outermost pixels of the mask.
fn overlay(flat: ArrayView2<'_, f32>, found: &Segmentation) -> Array2<f32> {
    const LEAST_SIDE: usize = 512;
    const WHITE: f32 = f32::INFINITY;
    let zoom = LEAST_SIDE.div_ceil(flat.nrows().min(flat.ncols()));
    let inside = |row: usize, column: usize| {
        let at = |position: usize| (position as f64 + 0.5) / (found.scale * zoom as f64);
        found.mask.get((at(row) as usize, at(column) as usize)) == Some(&true)
    };
    Array2::from_shape_fn(
        (zoom * flat.nrows(), zoom * flat.ncols()),
        |(row, column)| {
            let next = [
                (row + 1, column),
                (row, column + 1),
                (row + 2, column),
                (row, column + 2),
            ];
            let edge = next
                .iter()
                .any(|&(r, c)| inside(r, c) != inside(row, column));
            if edge {
                WHITE
            } else {
                flat[(row / zoom, column / zoom)]
            }
        },
    )
}
