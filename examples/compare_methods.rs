//! Kendall's tau of the main job on simulated plates for any methods after equal training time, beside
//! untrained weights and morphology.
//!
//! `cargo run --release --example compare_methods -- --seeds 1-10 --methods default,untrained`
//! `cargo run --release --example compare_methods -- --methods simclr,vicreg+one_day --seconds 20`
//!
//! A method is NAME[@ENCODER], such as `mae@vit-tiny-p8-w96`, and parts that follow a `+` each:
//! * what it learns from: `size=PX` of the crops, POSITIVES, BATCHES, LABELS: `simclr+other_day+one_day`;
//! * how it learns: `weights=FILE`, `epochs=N`, `rate=R`, `layer_decay=D`, `frozen=DEPTHS`,
//!   `batch_norm=STATISTICS`;
//! * how it is ranked: `depths=last` (the mean of the last map, as papers do), `planes=sharpest`, `metric=NAME`.
//!
//! `default` is what `rank_plate` does, `untrained` its encoder as it starts; both take parts, too.
//! Every method is ranked by its features joined with morphology and by its features alone. The last rows
//! hold the medians.

mod support;

use std::{collections::BTreeMap, error::Error, path::PathBuf, process::ExitCode, time::Instant};

use clap::Parser;
use spheroid::{
    PipelineError,
    core::Embeddings,
    crops::Crops,
    embed::{Planes, embed},
    job::{kendall_tau, rank_features, treatment_scores},
    pretrain::{ENCODER, EPOCHS, METHOD, PretrainConfig},
    ranking::{FeatureSet, RankConfig, morphology_baseline, rank},
    ssl::{Device, FrozenEncoder, encoder::Pooling},
};
use support::simulated::SimulatedPlate;

/// Compares methods on simulated plates whose true efficacy is known.
#[derive(Parser)]
struct Arguments {
    /// First and last seed, such as 1-10.
    #[arg(long, default_value = "1-10")]
    seeds: String,
    /// Methods, separated by commas.
    #[arg(long, default_value = "default,untrained", value_delimiter = ',')]
    methods: Vec<String>,
    /// Training time of every method whose epochs are not given, in seconds of this machine. The number of
    /// epochs is set from the time of one on the first plate.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// How much wells differ and how the microscope shows them.
    #[arg(long, value_enum, default_value = "plain")]
    settings: support::Settings,
    /// Network of methods that name none.
    #[arg(long, default_value = ENCODER)]
    encoder: String,
    /// Where plates and crops are kept.
    #[arg(long, default_value = "out/compare_methods")]
    out: PathBuf,
}

fn main() -> ExitCode {
    support::run(|| compare(&Arguments::parse()))
}

fn compare(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let (first, last) = support::seeds(&arguments.seeds)?;
    let device = support::device("flex")?;
    let mut found: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut epochs: BTreeMap<&str, usize> = BTreeMap::new();
    println!(
        "{:>4}  {:<40} {:>6} {:>6} {:>7} {:>7}",
        "seed", "method", "joined", "alone", "epochs", "seconds"
    );
    for seed in first..=last {
        let plate = SimulatedPlate::new(seed, arguments.settings, &arguments.out)?;
        let [all, by_hand] = morphology(&plate)?;
        println!("{seed:4}  {:<40} {all:>6.3}", "morphology");
        println!("{seed:4}  {:<40} {by_hand:>6.3}", "morphology by hand");
        for (name, tau) in [("morphology", all), ("morphology by hand", by_hand)] {
            found.entry(name.to_owned()).or_default().push(tau);
        }
        for name in &arguments.methods {
            let mut choice = Choice::parse(name, &arguments.encoder, seed)?;
            let start = Instant::now();
            let crops = plate.crops(&choice.config.prepare)?;
            let count = match choice.epochs.or(epochs.get(name.as_str()).copied()) {
                Some(epochs) => epochs,
                None => epochs_in(&plate, arguments.seconds, &crops, &choice.config, &device)?,
            };
            epochs.insert(name, count);
            choice.config.train.epochs = count;
            let [joined, alone] = taus(&plate, &crops, choice, &device)?;
            println!(
                "{seed:4}  {name:<40} {joined:>6.3} {alone:>6.3} {count:>7} {:>7.0}",
                start.elapsed().as_secs_f64()
            );
            found.entry(name.clone()).or_default().push(joined);
            found
                .entry(format!("{name}, alone"))
                .or_default()
                .push(alone);
        }
    }
    println!("medians of {} plates", last + 1 - first);
    for (name, taus) in &found {
        println!("      {name:<40} {:>6.3}", spheroid::rank::median(taus)?);
    }
    Ok(())
}

/// A method, as it was named.
struct Choice {
    config: PretrainConfig,
    /// When they are given.
    epochs: Option<usize>,
    pooling: Pooling,
    planes: Planes,
    rank: RankConfig,
}

impl Choice {
    fn parse(name: &str, encoder: &str, seed: u64) -> Result<Self, Box<dyn Error>> {
        let mut parts = name.split('+');
        let method = parts.next().unwrap_or_default();
        let (method, encoder, epochs) = match method {
            "default" => (METHOD, ENCODER, Some(EPOCHS)),
            "untrained" => (METHOD, ENCODER, Some(0)),
            _ => {
                let (method, encoder) = method.split_once('@').unwrap_or((method, encoder));
                (method, encoder, None)
            }
        };
        let mut choice = Self {
            config: PretrainConfig::by_name(encoder, method, 1, seed)?,
            epochs,
            pooling: Pooling::ALL,
            planes: Planes::Mean,
            rank: RankConfig::default(),
        };
        for part in parts {
            choice.set(part)?;
        }
        Ok(choice)
    }

    fn set(&mut self, part: &str) -> Result<(), Box<dyn Error>> {
        let config = &mut self.config;
        let Some((key, value)) = part.split_once('=') else {
            if let Ok(positives) = support::named(part) {
                config.views.positives = positives;
            } else if let Ok(batches) = support::named(part) {
                config.views.batches = batches;
            } else {
                config.views.labels = support::named(part)?;
            }
            return Ok(());
        };
        match (key, value) {
            ("size", size) => config.prepare.size = size.parse()?,
            ("weights", path) => config.weights = Some(path.into()),
            ("epochs", count) => self.epochs = Some(count.parse()?),
            ("rate", rate) => config.train.learning_rate = rate.parse()?,
            ("layer_decay", decay) => config.train.fine_tune.layer_decay = decay.parse()?,
            ("frozen", depths) => config.train.fine_tune.frozen_depths = depths.parse()?,
            ("batch_norm", statistics) => {
                config.train.fine_tune.batch_norm = support::named(statistics)?;
            }
            ("depths", "last") => self.pooling = Pooling::LAST,
            ("planes", planes) => self.planes = support::named(planes)?,
            ("metric", metric) => metric.clone_into(&mut self.rank.metric),
            _ => return Err(format!("a method has no part {part}").into()),
        }
        Ok(())
    }
}

/// Epochs that fit into so many seconds.
fn epochs_in(
    plate: &SimulatedPlate,
    seconds: f64,
    crops: &Crops,
    config: &PretrainConfig,
    device: &Device,
) -> Result<usize, PipelineError> {
    support::epochs_in(seconds, config, |config| plate.train(crops, config, device))
}

/// Kendall's tau of features joined with morphology and of features alone.
fn taus(
    plate: &SimulatedPlate,
    crops: &Crops,
    choice: Choice,
    device: &Device,
) -> Result<[f64; 2], Box<dyn Error>> {
    let Choice {
        config,
        pooling,
        planes,
        rank,
        ..
    } = choice;
    let model = plate.train(crops, config, device)?;
    let frozen = FrozenEncoder::new(&model.encoder, pooling, device)
        .with_normalize(model.config.policy.normalize.clone());
    let learned = embed(crops, &frozen, planes, &())?;
    let joined = rank_features(&learned, &plate.morphology, plate.plate.map(), &rank)?;
    Ok([
        kendall_tau(&treatment_scores(&joined), &plate.truth)?,
        alone(plate, &learned, &rank)?,
    ])
}

fn alone(
    plate: &SimulatedPlate,
    features: &Embeddings,
    config: &RankConfig,
) -> Result<f64, Box<dyn Error>> {
    let sets = [FeatureSet::new("features", features)];
    let ranked = rank(&sets, plate.plate.map(), config)?;
    Ok(kendall_tau(&treatment_scores(&ranked), &plate.truth)?)
}

/// Kendall's tau of all of morphology, and of what a laboratory compares by hand.
fn morphology(plate: &SimulatedPlate) -> Result<[f64; 2], Box<dyn Error>> {
    let config = RankConfig::default();
    let by_hand = morphology_baseline(&plate.morphology, plate.plate.map(), &config)?;
    Ok([
        alone(plate, &plate.morphology, &config)?,
        kendall_tau(&by_hand, &plate.truth)?,
    ])
}
