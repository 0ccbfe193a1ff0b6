//! What the examples share: progress bars, errors and the choice of the device.

#![allow(dead_code, unreachable_pub, reason = "every example uses a part of it")]

pub mod simulated;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Mutex,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use spheroid::{
    Learning, Monitor, PipelineError, Plate,
    augment::PolicyConfig,
    core::{PlateFormat, StackSource, atomic},
    pretrain::{ENCODER, EPOCHS, LEARNING_RATE, METHOD, Model, POLICY, PretrainConfig},
    sim::PlateSimConfig,
    ssl::{
        self, OptimizerConfig,
        encoder::EncoderConfig,
        train::{BatchNormStatistics, FineTuneConfig},
    },
    views::{Batches, Labels, Positives, ViewsConfig},
};

/// First and last of seeds given as `1-10`, or as one number.
pub fn seeds(text: &str) -> Result<(u64, u64), Box<dyn Error>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u64, u64) = (first.parse()?, last.parse()?);
    if last < first {
        return Err(format!("no seed lies between {first} and {last}").into());
    }
    Ok((first, last))
}

/// How the files of a plate are to be read.
#[derive(Args)]
pub struct PlateArguments {
    /// File names that stand in for images.csv, such as {plate}_{well}_d{day}.tif.
    #[arg(long)]
    pattern: Option<String>,
    /// Wells of the plate: 6, 12, 24, 48, 96, 384 or 1536.
    #[arg(long, default_value_t = 96)]
    wells: usize,
}

impl PlateArguments {
    /// The plate in `folder`.
    pub fn open(&self, folder: &Path) -> Result<Plate, PipelineError> {
        let format = PlateFormat::try_from(self.wells)?;
        Plate::open(folder, self.pattern.as_deref(), format)
    }
}

/// Which encoder, and how it is trained.
#[derive(Args)]
pub struct EncoderArguments {
    /// Fixes every random choice.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Method: simclr, vicreg, barlow-twins, byol, simsiam, dino, mae, triplet, or one that learns from the
    /// plate map: supcon, convirt, supervised, regression.
    #[arg(long, default_value = METHOD)]
    method: String,
    /// Network: resnet10, resnet18, resnet34, resnet50, efficientnet-lite0, unet, vit-tiny or vit-small; -wN sets the width,
    /// -small the stem of a ResNet for small images, -pN the patch of a transformer.
    #[arg(long, default_value = ENCODER)]
    encoder: String,
    /// Weights to begin with: a file of PyTorch (.pth) or safetensors, or encoder.safetensors of another model.
    #[arg(long)]
    weights: Option<PathBuf>,
    /// Planes that the encoder takes at once: 1, or as many as the views of the policy show.
    #[arg(long, default_value_t = 1)]
    planes: usize,
    /// Where further views of an image come from: image, other_day or other_well.
    #[arg(long, value_parser = named::<Positives>, default_value = "image")]
    positives: Positives,
    /// Images of a batch: mixed or one_day.
    #[arg(long, value_parser = named::<Batches>, default_value = "mixed")]
    batches: Batches,
    /// Classes for methods that learn from the plate map: group or treatment.
    #[arg(long, value_parser = named::<Labels>, default_value = "group")]
    labels: Labels,
    /// How views are made: the name of a policy, such as spheroid or simclr, or its JSON file.
    #[arg(long, default_value = POLICY)]
    policy: String,
    /// Passes over the images; 0 leaves the encoder untrained.
    #[arg(long, default_value_t = EPOCHS)]
    epochs: usize,
    /// Images of a step.
    #[arg(long, default_value_t = 48)]
    batch: usize,
    /// Optimiser: adamw, sgd or lars.
    #[arg(long, default_value = "adamw")]
    optimizer: String,
    /// Peak learning rate.
    #[arg(long, default_value_t = LEARNING_RATE)]
    learning_rate: f64,
    /// Learning rate of a depth of the encoder as a share of that of the next.
    #[arg(long, default_value_t = 1.0)]
    layer_decay: f64,
    /// So many depths of the encoder stand still.
    #[arg(long, default_value_t = 0)]
    frozen_depths: usize,
    /// Statistics that batch norm uses while the encoder learns: batch or running.
    #[arg(long, value_parser = named::<BatchNormStatistics>, default_value = "batch")]
    batch_norm: BatchNormStatistics,
    /// Backend: flex, ndarray, cpu, wgpu or cuda, as far as compiled in.
    #[arg(long, default_value = "flex")]
    pub device: String,
    /// Go on after the last finished epoch of an interrupted run.
    #[arg(long)]
    pub resume: bool,
}

impl EncoderArguments {
    /// The settings that are meant.
    pub fn config(&self) -> Result<PretrainConfig, PipelineError> {
        let mut config =
            PretrainConfig::by_name(&self.encoder, &self.method, self.epochs, self.seed)?;
        config.encoder = EncoderConfig::by_name(&self.encoder, self.planes)?;
        config.train.batch = self.batch;
        config.train.optimizer = OptimizerConfig::by_name(&self.optimizer)?;
        config.train.learning_rate = self.learning_rate;
        config.train.fine_tune = FineTuneConfig {
            layer_decay: self.layer_decay,
            frozen_depths: self.frozen_depths,
            batch_norm: self.batch_norm,
        };
        let policy = PolicyConfig::by_name_or_path(&self.policy)?;
        let views = ViewsConfig {
            positives: self.positives,
            batches: self.batches,
            labels: self.labels,
            ..config.views
        };
        Ok(PretrainConfig {
            policy,
            views,
            weights: self.weights.clone(),
            ..config
        })
    }
}

/// A value by the name that it has in JSON.
pub fn named<T: serde::de::DeserializeOwned>(name: &str) -> Result<T, serde_json::Error> {
    serde_json::from_value(name.into())
}

/// Settings of simulated plates.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Settings {
    /// The default.
    Plain,
    /// Wells differ more, and effects are weaker.
    Hard,
    /// Optics, sizes, grain, differences and effects are drawn from the seed.
    Varied,
}

impl Settings {
    /// With this seed.
    pub fn of(self, seed: u64) -> PlateSimConfig {
        let settings = match self {
            Self::Plain => PlateSimConfig::default(),
            Self::Hard => PlateSimConfig::hard(),
            Self::Varied => PlateSimConfig::varied(seed),
        };
        PlateSimConfig { seed, ..settings }
    }
}

/// Epochs that fit into so many seconds on this machine, by the time of one.
pub fn epochs_in(
    seconds: f64,
    config: &PretrainConfig,
    train: impl Fn(PretrainConfig) -> Result<Model, PipelineError>,
) -> Result<usize, PipelineError> {
    let mut config = config.clone();
    config.train.epochs = 1;
    let one = train(config)?.took.as_secs_f64();
    Ok((seconds / one.max(1e-3)).round().max(1.0) as usize)
}

/// Runs `main`; an error is printed with its causes and gives exit code 2.
pub fn run(main: impl FnOnce() -> Result<(), Box<dyn Error>>) -> ExitCode {
    match main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::from(2)
        }
    }
}

/// The device of that name, after it was seen to work.
pub fn device(name: &str) -> Result<ssl::Device, ssl::SslError> {
    ssl::device(ssl::Backend::by_name(name)?)
}

/// A progress bar for each stage, on standard error.
#[derive(Default)]
pub struct Bars {
    bar: Mutex<Option<ProgressBar>>,
}

impl Monitor for Bars {
    fn start(&self, stage: &str, steps: usize) {
        let style = "{msg:24} [{bar:30}] {pos}/{len} {elapsed} (left {eta}, {per_sec}) {prefix}";
        let style = ProgressStyle::with_template(style).expect("the template is well-formed");
        let bar = ProgressBar::new(steps as u64).with_style(style.progress_chars("=> "));
        bar.set_message(stage.to_owned());
        *self.bar.lock().expect("no thread panics with the bar") = Some(bar);
    }

    fn step(&self, learning: Option<Learning>) {
        if let Some(bar) = &*self.bar.lock().expect("no thread panics with the bar") {
            bar.inc(1);
            if let Some(Learning {
                loss,
                learning_rate,
            }) = learning
            {
                bar.set_prefix(format!("loss {loss:.3}, rate {learning_rate:.1e}"));
            }
        }
    }

    fn finish(&self) {
        if let Some(bar) = self
            .bar
            .lock()
            .expect("no thread panics with the bar")
            .take()
        {
            bar.finish();
        }
    }
}

/// Writes a simulated plate, or leaves the one that the same settings wrote.
pub fn simulate(
    config: PlateSimConfig,
    folder: &Path,
    monitor: &Bars,
) -> Result<(), Box<dyn Error>> {
    let settings = serde_json::to_string_pretty(&config)?;
    let stamp = folder.join("simulation.json");
    if std::fs::read_to_string(&stamp).is_ok_and(|found| found == settings) {
        return Ok(());
    }
    let plate = config.build()?;
    monitor.start("simulating the plate", plate.len());
    plate.write(folder, |_, _| monitor.step(None))?;
    // Last, so that a half-written plate is not taken for a whole one.
    atomic::write_bytes(&stamp, settings.as_bytes())?;
    Ok(())
}
