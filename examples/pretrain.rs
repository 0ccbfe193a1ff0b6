//! Trains an encoder on a plate, without labels, and writes it into a model folder.
//!
//! `cargo run --release --example pretrain -- --data DIR --out model`
//!
//! The last line says where the model is; the example `embed` uses it.

mod support;

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::Parser;
use spheroid::{
    Plate,
    core::PlateFormat,
    crops::Crops,
    pretrain::{ENCODER, EPOCHS, METHOD, Model, PretrainConfig},
};

/// Trains an encoder on the images of a plate.
#[derive(Parser)]
struct Arguments {
    /// Folder with images.csv and plate_map.csv (or plate_map.toml).
    #[arg(long)]
    data: PathBuf,
    /// File names that stand in for images.csv, such as {plate}_{well}_d{day}.tif.
    #[arg(long)]
    pattern: Option<String>,
    /// Wells of the plate: 6, 12, 24, 48, 96, 384 or 1536.
    #[arg(long, default_value_t = 96)]
    wells: usize,
    /// Folder for the model; crops of the images are kept in it.
    #[arg(long)]
    out: PathBuf,
    /// Fixes every random choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Self-supervised method: simclr or vicreg.
    #[arg(long, default_value = METHOD)]
    method: String,
    /// Network: resnet10-w8, resnet10-w16, resnet18-w16 or resnet18.
    #[arg(long, default_value = ENCODER)]
    encoder: String,
    /// Passes over the images.
    #[arg(long, default_value_t = EPOCHS)]
    epochs: usize,
    /// Backend: flex, ndarray, cpu, wgpu or cuda, as far as compiled in.
    #[arg(long, default_value = "flex")]
    device: String,
    /// Go on after the last finished epoch of an interrupted run.
    #[arg(long)]
    resume: bool,
}

fn main() -> ExitCode {
    support::run(|| pretrain(&Arguments::parse()))
}

fn pretrain(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let Arguments {
        data,
        out,
        encoder,
        method,
        epochs,
        seed,
        resume,
        ..
    } = arguments;
    let bars = support::Bars::default();
    let device = support::device(&arguments.device)?;
    let config = PretrainConfig::by_name(encoder, method, *epochs, *seed)?;
    let format = PlateFormat::try_from(arguments.wells)?;
    let plate = Plate::open(data, arguments.pattern.as_deref(), format)?;
    let crops = Crops::prepare(&plate, &out.join("crops"), &config.prepare, &bars)?;
    for warning in plate.warnings().iter().chain(&crops.warnings()) {
        eprintln!("warning: {warning}");
    }
    let model = Model::train(&crops, config, &device, out, *resume, &bars)?;
    model.save(out)?;
    if let Some(last) = model.epochs.last() {
        println!("loss {:.4} after {} epochs", last.loss, last.epoch);
    }
    println!("model in {}", out.display());
    Ok(())
}
