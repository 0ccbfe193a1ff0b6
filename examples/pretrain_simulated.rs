//! Trains an encoder on simulated plates of any microscope and cell line, before it sees a real one.
//!
//! `cargo run --release --example pretrain_simulated -- --method regression --out model`
//! `cargo run --release --example rank_plate -- --data DIR --weights model/encoder.safetensors`
//!
//! With `--method regression` it learns what is true of every image, with `simclr`, `byol` and their kin from the images
//! alone. The last line says where the model is.

mod support;

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::Parser;
use spheroid::{
    pretrain::Model,
    simulated::{SimulatedImages, SimulatedImagesConfig},
    views::ImageSet,
};

/// Trains an encoder on simulated plates.
#[derive(Parser)]
struct Arguments {
    /// Plates, each with settings of its own.
    #[arg(long, default_value_t = 100)]
    plates: usize,
    /// Stacks that are drawn of a plate.
    #[arg(long, default_value_t = 40)]
    stacks: usize,
    /// Seed of the first plate; the others follow.
    #[arg(long, default_value_t = 1000)]
    first_seed: u64,
    /// Folder for the model.
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
    let mut simulated = SimulatedImagesConfig::default();
    simulated.plates = arguments.plates;
    simulated.stacks = arguments.stacks;
    simulated.first_seed = arguments.first_seed;
    simulated.prepare = config.prepare;
    let images = SimulatedImages::new(&simulated, &bars)?;
    println!(
        "{} images of {} plates",
        images.images().len(),
        arguments.plates
    );
    let model = Model::train_on_images(&images, config, &device, out, training.resume, &bars)?;
    model.save(out)?;
    if let Some(last) = model.epochs.last() {
        println!("loss {:.4} after {} epochs", last.loss, last.epoch);
    }
    println!("model in {}", out.display());
    Ok(())
}
