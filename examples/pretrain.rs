//! Trains an encoder on a plate, without labels, and writes it into a model folder.
//!
//! `cargo run --release --example pretrain -- --data DIR --out model`
//!
//! The last line says where the model is; the example `embed` uses it.

mod support;

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::Parser;
use spheroid::{crops::Crops, pretrain::Model};

/// Trains an encoder on the images of a plate.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    plate: support::PlateArguments,
    /// Folder for the model; crops of the images are kept in it.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    training: support::EncoderArguments,
}

fn main() -> ExitCode {
    support::run(|| pretrain(&Arguments::parse()))
}

fn pretrain(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let Arguments { training, out, .. } = arguments;
    let bars = support::Bars::default();
    let device = support::device(&training.device)?;
    let config = training.config()?;
    let plate = arguments.plate.open()?;
    let crops = Crops::prepare(&plate, &out.join("crops"), &config.prepare, &bars)?;
    for warning in plate.warnings().iter().chain(&crops.warnings()) {
        eprintln!("warning: {warning}");
    }
    let map = plate.map();
    let model = Model::train(&crops, map, config, &device, out, training.resume, &bars)?;
    model.save(out)?;
    if let Some(collapse) = model.collapse() {
        eprintln!("warning: {collapse}");
    }
    if let Some(last) = model.epochs.last() {
        println!("loss {:.4} after {} epochs", last.loss, last.epoch);
    }
    if let Some(waiting) = model.waiting {
        println!(
            "steps waited for views in {:.1} % of the time",
            100.0 * waiting
        );
    }
    println!("model in {}", out.display());
    Ok(())
}
