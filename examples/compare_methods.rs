//! Kendall's tau of the main job on simulated plates for any methods after equal training time, beside
//! untrained weights and morphology.
//!
//! `cargo run --release --example compare_methods -- --seeds 1-10 --methods default,untrained`
//! `cargo run --release --example compare_methods -- --methods simclr,vicreg+one_day --seconds 20`
//!
//! A method is NAME[@ENCODER][+weights=FILE][+POSITIVES][+BATCHES][+rate=R][+layer_decay=D][+frozen=DEPTHS]
//! [+batch_norm=STATISTICS][+epochs=N], such as `mae@vit-tiny-p8-w96`,
//! `simclr+other_day+one_day` or `byol+rate=2e-3`; `default` is what `rank_plate` does, `untrained` its encoder
//! as it starts.
//! Every method is ranked by its features joined with morphology and by its features alone. The last rows
//! hold the medians.

mod support;

use std::{
    collections::BTreeMap,
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use clap::Parser;
use spheroid::{
    PipelineError, Plate,
    core::{Embeddings, PlateFormat},
    crops::Crops,
    embed::embed,
    job::{kendall_tau, rank_features, treatment_scores},
    pretrain::{ENCODER, EPOCHS, METHOD, Model, PretrainConfig},
    ranking::{FeatureSet, RankConfig, morphology_baseline, rank},
    sim::PlateSimConfig,
    ssl::Device,
};

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
    /// Plates on which a drug is harder to see.
    #[arg(long)]
    hard: bool,
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
    let (first, last) = arguments
        .seeds
        .split_once('-')
        .unwrap_or((&arguments.seeds, &arguments.seeds));
    let (first, last): (u64, u64) = (first.parse()?, last.parse()?);
    if last < first {
        return Err(format!("no seed lies between {first} and {last}").into());
    }
    let device = support::device("flex")?;
    let mut taus: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut epochs: BTreeMap<&str, usize> = BTreeMap::new();
    println!(
        "{:>4}  {:<40} {:>6} {:>6} {:>7} {:>7}",
        "seed", "method", "joined", "alone", "epochs", "seconds"
    );
    for seed in first..=last {
        let plate = SimulatedPlate::new(seed, arguments.hard, &arguments.out)?;
        let [morphology, by_hand] = plate.morphology()?;
        println!("{seed:4}  {:<40} {morphology:>6.3}", "morphology");
        println!("{seed:4}  {:<40} {by_hand:>6.3}", "morphology by hand");
        for (name, tau) in [("morphology", morphology), ("morphology by hand", by_hand)] {
            taus.entry(name.to_owned()).or_default().push(tau);
        }
        for name in &arguments.methods {
            let (mut config, given) = parse(name, &arguments.encoder, seed)?;
            let known = match given.or(epochs.get(name.as_str()).copied()) {
                Some(epochs) => epochs,
                None => plate.epochs_in(arguments.seconds, &config, &device)?,
            };
            epochs.insert(name, known);
            config.train.epochs = known;
            let start = Instant::now();
            let count = config.train.epochs;
            let [joined, alone] = plate.taus(config, &device)?;
            println!(
                "{seed:4}  {name:<40} {joined:>6.3} {alone:>6.3} {count:>7} {:>7.0}",
                start.elapsed().as_secs_f64()
            );
            taus.entry(name.clone()).or_default().push(joined);
            taus.entry(format!("{name}, alone"))
                .or_default()
                .push(alone);
        }
    }
    println!("medians of {} plates", last + 1 - first);
    for (name, taus) in &taus {
        println!("      {name:<40} {:>6.3}", spheroid::rank::median(taus)?);
    }
    Ok(())
}

/// Settings of a method by its name here, and its epochs when they are given.
fn parse(
    name: &str,
    encoder: &str,
    seed: u64,
) -> Result<(PretrainConfig, Option<usize>), Box<dyn Error>> {
    if name == "default" || name == "untrained" {
        let epochs = if name == "default" { EPOCHS } else { 0 };
        let config = PretrainConfig::by_name(ENCODER, METHOD, epochs, seed)?;
        return Ok((config, Some(epochs)));
    }
    let mut parts = name.split('+');
    let method = parts.next().unwrap_or_default();
    let (method, encoder) = method.split_once('@').unwrap_or((method, encoder));
    let mut config = PretrainConfig::by_name(encoder, method, 1, seed)?;
    let mut epochs = None;
    for part in parts {
        if let Some(rate) = part.strip_prefix("rate=") {
            config.train.learning_rate = rate.parse()?;
        } else if let Some(path) = part.strip_prefix("weights=") {
            config.weights = Some(path.into());
        } else if let Some(decay) = part.strip_prefix("layer_decay=") {
            config.train.fine_tune.layer_decay = decay.parse()?;
        } else if let Some(depths) = part.strip_prefix("frozen=") {
            config.train.fine_tune.frozen_depths = depths.parse()?;
        } else if let Some(statistics) = part.strip_prefix("batch_norm=") {
            config.train.fine_tune.batch_norm = support::named(statistics)?;
        } else if let Some(count) = part.strip_prefix("epochs=") {
            epochs = Some(count.parse()?);
        } else if let Ok(positives) = support::named(part) {
            config.views.positives = positives;
        } else if let Ok(batches) = support::named(part) {
            config.views.batches = batches;
        } else {
            config.views.labels = support::named(part)?;
        }
    }
    Ok((config, epochs))
}

struct SimulatedPlate {
    plate: Plate,
    crops: Crops,
    morphology: Embeddings,
    truth: BTreeMap<String, f64>,
    model: PathBuf,
}

impl SimulatedPlate {
    fn new(seed: u64, hard: bool, out: &Path) -> Result<Self, Box<dyn Error>> {
        let (name, settings) = if hard {
            (format!("hard-{seed}"), PlateSimConfig::hard())
        } else {
            (format!("seed-{seed}"), PlateSimConfig::default())
        };
        let folder = out.join(name);
        let config = PlateSimConfig { seed, ..settings };
        let sim = config.clone().build()?;
        support::simulate(config, &folder, &support::Bars::default())?;
        let plate = Plate::open(&folder, None, PlateFormat::W96)?;
        let prepare = PretrainConfig::by_name(ENCODER, METHOD, 0, seed)?.prepare;
        let crops = Crops::prepare(&plate, &folder.join("crops"), &prepare, &())?;
        let truth = sim.truth().iter();
        Ok(Self {
            morphology: crops.morphology()?,
            truth: truth
                .map(|truth| (truth.treatment.clone(), truth.kill))
                .collect(),
            model: folder.join("model"),
            plate,
            crops,
        })
    }

    fn train(&self, config: PretrainConfig, device: &Device) -> Result<Model, PipelineError> {
        let map = self.plate.map();
        Model::train(&self.crops, map, config, device, &self.model, false, &())
    }

    /// Epochs that fit into so many seconds.
    fn epochs_in(
        &self,
        seconds: f64,
        config: &PretrainConfig,
        device: &Device,
    ) -> Result<usize, PipelineError> {
        support::epochs_in(seconds, config, |config| self.train(config, device))
    }

    /// Kendall's tau of features joined with morphology and of features alone.
    fn taus(&self, config: PretrainConfig, device: &Device) -> Result<[f64; 2], Box<dyn Error>> {
        let learned = embed(
            &self.crops,
            &self.train(config, device)?.freeze(device),
            &(),
        )?;
        let joined = rank_features(
            &learned,
            &self.morphology,
            self.plate.map(),
            &RankConfig::default(),
        )?;
        Ok([
            kendall_tau(&treatment_scores(&joined), &self.truth)?,
            self.alone(&learned)?,
        ])
    }

    fn alone(&self, features: &Embeddings) -> Result<f64, Box<dyn Error>> {
        let sets = [FeatureSet::new("features", features)];
        let ranked = rank(&sets, self.plate.map(), &RankConfig::default())?;
        Ok(kendall_tau(&treatment_scores(&ranked), &self.truth)?)
    }

    /// Kendall's tau of all of morphology, and of what a laboratory compares by hand.
    fn morphology(&self) -> Result<[f64; 2], Box<dyn Error>> {
        let config = RankConfig::default();
        let by_hand = morphology_baseline(&self.morphology, self.plate.map(), &config)?;
        Ok([
            self.alone(&self.morphology)?,
            kendall_tau(&by_hand, &self.truth)?,
        ])
    }
}
