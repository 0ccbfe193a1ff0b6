//! The training loop: any method, any views, resumable, watched for collapse.

mod batches;
mod checkpoint;
mod fine_tune;
#[cfg(test)]
mod tests;
mod watch;

use std::{
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

use burn::{
    optim::{GradientsAccumulator, GradientsParams},
    tensor::{Device, Tensor, TensorData},
};
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, at_least, positive};

pub use batches::Views;
pub use fine_tune::{BatchNormStatistics, FineTuneConfig};

use crate::{
    SslError,
    collapse::Health,
    embedder::to_tensor,
    encoder::Encoder,
    methods::{Batch, Method},
    optimizer::OptimizerConfig,
};
use batches::{HostBatch, make_batches};
use watch::Watch;

/// Settings of [`train`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrainConfig {
    /// Passes over the images.
    pub epochs: usize,
    /// Images of a forward pass; what is left over at the end of an epoch waits for another.
    pub batch: usize,
    /// Forward passes whose gradients are averaged before a step. A contrastive loss compares images of one
    /// pass alone.
    pub accumulate: usize,
    /// How parameters follow their gradients.
    pub optimizer: OptimizerConfig,
    /// Peak learning rate, reached after the warm-up and falling to 0 along half a cosine.
    pub learning_rate: f64,
    /// Weight decay of convolutions and linear layers: decoupled with AdamW, added to the gradient otherwise.
    pub weight_decay: f64,
    /// Bound of the length of all gradients together; `None` leaves them as they are.
    pub clip_norm: Option<f64>,
    /// How an encoder that was trained before goes on.
    #[serde(default)]
    pub fine_tune: FineTuneConfig,
    /// Epochs over which the learning rate rises linearly.
    pub warmup_epochs: usize,
    /// Fixes the order of images and every view.
    pub seed: u64,
}

impl TrainConfig {
    /// Settings that train a small encoder on one plate.
    pub fn new(epochs: usize, seed: u64) -> Self {
        Self {
            epochs,
            batch: 48,
            accumulate: 1,
            optimizer: OptimizerConfig::AdamW,
            learning_rate: 2e-3,
            weight_decay: 1e-4,
            clip_norm: None,
            fine_tune: FineTuneConfig::default(),
            warmup_epochs: 2,
            seed,
        }
    }

    fn check(&self, images: usize) -> Result<(), SslError> {
        positive("learning_rate", self.learning_rate)?;
        at_least("accumulate", self.accumulate, 1, "at least 1")?;
        if self.epochs == 0 {
            return Ok(());
        }
        at_least("batch", self.batch, 2, "at least 2")?;
        if images < self.batch {
            return Err(SslError::TooFewImages {
                images,
                batch: self.batch,
            });
        }
        let batches = images / self.batch;
        if batches < self.accumulate {
            let rule = "at most the number of batches in an epoch";
            return Err(ParamError::new("accumulate", self.accumulate, rule).into());
        }
        Ok(())
    }

    /// Learning rate of a step, both counted from 0.
    fn rate(&self, step: usize, steps_per_epoch: usize) -> f64 {
        let warmup = self.warmup_epochs.min(self.epochs) * steps_per_epoch;
        let all = self.epochs * steps_per_epoch;
        if step < warmup {
            return self.learning_rate * (step + 1) as f64 / warmup as f64;
        }
        let progress = (step - warmup) as f64 / (all - warmup).max(1) as f64;
        self.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
    }
}

/// One finished epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Mean loss of its steps.
    pub loss: f64,
    /// Learning rate of its last step.
    pub learning_rate: f64,
    /// Health of what the method made of its last 256 images or more.
    pub health: Option<Health>,
}

/// What [`train`] gives back.
#[derive(Debug)]
pub struct Trained<M> {
    /// The trained method.
    pub method: M,
    /// Every epoch of the run, those before a resume included.
    pub epochs: Vec<Epoch>,
    /// Time in which steps waited for views, since the start or the resume.
    pub waited: Duration,
    /// Time of all steps and checkpoints, since the start or the resume.
    pub took: Duration,
}

/// What [`train`] tells while it works.
#[derive(Debug)]
pub enum Progress<'a, M> {
    /// Training starts or goes on after `done` of `steps` steps.
    Started {
        /// Steps that a checkpoint already holds.
        done: usize,
        /// Steps of the whole run.
        steps: usize,
    },
    /// One step is done.
    Step {
        /// Loss of the step.
        loss: f64,
        /// Learning rate of the step.
        learning_rate: f64,
    },
    /// An epoch is done and its checkpoint, if any, written.
    Epoch {
        /// The method as it is now.
        method: &'a M,
        /// Every epoch so far.
        epochs: &'a [Epoch],
    },
}

/// Where a run keeps its state.
#[derive(Debug, Clone, Copy)]
pub struct Checkpoints<'a> {
    /// Folder that belongs to the run.
    pub folder: &'a Path,
    /// What is trained on what, such as a digest of all settings and images: a checkpoint of
    /// anything else is refused.
    pub identity: &'a str,
    /// Whether to continue from the newest checkpoint instead of starting anew.
    pub resume: bool,
}

/// Batches that are ready before they are asked for.
const AHEAD: usize = 2;

/// Optimises `method` on views of images.
///
/// Views are made on a thread of their own and on rayon's global pool, whatever pool the caller is in.
///
/// With `checkpoints` the state is stored after every epoch. A run that resumes ends with the weights
/// of an uninterrupted one on the same device.
///
/// An error of `on_progress` stops the training; [`SslError::Stopped`] takes any.
///
/// # Errors
/// When a setting is outside what is allowed, a view cannot be made or has the wrong shape, the method
/// refuses a batch, the loss stops being finite, or a checkpoint cannot be written, read, or belongs to
/// other settings.
pub fn train<M: Method, V: Views>(
    method: M,
    views: &V,
    config: &TrainConfig,
    device: &Device,
    checkpoints: Option<Checkpoints<'_>>,
    mut on_progress: impl FnMut(Progress<'_, M>) -> Result<(), SslError>,
) -> Result<Trained<M>, SslError> {
    config.check(views.len())?;
    config.fine_tune.check(method.encoder())?;
    let device = device.clone().autodiff();
    let mut method = method.to_device(&device).train();
    let mut optimizer = config
        .optimizer
        .build(config.weight_decay, config.clip_norm)?;
    let mut epochs = Vec::new();
    if let Some(checkpoints) = checkpoints
        && checkpoints.resume
        && let Some(state) = checkpoint::load(&checkpoints, config)?
    {
        (method, optimizer, epochs) = state.apply(method, optimizer, &device)?;
    }
    // After a resume: names of parameters are those of the checkpoint.
    let (mut method, rates) = config.fine_tune.apply(method);
    let mut optimizer = optimizer.with_rates(rates);

    // Batches are as many as when all images are in one stratum: what a stratum leaves over is joined.
    let steps_per_epoch = views.len() / config.batch.max(1) / config.accumulate;
    let steps = config.epochs * steps_per_epoch;
    on_progress(Progress::Started {
        done: epochs.len() * steps_per_epoch,
        steps,
    })?;
    let started = Instant::now();
    let mut waited = Duration::ZERO;
    let first = epochs.len();
    let method = std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(AHEAD);
        let producer = scope.spawn(move || make_batches(views, config, first, &sender));
        // An option, so that it can be joined once.
        let mut producer = Some(producer);
        let mut next_batch = || {
            let asked = Instant::now();
            let Ok(batch) = receiver.recv() else {
                // A batch is sent for every pass unless making one panics.
                let producer = producer.take().expect("the producer is joined once");
                let panic = producer.join().expect_err("fewer batches than passes");
                std::panic::resume_unwind(panic);
            };
            waited += asked.elapsed();
            batch
        };
        for epoch in first..config.epochs {
            let mut sum = 0.0;
            let mut watch = Watch::default();
            for step in 0..steps_per_epoch {
                let mut accumulator = GradientsAccumulator::new();
                let mut loss = 0.0;
                for _ in 0..config.accumulate {
                    let batch = to_device(next_batch()?, method.encoder(), &device)?;
                    let pass = method.step(batch)?;
                    watch.see(&pass);
                    let share = pass.loss / config.accumulate as f64;
                    let gradients = GradientsParams::from_grads(share.backward(), &method);
                    accumulator.accumulate(&method, gradients);
                    loss += f64::from(share.into_scalar::<f32>());
                }
                if !loss.is_finite() {
                    return Err(SslError::Diverged {
                        epoch: epoch + 1,
                        loss,
                        learning_rate: config.learning_rate,
                    });
                }
                let done = epoch * steps_per_epoch + step;
                let learning_rate = config.rate(done, steps_per_epoch);
                method = optimizer.step(learning_rate, method, accumulator.grads());
                method = method.after_step(done as f64 / steps as f64);
                sum += loss;
                on_progress(Progress::Step {
                    loss,
                    learning_rate,
                })?;
            }
            // Batches that do not fill a step.
            for _ in steps_per_epoch * config.accumulate..views.len() / config.batch {
                next_batch()?;
            }
            epochs.push(Epoch {
                epoch: epoch + 1,
                loss: sum / steps_per_epoch as f64,
                learning_rate: config.rate((epoch + 1) * steps_per_epoch - 1, steps_per_epoch),
                health: watch.health(),
            });
            if let Some(checkpoints) = &checkpoints {
                checkpoint::save(checkpoints, config, &epochs, &method, &optimizer)?;
            }
            on_progress(Progress::Epoch {
                method: &method,
                epochs: &epochs,
            })?;
        }
        Ok::<_, SslError>(method)
    })?;
    Ok(Trained {
        method,
        epochs,
        waited,
        took: started.elapsed(),
    })
}

fn to_device(batch: HostBatch, encoder: &Encoder, device: &Device) -> Result<Batch, SslError> {
    let HostBatch {
        items,
        views,
        labels,
        descriptions,
        key,
    } = batch;
    let images = views.first().map_or(0, Vec::len);
    let descriptions = descriptions.map(|values| {
        let shape = [images, values.len() / images.max(1)];
        Tensor::from_data(TensorData::new(values, shape), device)
    });
    let views = views.iter().map(|view| {
        let tensor = to_tensor(view, encoder, device);
        tensor.map_err(|error| error.renumbered(|index| items[index]))
    });
    Ok(Batch {
        views: views.collect::<Result<_, _>>()?,
        labels,
        descriptions,
        key,
    })
}
