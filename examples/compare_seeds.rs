//! Kendall's tau of the main job on simulated plates, beside the plain baselines.
//!
//! `cargo run --release --example compare_seeds -- --seeds 1-10`
//!
//! The last line holds the medians.

mod support;

use std::{error::Error, path::PathBuf, process::ExitCode, time::Instant};

use clap::Parser;
use spheroid::{
    Plate,
    core::{Embeddings, PlateFormat},
    crops::Crops,
    embed::embed,
    job::{kendall_tau, rank_features, treatment_scores},
    pretrain::{Model, PretrainConfig},
    ranking::{FeatureSet, RankConfig, morphology_baseline, rank},
    sim::PlateSimConfig,
};

/// Compares the main job with its baselines on simulated plates.
#[derive(Parser)]
struct Arguments {
    /// First and last seed, such as 1-10.
    #[arg(long, default_value = "1-10")]
    seeds: String,
    /// Passes over the images.
    #[arg(long, default_value_t = spheroid::pretrain::EPOCHS)]
    epochs: usize,
    /// Network.
    #[arg(long, default_value = spheroid::pretrain::ENCODER)]
    encoder: String,
    /// Self-supervised method.
    #[arg(long, default_value = spheroid::pretrain::METHOD)]
    method: String,
    /// Where plates and crops are kept.
    #[arg(long, default_value = "out/compare_seeds")]
    out: PathBuf,
}

fn main() -> ExitCode {
    support::run(|| compare(&Arguments::parse()))
}

const COLUMNS: [&str; 6] = [
    "default",
    "embedding",
    "untrained",
    "untrained embedding",
    "morphology",
    "morphology by hand",
];

fn compare(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let (first, last) = arguments
        .seeds
        .split_once('-')
        .unwrap_or((&arguments.seeds, &arguments.seeds));
    let (first, last): (u64, u64) = (first.parse()?, last.parse()?);
    println!("seed  {}  seconds", COLUMNS.join("  "));
    let mut taus = vec![Vec::new(); COLUMNS.len()];
    for seed in first..=last {
        let start = Instant::now();
        let row = one_seed(arguments, seed)?;
        for (column, tau) in taus.iter_mut().zip(row) {
            column.push(tau);
        }
        println!(
            "{seed:4}  {}  {:.0}",
            cells(&row),
            start.elapsed().as_secs_f64()
        );
    }
    let medians = taus
        .iter()
        .map(|column| spheroid::rank::median(column))
        .collect::<Result<Vec<_>, _>>()?;
    println!("median  {}", cells(&medians));
    Ok(())
}

fn cells(taus: &[f64]) -> String {
    let cells = taus
        .iter()
        .zip(COLUMNS)
        .map(|(tau, name)| format!("{tau:>0$.3}", name.len()));
    cells.collect::<Vec<_>>().join("  ")
}

fn one_seed(arguments: &Arguments, seed: u64) -> Result<[f64; 6], Box<dyn Error>> {
    let folder = arguments.out.join(format!("seed-{seed}"));
    let sim = PlateSimConfig {
        seed,
        ..PlateSimConfig::default()
    }
    .build()?;
    sim.write(&folder, |_, _| ())?;
    let plate = Plate::open(&folder, None, PlateFormat::W96)?;
    let device = support::device("flex")?;
    let config =
        |epochs| PretrainConfig::by_name(&arguments.encoder, &arguments.method, epochs, seed);
    let prepare = config(0)?.prepare;
    let crops = Crops::prepare(&plate, &folder, &prepare, &())?;
    let morphology = crops.morphology()?;
    let features = |epochs| -> Result<Embeddings, Box<dyn Error>> {
        let model = Model::train(
            &crops,
            config(epochs)?,
            &device,
            &folder.join("model"),
            false,
            &(),
        )?;
        Ok(embed(&crops, &model.freeze(&device), &())?)
    };
    let (trained, untrained) = (features(arguments.epochs)?, features(0)?);
    let (map, config) = (plate.map(), RankConfig::default());
    let truth = sim.truth().iter();
    let truth = truth
        .map(|truth| (truth.treatment.clone(), truth.kill))
        .collect();
    let joined = |learned| -> Result<f64, Box<dyn Error>> {
        let ranked = rank_features(learned, &morphology, map, &config)?;
        Ok(kendall_tau(&treatment_scores(&ranked), &truth)?)
    };
    let alone = |features| -> Result<f64, Box<dyn Error>> {
        let ranked = rank(&[FeatureSet::new("features", features)], map, &config)?;
        Ok(kendall_tau(&treatment_scores(&ranked), &truth)?)
    };
    let baseline = morphology_baseline(&morphology, map, &config)?;
    Ok([
        joined(&trained)?,
        alone(&trained)?,
        joined(&untrained)?,
        alone(&untrained)?,
        alone(&morphology)?,
        kendall_tau(&baseline, &truth)?,
    ])
}
