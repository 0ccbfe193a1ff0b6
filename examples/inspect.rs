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
use sha2::{Digest, Sha256};
use spheroid::imaging::{
    FocalStack, ImagingError, Limits, SampleType, Samples, ToneStatistics, effective_depth,
    read_stack,
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
    container_bits: u32,
    effective_bits: u32,
    min: u16,
    max: u16,
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
    let stack = read_stack(std::slice::from_ref(file), &Limits::default())?;
    let depth = effective_depth(&stack);
    let tones = ToneStatistics::of_stack(&stack);
    let (pages, height, width) = stack.dim();
    Ok(Line {
        file,
        pages,
        width,
        height,
        sample_type: stack.sample_type(),
        container_bits: depth.container_bits,
        effective_bits: depth.effective_bits,
        min: tones.min,
        max: tones.max,
        distinct_values: tones.distinct,
        sha256: page_digest(&stack),
    })
}

fn page_digest(stack: &FocalStack) -> String {
    let pixels = stack.rows() * stack.columns();
    let bytes: Vec<u8> = match stack.samples() {
        Samples::U8(samples) => samples.iter().take(pixels).copied().collect(),
        Samples::U16(samples) => samples
            .iter()
            .take(pixels)
            .flat_map(|v| v.to_le_bytes())
            .collect(),
        other => unreachable!("no reader gives {other:?}"),
    };
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
