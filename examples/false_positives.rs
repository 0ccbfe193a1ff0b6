//! How many treatments are called different from untreated wells on simulated plates where no drug does anything.
//!
//! `cargo run --release --example false_positives -- --plates 200`
//!
//! Every plate goes through the main job: an encoder is trained on it, and its features are joined with morphology. A
//! treatment is called by the Mann–Whitney test of its wells' scores against those of the untreated ones. At a level of
//! 5 % the share should lie near 5 %, below it where few wells allow few p-values.

mod support;

use std::{collections::BTreeMap, error::Error, path::PathBuf, process::ExitCode};

use clap::Parser;
use spheroid::{
    core::Group,
    embed::{Planes, embed},
    job::rank_features,
    pretrain::{ENCODER, EPOCHS, METHOD, PretrainConfig},
    rank::{benjamini_hochberg, conformal_p_value, mann_whitney},
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

        let mut untreated = Vec::new();
        let mut treated: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for well in &ranked.wells {
            match well.treatment.group {
                Group::Untreated => untreated.push(well.score),
                _ => {
                    let name = well.treatment.name.as_str();
                    treated.entry(name).or_default().push(well.score);
                }
            }
        }
        let mut p_values = Vec::new();
        for scores in treated.values() {
            let p = mann_whitney(scores, &untreated)?;
            treatments.add(p <= LEVEL);
            p_values.push(p);
            for score in scores {
                wells.add(conformal_p_value(*score, &untreated)? <= 2.0 * LEVEL);
            }
        }
        let any = benjamini_hochberg(&p_values)?.iter().any(|q| *q <= LEVEL);
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
