//! Embeds every stack of a plate with a trained encoder.
//!
//! `cargo run --release --example embed -- --data DIR --model model --out embeddings.csv`
//!
//! The last line says where the table is; the example `rank_embeddings` uses it.

mod support;

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::Parser;
use spheroid::{
    crops::Crops,
    embed::{Planes, embed},
    prepare::PrepareConfig,
    pretrain::Model,
};

/// Embeds the images of a plate.
#[derive(Parser)]
struct Arguments {
    /// Folder with images.csv and plate_map.csv (or plate_map.toml).
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    plate: support::PlateArguments,
    /// Folder that the example `pretrain` wrote; without one, area, circularity and darkness are
    /// written instead of learned features.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Where crops of the images are kept; those of the model are taken where they fit.
    #[arg(long)]
    crops: Option<PathBuf>,
    /// The table to write.
    #[arg(long)]
    out: PathBuf,
    /// Backend: flex, ndarray, cpu, wgpu or cuda, as far as compiled in.
    #[arg(long, default_value = "flex")]
    device: String,
}

fn main() -> ExitCode {
    support::run(|| embed_plate(&Arguments::parse()))
}

fn embed_plate(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let bars = support::Bars::default();
    let device = support::device(&arguments.device)?;
    let model = arguments
        .model
        .as_ref()
        .map(|folder| Model::load(folder, &device))
        .transpose()?;
    let plate = arguments.plate.open(&arguments.data)?;
    let beside = arguments
        .model
        .as_ref()
        .unwrap_or(&arguments.data)
        .join("crops");
    let folder = arguments.crops.as_ref().unwrap_or(&beside);
    let prepare = model
        .as_ref()
        .map_or(PrepareConfig::default(), |model| model.config.prepare);
    let crops = Crops::prepare(&plate, folder, &prepare, &bars)?;
    for warning in plate.warnings().iter().chain(&crops.warnings()) {
        eprintln!("warning: {warning}");
    }
    let embeddings = match &model {
        Some(model) => embed(&crops, &model.freeze(&device), Planes::Mean, &bars)?,
        None => crops.morphology()?,
    };
    embeddings.write(&arguments.out, Some(plate.map()))?;
    let (stacks, features) = embeddings.values().dim();
    println!(
        "{stacks} stacks with {features} features in {}",
        arguments.out.display()
    );
    Ok(())
}
