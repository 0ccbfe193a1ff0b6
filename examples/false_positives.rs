//! How many treatments are called different from untreated wells on simulated plates where no drug does anything.
//!
//! `cargo run --release --example false_positives -- --plates 200`
//!
//! Every plate goes through the main job: an encoder is trained on it, and its features are joined with morphology. A
//! treatment is called by the p-value of the ranking. At a level of 5 % the share should lie near 5 %, below it where few
//! wells allow few p-values.

mod support;

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::Parser;
use spheroid::{
    core::Group,
    embed::{Planes, embed},
    job::rank_features,
    pretrain::{ENCODER, EPOCHS, METHOD, PretrainConfig},
    ranking::RankConfig,
    sim::PlateSimConfig,
};
use support::simulated::SimulatedPlate;

const LEVEL: f64 = 0.05;

/// Counts false positives on plates without any effect.
#[derive(Parser)]
struct Arguments {
    /// Number of plates, of seeds from 1 on.
    #[arg(long, default_value_t = 200)]
    plates: u64,
    /// Rows and columns of an image.
    #[arg(long, default_value_t = 128)]
    side: usize,
    /// Where one plate at a time is kept.
    #[arg(long, default_value = "out/false_positives")]
    out: PathBuf,
}

fn main() -> ExitCode {
    support::run(|| count(&Arguments::parse()))
}

/// Calls among tries.
#[derive(Default)]
struct Calls {
    called: usize,
    tried: usize,
}

impl Calls {
    fn add(&mut self, called: bool) {
        self.called += usize::from(called);
        self.tried += 1;
    }

    fn print(&self, what: &str) {
        let Self { called, tried } = self;
        let share = *called as f64 / (*tried).max(1) as f64;
        let error = (share * (1.0 - share) / (*tried).max(1) as f64).sqrt();
        println!(
            "{what:<44} {called:>5} of {tried:>5}: {:.1} % ± {:.1}",
            100.0 * share,
            100.0 * error
        );
    }
}

fn count(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let device = support::device("flex")?;
    let bars = support::Bars::default();
    let [mut treatments, mut discoveries, mut wells] = [(); 3].map(|()| Calls::default());
    spheroid::Monitor::start(&bars, "plates without effect", arguments.plates as usize);
    for seed in 1..=arguments.plates {
        let config = PlateSimConfig {
            seed,
            rows: arguments.side,
            columns: arguments.side,
            effect_strength: 0.0,
            ..PlateSimConfig::default()
        };
        let folder = arguments.out.join(seed.to_string());
        let plate = SimulatedPlate::of(config, folder.clone())?;
        let config = PretrainConfig::by_name(ENCODER, METHOD, EPOCHS, seed)?;
        let crops = plate.crops(&config.prepare)?;
        let model = plate.train(&crops, config, &device)?;
        let learned = embed(&crops, &model.freeze(&device), Planes::Mean, &())?;
        let config = RankConfig::default();
        let ranked = rank_features(&learned, &plate.morphology, plate.plate.map(), &config)?;

        for row in &ranked.ranking.rows {
            if let Some(p) = row.p_value {
                treatments.add(p <= LEVEL);
            }
        }
        for (well, p) in ranked.wells.iter().zip(&ranked.p_values) {
            if well.treatment.group != Group::Untreated {
                wells.add(*p <= 2.0 * LEVEL);
            }
        }
        let mut q_values = ranked.ranking.rows.iter().filter_map(|row| row.q_value);
        let any = q_values.any(|q| q <= LEVEL);
        discoveries.add(any);
        std::fs::remove_dir_all(&folder)?;
        spheroid::Monitor::step(&bars, None);
    }
    spheroid::Monitor::finish(&bars);
    treatments.print("treatments with p of at most 5 %");
    discoveries.print("plates with a discovery at a rate of 5 %");
    wells.print("wells with a conformal p of at most 10 %");
    Ok(())
}
