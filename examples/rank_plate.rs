//! The main job: from a plate of images to a ranked list of treatments.
//!
//! `cargo run --release --example rank_plate` simulates a plate and ranks it;
//! `cargo run --release --example rank_plate -- --data DIR` ranks a real one.
//!
//! The last line says where the report is.

mod support;

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::Parser;
use spheroid::{
    Monitor,
    core::Warning,
    job::{Finished, JobConfig, run},
    ranking::RankConfig,
    sim::{PlateSimConfig, read_truth},
};

/// Ranks the treatments of a plate by efficacy; without --data, of a simulated one.
#[derive(Parser)]
struct Arguments {
    /// Folder with images.csv and plate_map.csv (or plate_map.toml).
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    plate: support::PlateArguments,
    /// Day on which the drugs were given, after the images of that day.
    #[arg(long, default_value = "7")]
    drug_day: spheroid::core::Day,
    /// Folder for the results.
    #[arg(long, default_value = "out/rank_plate")]
    out: PathBuf,
    #[command(flatten)]
    training: support::EncoderArguments,
    /// Discrepancy: mahalanobis, standardized_l2, l1, l2, cosine, nearest_neighbours or one_class_svm.
    #[arg(long, default_value = "mahalanobis")]
    metric: String,
    /// Take effects of rows and columns out of the scores; only for treatments that lie scattered over the plate.
    #[arg(long)]
    remove_position_effects: bool,
}

fn main() -> ExitCode {
    support::run(|| rank_plate(&Arguments::parse()))
}

fn rank_plate(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let bars = support::Bars::default();
    let Arguments { training, out, .. } = arguments;
    let device = support::device(&training.device)?;
    let mut rank = RankConfig::default();
    rank.metric.clone_from(&arguments.metric);
    rank.drug_day = arguments.drug_day;
    rank.remove_position_effects = arguments.remove_position_effects;
    let config = JobConfig {
        pretrain: training.config()?,
        rank,
    };

    let data = match &arguments.data {
        Some(data) => data.clone(),
        None => simulate(arguments, &bars)?,
    };
    let plate = arguments.plate.open(&data)?;
    warn(plate.warnings());
    let truth = data.join("truth.csv");
    let truth = truth.exists().then(|| read_truth(&truth)).transpose()?;
    let finished = run(
        &plate,
        truth.as_ref(),
        &config,
        &device,
        out,
        training.resume,
        &bars,
    )?;
    if let Some(weights) = &finished.weights {
        println!("{}\n", weights.loaded);
    }
    print(&finished);
    warn(&finished.warnings[plate.warnings().len()..]);
    println!(
        "\nresults in {}; report: {}",
        out.display(),
        finished.report.display()
    );
    Ok(())
}

/// Writes a simulated plate into the output folder, or takes the one that lies there.
fn simulate(arguments: &Arguments, bars: &support::Bars) -> Result<PathBuf, Box<dyn Error>> {
    let folder = arguments.out.join("plate");
    let config = PlateSimConfig {
        seed: arguments.training.seed,
        ..PlateSimConfig::default()
    };
    support::simulate(config, &folder, bars)?;
    bars.finish();
    Ok(folder)
}

fn warn(warnings: &[Warning]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}

fn print(finished: &Finished) {
    println!(
        "{:>4}  {:<32} {:<14} {:>7}  {:>15}  wells",
        "rank", "treatment", "group", "score", "95 % interval"
    );
    for row in &finished.ranked.ranking.rows {
        let interval = row.ci_low.zip(row.ci_high);
        let interval = interval.map_or("–".into(), |(low, high)| format!("{low:.2} – {high:.2}"));
        let group = row.group.to_string();
        println!(
            "{:>4}  {:<32} {group:<14} {:>7.2}  {interval:>15}  {:>5}",
            row.rank, row.treatment, row.score, row.wells
        );
    }
    if let Some(agreement) = &finished.agreement {
        println!(
            "\nKendall's tau with the true efficacy: {:.3} (learned features alone {:.3}, \
             morphology baseline {:.3})",
            agreement.ranking, agreement.embedding_alone, agreement.morphology_baseline
        );
    }
}
