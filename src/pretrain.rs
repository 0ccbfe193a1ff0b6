//! Self-supervised training on the crops of a plate.

use std::path::Path;

use ndarray::Array3;
use serde::{Deserialize, Serialize};
use spheroid_augment::{Image, Policy, PolicyConfig};
use spheroid_core::{ParamError, atomic};
use spheroid_ssl::{
    Device, FrozenEncoder,
    encoder::{Encoder, EncoderConfig},
    load_encoder,
    methods::{Method, MethodConfig},
    save_encoder,
    train::{Checkpoints, Epoch, Progress, TrainConfig, Views, train},
};

use crate::{
    Monitor, PipelineError,
    crops::{Crops, hex_digest, io, write_json},
    prepare::PrepareConfig,
};

/// The default encoder.
pub const ENCODER: &str = "resnet10-w16";
/// The default method.
pub const METHOD: &str = "simclr";
/// The default policy of views.
pub const POLICY: &str = "spheroid";
/// The default number of passes over the images.
pub const EPOCHS: usize = 5;

const SETTINGS: &str = "settings.json";
const LOSSES: &str = "training.csv";
const CHECKPOINTS: &str = "checkpoints";

/// Everything that fixes an encoder: stored beside its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainConfig {
    /// How images are cut out.
    pub prepare: PrepareConfig,
    /// How views are made of them.
    pub policy: PolicyConfig,
    /// The network.
    pub encoder: EncoderConfig,
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
        Ok(Self {
            prepare: PrepareConfig::default(),
            policy: PolicyConfig::preset(POLICY)?,
            encoder: EncoderConfig::by_name(encoder, 1)?,
            method: MethodConfig::by_name(method)?,
            train: TrainConfig::new(epochs, seed),
        })
    }
}

/// A trained encoder, with what fixed it.
#[derive(Debug)]
pub struct Model {
    /// The settings.
    pub config: PretrainConfig,
    /// The network.
    pub encoder: Encoder,
    /// Every epoch of its training.
    pub epochs: Vec<Epoch>,
    /// Share of the training time in which steps waited for views, 0 to 1; `None` when nothing was trained
    /// in this run.
    pub waiting: Option<f64>,
}

impl Model {
    /// Trains an encoder on `crops`.
    ///
    /// The state is kept in `folder/checkpoints` after every epoch; `resume` goes on from there. The
    /// batch is at most all crops.
    ///
    /// # Errors
    /// When a setting is wrong, training fails, or a checkpoint cannot be written or is of other
    /// settings or images.
    pub fn train(
        crops: &Crops,
        mut config: PretrainConfig,
        device: &Device,
        folder: &Path,
        resume: bool,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        if config.policy.anchor.is_some() {
            let rule = "left out: no method compares views with one";
            return Err(
                ParamError::new("policy.anchor", "a picture apart from the views", rule).into(),
            );
        }
        config.train.batch = config.train.batch.min(crops.len().max(2));
        let encoder = config.encoder.build(config.train.seed, device)?;
        let method = config.method.build(encoder, config.train.seed)?;
        let views = CropViews {
            crops,
            policy: config.policy.clone().build()?,
        };
        let on_progress = |progress| match progress {
            Progress::Started { done, steps } => {
                monitor.start("training the encoder", steps - done)
            }
            Progress::Step { loss } => monitor.step(Some(loss)),
        };
        let identity = serde_json::to_vec(&(&config, crops.identity())).map_err(|source| {
            PipelineError::Json {
                path: folder.to_owned(),
                source,
            }
        })?;
        let checkpoints = Checkpoints {
            folder: &folder.join(CHECKPOINTS),
            identity: &hex_digest(&identity),
            resume,
        };
        let trained = train(
            method,
            &views,
            &config.train,
            device,
            Some(checkpoints),
            on_progress,
        )?;
        monitor.finish();
        let encoder = trained.method.encoder().clone();
        let took = trained.took.as_secs_f64();
        Ok(Self {
            config,
            encoder,
            epochs: trained.epochs,
            waiting: (!trained.waited.is_zero()).then(|| trained.waited.as_secs_f64() / took),
        })
    }

    /// Writes `encoder.safetensors`, `encoder.json`, `training.csv` and `settings.json`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), PipelineError> {
        save_encoder(folder, &self.config.encoder, &self.encoder)?;
        write_epochs(&folder.join(LOSSES), &self.epochs)?;
        // Last, so that a folder with settings is a finished model.
        write_json(&folder.join(SETTINGS), &self.config)
    }

    /// Reads what [`save`](Self::save) wrote; the epochs are not read back.
    ///
    /// # Errors
    /// When a file is missing or does not fit the others.
    pub fn load(folder: &Path, device: &Device) -> Result<Self, PipelineError> {
        let path = folder.join(SETTINGS);
        let text = std::fs::read_to_string(&path).map_err(io(&path, "read"))?;
        let config: PretrainConfig =
            serde_json::from_str(&text).map_err(|source| PipelineError::Json {
                path: path.clone(),
                source,
            })?;
        let (encoder_config, encoder) = load_encoder(folder, device)?;
        if encoder_config != config.encoder {
            let reason = "names another encoder than the weights beside it".to_owned();
            return Err(PipelineError::Stage { path, reason });
        }
        Ok(Self {
            config,
            encoder,
            epochs: Vec::new(),
            waiting: None,
        })
    }

    /// The encoder for use.
    pub fn freeze(&self, device: &Device) -> FrozenEncoder {
        FrozenEncoder::new(&self.encoder, device)
    }
}

/// Views of every crop.
struct CropViews<'a> {
    crops: &'a Crops,
    policy: Policy,
}

impl Views for CropViews<'_> {
    type Error = PipelineError;

    fn len(&self) -> usize {
        self.crops.len()
    }

    fn views(&self, seed: u64, epoch: u64, item: usize) -> Result<Vec<Array3<f32>>, PipelineError> {
        let crop = self.crops.load(item)?;
        let views = self
            .policy
            .views(&Image::new(&crop)?, seed, epoch, item as u64)?;
        Ok(views.views.into_iter().map(Image::into_samples).collect())
    }
}

fn write_epochs(path: &Path, epochs: &[Epoch]) -> Result<(), PipelineError> {
    use std::io::Write;
    atomic::write_file(path, |out| {
        let mut write = || {
            writeln!(out, "epoch,loss")?;
            epochs
                .iter()
                .try_for_each(|epoch| writeln!(out, "{},{}", epoch.epoch, epoch.loss))
        };
        write().map_err(io(path, "write"))
    })
}
