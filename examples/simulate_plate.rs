//! Writes a simulated plate: TIFF stacks, images.csv, plate_map.csv and truth.csv.
//!
//! `cargo run --release --example simulate_plate -- --out DIR --seed 3`
//!
//! The last line says where the plate is.

mod support;

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::Parser;
use spheroid::{
    Monitor,
    sim::{PlateSimConfig, Screen},
};

/// Writes a simulated plate with known efficacy.
#[derive(Parser)]
struct Arguments {
    /// Folder for the plate.
    #[arg(long)]
    out: PathBuf,
    /// Fixes every random choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How much wells differ and how the microscope shows them.
    #[arg(long, value_enum, default_value = "plain")]
    settings: support::Settings,
    /// Rows of an image.
    #[arg(long, default_value_t = 512)]
    rows: usize,
    /// Columns of an image.
    #[arg(long, default_value_t = 512)]
    columns: usize,
    /// Focal planes of a stack.
    #[arg(long, default_value_t = 3)]
    planes: usize,
    /// Imaged days.
    #[arg(long, value_delimiter = ',', default_value = "7,8,9,10")]
    days: Vec<spheroid::core::Day>,
    /// Untreated wells.
    #[arg(long, default_value_t = 14)]
    untreated: usize,
    /// Wells with the reference drug.
    #[arg(long, default_value_t = 6)]
    single_dose: usize,
    /// Wells with other drugs, doses and combinations.
    #[arg(long, default_value_t = 40)]
    drug_screened: usize,
}

fn main() -> ExitCode {
    support::run(|| simulate_plate(Arguments::parse()))
}

fn simulate_plate(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let config = PlateSimConfig {
        seed: arguments.seed,
        rows: arguments.rows,
        columns: arguments.columns,
        planes: arguments.planes,
        days: arguments.days,
        untreated_wells: arguments.untreated,
        screen: Screen::Drawn {
            single_dose_wells: arguments.single_dose,
            drug_screened_wells: arguments.drug_screened,
            replicates: 3,
        },
        ..arguments.settings.of(arguments.seed)
    };
    let bars = support::Bars::default();
    support::simulate(config, &arguments.out, &bars)?;
    bars.finish();
    println!("plate in {}", arguments.out.display());
    Ok(())
}
