//! Ranks treatments by tables of features, learned here or elsewhere.
//!
//! `cargo run --release --example rank_embeddings -- --plate-map plate_map.csv --out ranking.csv
//! --weights 1,2 embeddings.csv morphology.csv`
//!
//! With these weights the ranking is that of the main job.
//!
//! The last line says where the ranking is.

mod support;

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::Parser;
use spheroid::{
    core::{Embeddings, PlateFormat, PlateMap},
    ranking::{FeatureSet, RankConfig, rank},
};

/// Ranks treatments by features of untreated and treated wells over days.
#[derive(Parser)]
struct Arguments {
    /// Tables with plate, well and day in `Metadata_` columns; several are scored apart and joined.
    #[arg(required = true)]
    tables: Vec<PathBuf>,
    /// How much each table counts beside the others; 1 unless given.
    #[arg(long, value_delimiter = ',')]
    weights: Vec<f64>,
    /// plate_map.csv, or wellmap's TOML.
    #[arg(long)]
    plate_map: PathBuf,
    /// Wells of the plate: 6, 12, 24, 48, 96, 384 or 1536.
    #[arg(long, default_value_t = 96)]
    wells: usize,
    /// Day on which the drugs were given, after the images of that day.
    #[arg(long, default_value = "7")]
    drug_day: spheroid::core::Day,
    /// Discrepancy: mahalanobis, standardized_l2, l1, l2, cosine, nearest_neighbours or one_class_svm.
    #[arg(long, default_value = "mahalanobis")]
    metric: String,
    /// The ranking to write.
    #[arg(long)]
    out: PathBuf,
}

fn main() -> ExitCode {
    support::run(|| rank_embeddings(&Arguments::parse()))
}

fn rank_embeddings(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let format = PlateFormat::try_from(arguments.wells)?;
    let map = PlateMap::read(&arguments.plate_map, format)?;
    let mut config = RankConfig::default();
    config.metric.clone_from(&arguments.metric);
    config.drug_day = arguments.drug_day;
    let names: Vec<String> = arguments
        .tables
        .iter()
        .map(|table| table.display().to_string())
        .collect();
    let tables = arguments
        .tables
        .iter()
        .map(|table| Embeddings::read_csv(table))
        .collect::<Result<Vec<_>, _>>()?;
    let weights = match arguments.weights.len() {
        0 => vec![1.0; tables.len()],
        n if n == tables.len() => arguments.weights.clone(),
        n => return Err(format!("{n} weights for {} tables", tables.len()).into()),
    };
    let sets: Vec<FeatureSet<'_>> = names
        .iter()
        .zip(&tables)
        .zip(weights)
        .map(|((name, table), weight)| FeatureSet {
            weight,
            ..FeatureSet::new(name, table)
        })
        .collect();
    let ranked = rank(&sets, &map, &config)?;
    for warning in &ranked.warnings {
        eprintln!("warning: {warning}");
    }
    for (predictor, skill) in &ranked.skills {
        println!("skill of {predictor}: {skill:.3}");
    }
    ranked.ranking.write(&arguments.out)?;
    println!(
        "{} treatments in {}",
        ranked.ranking.rows.len(),
        arguments.out.display()
    );
    Ok(())
}
