//! Trains an encoder on a plate, without labels, and writes it into a model folder.
//!
//! `cargo run --release --example pretrain -- --data DIR --out model`
//! `cargo run --release --example pretrain -- --images DIR --minutes 10 --encoder resnet10-small-w32 \
//!   --policy small_grey --out model`
//!
//! The last line says where the model is; the example `embed` uses it.

mod support;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use spheroid::{
    PipelineError,
    crops::Crops,
    labelled::LabelledImages,
    pretrain::{Model, PretrainConfig},
    ssl::Device,
};

/// Trains an encoder on the images of a plate, or on any other images.
#[derive(Parser)]
struct Arguments {
    /// Folder of a plate: images.csv and plate_map.csv (or plate_map.toml).
    #[arg(long, required_unless_present = "images")]
    data: Option<PathBuf>,
    #[command(flatten)]
    plate: support::PlateArguments,
    /// Day on which the drugs were given, after the images of that day.
    #[arg(long, default_value = "7")]
    drug_day: spheroid::core::Day,
    /// Folder of IDX files or of a folder of TIFF and PNG images a class, instead of a plate.
    #[arg(long, conflicts_with = "data")]
    images: Option<PathBuf>,
    /// Images a class that are taken of --images.
    #[arg(long, default_value_t = 1000)]
    per_class: usize,
    /// Training time on this machine, which sets the number of epochs by the time of one.
    #[arg(long, conflicts_with_all = ["epochs", "resume"])]
    minutes: Option<f64>,
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
    let device = support::device(&training.device)?;
    let model = match (&arguments.images, &arguments.data) {
        (Some(images), _) => on_images(arguments, images, &device)?,
        (None, Some(data)) => on_plate(arguments, data, &device)?,
        (None, None) => return Err("give --data or --images".into()),
    };
    model.save(out)?;
    if let Some(weights) = &model.weights {
        println!("{}", weights.loaded);
    }
    if let Some(collapse) = model.collapse() {
        eprintln!("warning: {collapse}");
    }
    if let Some(last) = model.epochs.last() {
        println!("loss {:.4} after {} epochs", last.loss, last.epoch);
        if let Some(health) = last.health {
            println!(
                "spread {:.2}, effective rank {:.1}, agreement {}",
                health.spread,
                health.effective_rank,
                health
                    .agreement
                    .map_or("–".to_owned(), |share| format!("{share:.2}"))
            );
        }
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

fn on_plate(arguments: &Arguments, data: &Path, device: &Device) -> Result<Model, Box<dyn Error>> {
    let bars = support::Bars::default();
    let Arguments { training, out, .. } = arguments;
    let mut config = training.config()?;
    config.views.drug_day = arguments.drug_day;
    let plate = arguments.plate.open(data)?;
    let crops = Crops::prepare(&plate, &out.join("crops"), &config.prepare, &bars)?;
    for warning in plate.warnings().iter().chain(&crops.warnings()) {
        eprintln!("warning: {warning}");
    }
    let map = plate.map();
    let config = in_time(arguments, config, |config| {
        Model::train(&crops, map, config, device, &out.join("timing"), false, &())
    })?;
    Ok(Model::train(
        &crops,
        map,
        config,
        device,
        out,
        training.resume,
        &bars,
    )?)
}

fn on_images(
    arguments: &Arguments,
    folder: &Path,
    device: &Device,
) -> Result<Model, Box<dyn Error>> {
    let bars = support::Bars::default();
    let Arguments { training, out, .. } = arguments;
    let (images, _) = LabelledImages::open(folder)?;
    let images = images.first_of_class(arguments.per_class)?;
    println!("{} images", images.len());
    let config = in_time(arguments, training.config()?, |config| {
        Model::train_on_images(&images, config, device, &out.join("timing"), false, &())
    })?;
    Ok(Model::train_on_images(
        &images,
        config,
        device,
        out,
        training.resume,
        &bars,
    )?)
}

/// Sets the number of epochs to what fits into `--minutes`, when they are given.
fn in_time(
    arguments: &Arguments,
    mut config: PretrainConfig,
    train: impl Fn(PretrainConfig) -> Result<Model, PipelineError>,
) -> Result<PretrainConfig, Box<dyn Error>> {
    if let Some(minutes) = arguments.minutes {
        config.train.epochs = support::epochs_in(60.0 * minutes, &config, train)?;
        std::fs::remove_dir_all(arguments.out.join("timing"))?;
        println!("{} epochs in {minutes} minutes", config.train.epochs);
    }
    Ok(config)
}
