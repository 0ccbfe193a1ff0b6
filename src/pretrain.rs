//! Self-supervised training on the crops of a plate.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use spheroid_augment::PolicyConfig;
use spheroid_core::{PlateMap, atomic};
use spheroid_ssl::{
    Device, FrozenEncoder, LoadedWeights, SslError,
    collapse::Collapse,
    encoder::{Encoder, EncoderConfig, Pooling},
    load_encoder, load_pretrained,
    methods::{Method, MethodConfig},
    save_encoder,
    train::{Checkpoints, Epoch, Progress, TrainConfig, Views, train},
};

use crate::{
    Monitor, PipelineError,
    crops::{Crops, hex_digest, io, write_json},
    monitor::tell,
    prepare::PrepareConfig,
    views::{ImageSet, ImageViews, PlateViews, ViewsConfig},
};

/// The default encoder.
pub const ENCODER: &str = "resnet10-w16";
/// The default method.
pub const METHOD: &str = "byol";
/// The default policy of views.
pub const POLICY: &str = "spheroid";
/// The default number of passes over the images.
pub const EPOCHS: usize = 5;
/// The default peak learning rate.
pub const LEARNING_RATE: f64 = 2e-4;

const SETTINGS: &str = "settings.json";
const EPOCHS_CSV: &str = "training.csv";
const EPOCHS_JSON: &str = "training.jsonl";
const BEGINNING: &str = "weights.json";
const CHECKPOINTS: &str = "checkpoints";

/// Everything that fixes an encoder: stored beside its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainConfig {
    /// How images are cut out.
    pub prepare: PrepareConfig,
    /// How views are made of them.
    pub policy: PolicyConfig,
    /// Which images are views of one thing, and what is known of them.
    #[serde(default)]
    pub views: ViewsConfig,
    /// The network.
    pub encoder: EncoderConfig,
    /// The file of weights that it begins with, as [`load_pretrained`] reads it; without one they are drawn. When the
    /// weights are of others and the policy does not normalise images, they are normalised as for these, where that is
    /// known of the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// What it learns from.
    pub method: MethodConfig,
    /// How it learns.
    pub train: TrainConfig,
}

impl PretrainConfig {
    /// The default settings with an encoder and a method by name; `epochs` 0 leaves the encoder
    /// untrained.
    ///
    /// # Errors
    /// When a name is unknown; the message lists the names.
    pub fn by_name(
        encoder: &str,
        method: &str,
        epochs: usize,
        seed: u64,
    ) -> Result<Self, PipelineError> {
        let mut train = TrainConfig::new(epochs, seed);
        train.learning_rate = LEARNING_RATE;
        Ok(Self {
            prepare: PrepareConfig::default(),
            policy: PolicyConfig::preset(POLICY)?,
            views: ViewsConfig::default(),
            encoder: EncoderConfig::by_name(encoder, 1)?,
            weights: None,
            method: MethodConfig::by_name(method)?,
            train,
        })
    }
}

/// A file of weights that a training began with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
    /// SHA-256 of the file.
    pub sha256: String,
    /// What became of it.
    #[serde(flatten)]
    pub loaded: LoadedWeights,
}

/// A trained encoder, with what fixed it.
#[derive(Debug)]
pub struct Model {
    /// The settings.
    pub config: PretrainConfig,
    /// The network.
    pub encoder: Encoder,
    /// What became of the file of weights that it began with.
    pub weights: Option<Beginning>,
    /// Every epoch of its training.
    pub epochs: Vec<Epoch>,
    /// Time of all steps in this run.
    pub took: Duration,
    /// Share of that time in which steps waited for views, 0 to 1; `None` when nothing was trained.
    pub waiting: Option<f64>,
}

impl Model {
    /// Trains an encoder on `crops`.
    ///
    /// The state is kept in `folder/checkpoints` after every epoch; `resume` goes on from there. The
    /// epochs so far stand in `training.csv` and, one JSON object a line, in `training.jsonl`. The batch is
    /// at most all crops. Only methods that say that they learn from labels are told what `map` says of a
    /// well.
    ///
    /// # Errors
    /// When a setting is wrong, training fails, or a checkpoint cannot be written or is of other
    /// settings or images.
    pub fn train(
        crops: &Crops,
        map: &PlateMap,
        mut config: PretrainConfig,
        device: &Device,
        folder: &Path,
        resume: bool,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        config.train.batch = config.train.batch.min(crops.len().max(2));
        let start = Start::new(config, device, folder)?;
        let views = PlateViews::new(crops, map, &start.config.policy, start.config.views)?;
        Self::train_on(
            &views,
            crops.identity(),
            start,
            device,
            folder,
            resume,
            monitor,
        )
    }

    /// As [`train`](Self::train) on images of any kind, such as [`LabelledImages`](crate::labelled::LabelledImages) or
    /// [`SimulatedImages`](crate::simulated::SimulatedImages); how images are cut out and joined has no meaning for
    /// them.
    ///
    /// # Errors
    /// As there.
    pub fn train_on_images(
        images: &(impl ImageSet + Sync),
        config: PretrainConfig,
        device: &Device,
        folder: &Path,
        resume: bool,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        let start = Start::new(config, device, folder)?;
        let views = ImageViews::new(images, &start.config.policy)?;
        Self::train_on(
            &views,
            &images.identity(),
            start,
            device,
            folder,
            resume,
            monitor,
        )
    }

    fn train_on<V: Views>(
        views: &V,
        images: &str,
        start: Start,
        device: &Device,
        folder: &Path,
        resume: bool,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        let Start {
            config,
            encoder,
            weights,
        } = start;
        let targets = views.targets();
        let method = config.method.build(encoder, &targets, config.train.seed)?;
        let on_progress = |progress: Progress<'_, _>| {
            tell(monitor, "training the encoder", &progress);
            if let Progress::Epoch { epochs, .. } = progress {
                write_epochs(folder, epochs).map_err(|error| SslError::Stopped(error.into()))?;
            }
            Ok(())
        };
        // A run goes on only with what it was told before; other methods may have the plate map corrected.
        let told: Vec<_> = if config.method.learns_from_labels() {
            let items = 0..views.len();
            items
                .map(|item| (views.label(item), views.description(item)))
                .collect()
        } else {
            Vec::new()
        };
        // What is in the file counts, not where it lies.
        let settings = PretrainConfig {
            weights: None,
            ..config.clone()
        };
        let identity = match &weights {
            None => serde_json::to_vec(&(&settings, images, told)),
            Some(weights) => serde_json::to_vec(&(&settings, images, told, &weights.sha256)),
        };
        let identity = identity.map_err(|source| PipelineError::Json {
            path: folder.to_owned(),
            source,
        })?;
        let checkpoints = Checkpoints {
            folder: &folder.join(CHECKPOINTS),
            identity: &hex_digest(&identity),
            resume,
        };
        let trained = train(
            method,
            views,
            &config.train,
            device,
            Some(checkpoints),
            on_progress,
        )?;
        monitor.finish();
        let encoder = trained.method.encoder().clone();
        let took = trained.took;
        Ok(Self {
            config,
            encoder,
            weights,
            epochs: trained.epochs,
            took,
            waiting: (!trained.waited.is_zero())
                .then(|| trained.waited.as_secs_f64() / took.as_secs_f64()),
        })
    }

    /// How the representation has collapsed by the last epoch, `None` when it has not.
    pub fn collapse(&self) -> Option<Collapse> {
        self.epochs.last()?.health?.collapse()
    }

    /// Writes `encoder.safetensors`, `encoder.json`, `training.csv`, `training.jsonl` and `settings.json`, and
    /// `weights.json` when it began with a file of weights.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), PipelineError> {
        save_encoder(folder, &self.config.encoder, &self.encoder)?;
        write_epochs(folder, &self.epochs)?;
        if let Some(weights) = &self.weights {
            write_json(&folder.join(BEGINNING), weights)?;
        }
        // Last, so that a folder with settings is a finished model.
        write_json(&folder.join(SETTINGS), &self.config)
    }

    /// Reads what [`save`](Self::save) wrote; the epochs are not read back.
    ///
    /// # Errors
    /// When a file is missing or does not fit the others.
    pub fn load(folder: &Path, device: &Device) -> Result<Self, PipelineError> {
        let path = folder.join(SETTINGS);
        let config: PretrainConfig = read_json(&path)?;
        let weights = match &config.weights {
            Some(_) => Some(read_json(&folder.join(BEGINNING))?),
            None => None,
        };
        let (encoder_config, encoder) = load_encoder(folder, device)?;
        if encoder_config != config.encoder {
            let reason = "names another encoder than the weights beside it".to_owned();
            return Err(PipelineError::Stage { path, reason });
        }
        Ok(Self {
            config,
            encoder,
            weights,
            epochs: Vec::new(),
            took: Duration::ZERO,
            waiting: None,
        })
    }

    /// The encoder for use, with mean and deviation at every depth; images are normalised as its policy
    /// normalised views.
    pub fn freeze(&self, device: &Device) -> FrozenEncoder {
        FrozenEncoder::new(&self.encoder, Pooling::ALL, device)
            .with_normalize(self.config.policy.normalize.clone())
    }
}

/// What training begins with.
struct Start {
    /// With the normalisation that the weights ask for.
    config: PretrainConfig,
    encoder: Encoder,
    weights: Option<Beginning>,
}

impl Start {
    fn new(
        mut config: PretrainConfig,
        device: &Device,
        folder: &Path,
    ) -> Result<Self, PipelineError> {
        let mut encoder = config.encoder.build(config.train.seed, device)?;
        let mut weights = None;
        if let Some(path) = &config.weights {
            let out = folder.canonicalize().ok();
            let inside = path.canonicalize().ok();
            let inside = inside.as_deref().and_then(Path::parent);
            if inside.is_some() && inside == out.as_deref() {
                return Err(PipelineError::Stage {
                    path: path.clone(),
                    reason: "would be overwritten by the new model: choose another folder for it"
                        .to_owned(),
                });
            }
            let (pretrained, loaded) = load_pretrained(encoder, path)?;
            encoder = pretrained;
            if !loaded.own && config.policy.normalize.is_none() {
                config.policy.normalize = config.encoder.pretrained_normalize();
            }
            let sha256 = hex_digest(&std::fs::read(path).map_err(io(path, "read"))?);
            weights = Some(Beginning { sha256, loaded });
        }
        Ok(Self {
            config,
            encoder,
            weights,
        })
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, PipelineError> {
    let text = std::fs::read_to_string(path).map_err(io(path, "read"))?;
    serde_json::from_str(&text).map_err(|source| PipelineError::Json {
        path: path.to_owned(),
        source,
    })
}

fn write_epochs(folder: &Path, epochs: &[Epoch]) -> Result<(), PipelineError> {
    use std::io::Write;
    let path = folder.join(EPOCHS_CSV);
    let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    atomic::write_file(&path, |out| {
        let mut write = || {
            writeln!(
                out,
                "epoch,loss,learning_rate,spread,effective_rank,alignment,uniformity,agreement"
            )?;
            epochs.iter().try_for_each(|epoch| {
                let health = epoch.health;
                let measured = [
                    health.map(|health| health.spread),
                    health.map(|health| health.effective_rank),
                    health.and_then(|health| health.alignment),
                    health.map(|health| health.uniformity),
                    health.and_then(|health| health.agreement),
                ];
                writeln!(
                    out,
                    "{},{},{},{}",
                    epoch.epoch,
                    epoch.loss,
                    epoch.learning_rate,
                    measured.map(number).join(",")
                )
            })
        };
        write().map_err(io(&path, "write"))
    })?;
    let path = folder.join(EPOCHS_JSON);
    atomic::write_file(&path, |out| {
        for epoch in epochs {
            serde_json::to_writer(&mut *out, epoch).map_err(|source| PipelineError::Json {
                path: path.clone(),
                source,
            })?;
            out.write_all(b"\n").map_err(io(&path, "write"))?;
        }
        Ok(())
    })
}
