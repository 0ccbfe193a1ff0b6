//! Checks that files are decoded to the pixels that another program read from them.
//!
//! `cargo run --release --example check_digests -- FOLDER INDEX.csv`
//!
//! The table has one row a file below the folder: `file`, `shape` (such as `3x43x73`), `photometric`,
//! `planar` (1 or 2) and `page0_sha256_le`, the SHA-256 of the little-endian pixels of the first page,
//! all channels included, as tifffile reads them; an empty digest stands for a file that tifffile does
//! not read. Prints what was decoded alike and what was refused, and why; a file that is decoded
//! otherwise is an error, and the exit code 2.

mod support;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use spheroid::imaging::{FocalStack, ImagingError, Limits, StackReader};

/// Checks decoded pixels against digests.
#[derive(Parser)]
struct Arguments {
    /// Folder of the files.
    folder: PathBuf,
    /// Table of their digests.
    index: PathBuf,
}

#[derive(Deserialize)]
struct Row {
    file: String,
    shape: String,
    photometric: String,
    planar: String,
    page0_sha256_le: String,
}

fn main() -> ExitCode {
    support::run(|| {
        let Arguments { folder, index } = Arguments::parse();
        let (mut alike, mut refused, mut different) = (0, 0, Vec::new());
        for row in csv::Reader::from_path(&index)?.deserialize() {
            let row: Row = row?;
            match read(find(&folder, &row.file)?) {
                Err(error) => {
                    println!("refused    {error}");
                    refused += 1;
                }
                Ok(stack) if digest(&row, &stack)? == row.page0_sha256_le => {
                    println!("alike      {}, {}", row.file, stack.sample_type());
                    alike += 1;
                }
                Ok(_) => {
                    println!("DIFFERENT  {}", row.file);
                    different.push(row.file);
                }
            }
        }
        println!(
            "{alike} alike, {refused} refused, {} different",
            different.len()
        );
        if different.is_empty() && alike > 0 {
            Ok(())
        } else {
            Err(format!("decoded otherwise: {}", different.join(", ")).into())
        }
    })
}

/// The index may have been made in a folder above.
fn find(folder: &Path, file: &str) -> Result<PathBuf, String> {
    let mut rest = Path::new(file);
    loop {
        let path = folder.join(rest);
        if path.exists() {
            return Ok(path);
        }
        let mut parts = rest.components();
        parts.next();
        rest = parts.as_path();
        if rest.as_os_str().is_empty() {
            return Err(format!("{file} is not in {}", folder.display()));
        }
    }
}

fn read(path: PathBuf) -> Result<FocalStack, ImagingError> {
    StackReader::open(&[path], &Limits::default())?.read()
}

/// Digest of the first page with the channels that were found equal.
fn digest(row: &Row, stack: &FocalStack) -> Result<String, Box<dyn Error>> {
    let sample = stack.sample_type().bits() as usize / 8;
    let pixels = stack.plane_bytes(0)?;
    let mut digest = Sha256::new();
    match (row.photometric.as_str(), row.planar.as_str()) {
        ("RGB", "1") => pixels
            .chunks(sample)
            .for_each(|pixel| digest.update(pixel.repeat(3))),
        ("RGB", _) => digest.update(pixels.repeat(3)),
        _ => {
            // Samples of a pixel became planes.
            let planes = row.shape.split('x').count() - 2;
            let planes = if planes > 0 { stack.planes() } else { 1 };
            (0..planes).try_for_each(|plane| {
                digest.update(stack.plane_bytes(plane)?);
                Ok::<(), ImagingError>(())
            })?;
        }
    }
    Ok(digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}
