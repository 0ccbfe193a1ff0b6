//! Prints one JSON line a TIFF file: what it holds and how deep its tones really are.
//!
//! `cargo run --release --example inspect -- FILE…`
//!
//! `sha256` is of the pixels of page 0, little-endian. A file that cannot be read is reported on
//! standard error, the others are still printed, and the exit code is 2.

mod support;

use std::{
    error::Error,
    io::{ErrorKind, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use spheroid::imaging::{
    Compression, ImagingError, Limits, PixelSize, SampleType, StackReader, ToneStatistics,
    Widening, effective_depth,
};

/// Describes TIFF files.
#[derive(Parser)]
struct Arguments {
    /// Files, each with any number of pages.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a PathBuf,
    pages: usize,
    width: usize,
    height: usize,
    sample_type: SampleType,
    compression: Compression,
    /// Width and height in µm, where the file says it.
    pixel_size: Option<PixelSize>,
    container_bits: u32,
    effective_bits: u32,
    widening: Widening,
    min: Value,
    max: Value,
    distinct_values: usize,
    sha256: String,
}

fn main() -> ExitCode {
    support::run(|| {
        let files = Arguments::parse().files;
        let failed = files.iter().filter(|file| !print(file)).count();
        if failed == 0 {
            return Ok(());
        }
        Err(format!("{failed} of {} files could not be inspected", files.len()).into())
    })
}

/// Prints the line of a file, or its error; whether it was the line.
fn print(file: &PathBuf) -> bool {
    let line =
        || -> Result<String, Box<dyn Error>> { Ok(serde_json::to_string(&describe(file)?)?) };
    let error = match line() {
        Ok(line) => match writeln!(std::io::stdout(), "{line}") {
            // A reader that has seen enough may close the pipe.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => error.into(),
            _ => return true,
        },
        Err(error) => error,
    };
    eprintln!("error: {error}");
    false
}

fn describe(file: &PathBuf) -> Result<Line<'_>, ImagingError> {
    let reader = StackReader::open(std::slice::from_ref(file), &Limits::default())?;
    let stack = reader.read()?;
    let depth = effective_depth(&stack);
    let tones = ToneStatistics::of_stack(&stack);
    let (pages, height, width) = stack.dim();
    let digest = Sha256::digest(stack.plane_bytes(0)?);
    Ok(Line {
        file,
        pages,
        width,
        height,
        sample_type: stack.sample_type(),
        compression: reader.info().compression,
        pixel_size: stack.pixel_size(),
        container_bits: depth.container_bits,
        effective_bits: depth.effective_bits,
        widening: depth.widening,
        min: number(tones.min),
        max: number(tones.max),
        distinct_values: tones.distinct,
        sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}

/// Counts without a decimal point, which `f64` would get.
fn number(value: f64) -> Value {
    const EXACT: f64 = (1_u64 << 53) as f64;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        (value as i64).into()
    } else {
        value.into()
    }
}
