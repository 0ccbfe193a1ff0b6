//! The training loop: any method, any views, resumable.

mod checkpoint;

use std::{
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

use burn::{
    optim::{AdamWConfig, GradientsParams},
    tensor::{Device, Tensor},
};
use ndarray::Array3;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use spheroid_core::{DrawKey, at_least, non_negative, positive};

use crate::{SslError, embedder::to_tensor, methods::Method};

/// Settings of [`train`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrainConfig {
    /// Passes over the images.
    pub epochs: usize,
    /// Images a step; what is left over at the end of an epoch waits for another.
    pub batch: usize,
    /// Peak learning rate of AdamW, reached after the warm-up and falling to 0 along half a cosine.
    pub learning_rate: f64,
    /// Decoupled weight decay of AdamW.
    pub weight_decay: f64,
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
            learning_rate: 2e-3,
            weight_decay: 1e-4,
            warmup_epochs: 2,
            seed,
        }
    }

    fn check(&self, images: usize) -> Result<(), SslError> {
        if self.epochs > 0 {
            at_least("batch", self.batch, 2, "at least 2")?;
        }
        positive("learning_rate", self.learning_rate)?;
        non_negative("weight_decay", self.weight_decay)?;
        if images < self.batch && self.epochs > 0 {
            return Err(SslError::TooFewImages {
                images,
                batch: self.batch,
            });
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

/// Augmented views of a collection of images.
///
/// Views are made on several threads while the previous step is computed; equal `(seed, epoch, item)`
/// must give equal views.
pub trait Views: Sync {
    /// Why a view could not be made.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Number of images.
    fn len(&self) -> usize;

    /// Whether there is no image.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The views of one image in one epoch, each `[plane, row, column]`; every image has as many.
    ///
    /// # Errors
    /// When the image cannot be loaded or augmented.
    fn views(&self, seed: u64, epoch: u64, item: usize) -> Result<Vec<Array3<f32>>, Self::Error>;
}

/// One finished epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Mean loss of its steps.
    pub loss: f64,
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
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
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

/// Optimises `method` on views of images.
///
/// Views are made on a thread of their own and on rayon's global pool, whatever pool the caller is in.
///
/// With `checkpoints` the state is stored after every epoch. A run that resumes ends with the weights
/// of an uninterrupted one on the same device.
///
/// # Errors
/// When a setting is outside what is allowed, a view cannot be made or has the wrong shape, the loss
/// stops being finite, or a checkpoint cannot be written, read, or belongs to other settings.
pub fn train<M: Method, V: Views>(
    method: M,
    views: &V,
    config: &TrainConfig,
    device: &Device,
    checkpoints: Option<Checkpoints<'_>>,
    mut on_progress: impl FnMut(Progress),
) -> Result<Trained<M>, SslError> {
    config.check(views.len())?;
    let planes = method.encoder().planes();
    let device = device.clone().autodiff();
    let mut method = method.to_device(&device).train();
    let mut optimizer = AdamWConfig::new()
        .with_weight_decay(config.weight_decay as f32)
        .init();
    let mut epochs = Vec::new();
    if let Some(checkpoints) = checkpoints
        && checkpoints.resume
        && let Some(state) = checkpoint::load(&checkpoints, config)?
    {
        (method, optimizer, epochs) = state.apply(method, optimizer)?;
    }

    let steps_per_epoch = views.len() / config.batch.max(1);
    let steps = config.epochs * steps_per_epoch;
    on_progress(Progress::Started {
        done: epochs.len() * steps_per_epoch,
        steps,
    });
    let started = Instant::now();
    let mut waited = Duration::ZERO;
    let first = epochs.len();
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(AHEAD);
        let producer = scope.spawn(move || make_batches(views, config, first, &sender));
        for epoch in first..config.epochs {
            let mut sum = 0.0;
            for step in 0..steps_per_epoch {
                let asked = Instant::now();
                let Ok(batch) = receiver.recv() else {
                    // A batch is sent for every step unless making one panics.
                    let panic = producer.join().expect_err("fewer batches than steps");
                    std::panic::resume_unwind(panic);
                };
                let batch = batch?;
                waited += asked.elapsed();
                let tensors = batch
                    .iter()
                    .map(|view| to_tensor(view, planes, &device))
                    .collect::<Result<Vec<Tensor<4>>, _>>()?;
                let loss = method.loss(tensors)?;
                let gradients = GradientsParams::from_grads(loss.backward(), &method);
                let rate = config.rate(epoch * steps_per_epoch + step, steps_per_epoch);
                method = optimizer.step(rate, method.clone(), gradients);
                let loss = f64::from(loss.into_scalar::<f32>());
                if !loss.is_finite() {
                    let learning_rate = config.learning_rate;
                    return Err(SslError::Diverged {
                        epoch: epoch + 1,
                        loss,
                        learning_rate,
                    });
                }
                sum += loss;
                on_progress(Progress::Step { loss });
            }
            epochs.push(Epoch {
                epoch: epoch + 1,
                loss: sum / steps_per_epoch as f64,
            });
            if let Some(checkpoints) = &checkpoints {
                checkpoint::save(checkpoints, config, &epochs, &method, &optimizer)?;
            }
        }
        Ok(())
    })?;
    Ok(Trained {
        method,
        epochs,
        waited,
        took: started.elapsed(),
    })
}

/// The images of every step of an epoch, in an order that seed and epoch fix.
fn batches(images: usize, config: &TrainConfig, epoch: usize) -> Vec<Vec<usize>> {
    let key = DrawKey {
        seed: config.seed,
        epoch: epoch as u64,
        item: u64::MAX,
        view: 0,
    };
    let mut order: Vec<usize> = (0..images).collect();
    order.shuffle(&mut key.rng());
    order
        .chunks_exact(config.batch)
        .map(<[usize]>::to_vec)
        .collect()
}

/// Batches that are ready before they are asked for.
const AHEAD: usize = 2;

/// Makes the views of every batch of the epochs from `first` on (view by view) and sends them, as far ahead as
/// the channel holds.
fn make_batches<V: Views>(
    views: &V,
    config: &TrainConfig,
    first: usize,
    sender: &mpsc::SyncSender<Result<Vec<Vec<Array3<f32>>>, SslError>>,
) {
    for epoch in first..config.epochs {
        for batch in batches(views.len(), config, epoch) {
            let made = make_views(views, config.seed, epoch, &batch);
            let failed = made.is_err();
            // The receiver is gone when a step has failed.
            if sender.send(made).is_err() || failed {
                return;
            }
        }
    }
}

/// Views of a batch, outer index the view.
fn make_views<V: Views>(
    views: &V,
    seed: u64,
    epoch: usize,
    batch: &[usize],
) -> Result<Vec<Vec<Array3<f32>>>, SslError> {
    let images = batch
        .par_iter()
        .map(|&index| {
            views
                .views(seed, epoch as u64, index)
                .map_err(|source| SslError::View {
                    index,
                    source: Box::new(source),
                })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let count = images.first().map_or(0, Vec::len);
    if let Some(other) = images.iter().position(|views| views.len() != count) {
        return Err(SslError::Image {
            index: batch[other],
            found: format!("of {} views", images[other].len()),
            expected: format!("{count} views, as of image {}", batch[0]),
        });
    }
    let mut by_view: Vec<Vec<Array3<f32>>> = vec![Vec::new(); count];
    for views in images {
        for (view, image) in views.into_iter().enumerate() {
            by_view[view].push(image);
        }
    }
    Ok(by_view)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use spheroid_core::Embed;

    use super::*;
    use crate::{
        FrozenEncoder,
        encoder::EncoderConfig,
        load_encoder,
        methods::{AnyMethod, MethodConfig},
        save_encoder,
    };

    /// Sixteen gratings, each of an own frequency, seen at a random phase.
    struct Gratings;

    impl Views for Gratings {
        type Error = Infallible;

        fn len(&self) -> usize {
            16
        }

        fn views(
            &self,
            seed: u64,
            epoch: u64,
            item: usize,
        ) -> Result<Vec<Array3<f32>>, Infallible> {
            use rand::RngExt;
            let view = |view| {
                let mut rng = DrawKey {
                    seed,
                    epoch,
                    item: item as u64,
                    view,
                }
                .rng();
                let phase: f32 = rng.random_range(0.0..6.0);
                let frequency = 0.2 + 0.1 * item as f32;
                Array3::from_shape_fn((1, 24, 24), |(_, r, _)| {
                    (frequency * r as f32 + phase).sin()
                })
            };
            Ok(vec![view(0), view(1)])
        }
    }

    const ENCODER: EncoderConfig = EncoderConfig {
        planes: 1,
        blocks: [1; 4],
        width: 4,
    };

    fn method(name: &str) -> AnyMethod {
        let encoder = ENCODER.build(5, &Device::flex()).unwrap();
        MethodConfig::by_name(name)
            .unwrap()
            .build(encoder, 5)
            .unwrap()
    }

    fn config(epochs: usize) -> TrainConfig {
        TrainConfig {
            batch: 8,
            ..TrainConfig::new(epochs, 5)
        }
    }

    fn at<'a>(folder: &'a Path, identity: &'a str, resume: bool) -> Option<Checkpoints<'a>> {
        Some(Checkpoints {
            folder,
            identity,
            resume,
        })
    }

    fn run(name: &str, epochs: usize) -> Trained<AnyMethod> {
        let device = Device::flex();
        train(
            method(name),
            &Gratings,
            &config(epochs),
            &device,
            None,
            |_| (),
        )
        .unwrap()
    }

    fn features(method: &AnyMethod) -> Vec<f32> {
        let images: Vec<_> = (0..4)
            .map(|item| Gratings.views(0, 0, item).unwrap().remove(0))
            .collect();
        let frozen = FrozenEncoder::new(method.encoder(), &Device::flex());
        frozen.embed(&images).unwrap().into_raw_vec_and_offset().0
    }

    #[test]
    fn every_method_learns() {
        for name in MethodConfig::NAMES {
            let config = TrainConfig {
                learning_rate: 1e-2,
                ..config(80)
            };
            let device = Device::flex();
            let trained = train(method(name), &Gratings, &config, &device, None, |_| ()).unwrap();
            let (first, last) = (trained.epochs[0].loss, trained.epochs[79].loss);
            assert!(last < 0.9 * first, "{name}: from {first} to {last}");
        }
    }

    #[test]
    fn one_seed_gives_one_batch_whatever_the_threads() {
        let in_pool = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| make_views(&Gratings, 5, 1, &[3, 0, 11, 7]).unwrap())
        };
        let alone = in_pool(1);
        assert_eq!(alone, in_pool(3));
        assert_eq!((alone.len(), alone[0].len()), (2, 4));
    }

    /// Fails, or panics, in the second epoch.
    struct Broken {
        panics: bool,
    }

    impl Views for Broken {
        type Error = std::fmt::Error;

        fn len(&self) -> usize {
            16
        }

        fn views(
            &self,
            seed: u64,
            epoch: u64,
            item: usize,
        ) -> Result<Vec<Array3<f32>>, Self::Error> {
            if epoch == 1 {
                assert!(!self.panics, "no light");
                return Err(std::fmt::Error);
            }
            Ok(Gratings.views(seed, epoch, item).unwrap())
        }
    }

    #[test]
    fn what_goes_wrong_with_a_view_is_told() {
        let run = |panics| {
            let device = Device::flex();
            train(
                method("simclr"),
                &Broken { panics },
                &config(3),
                &device,
                None,
                |_| (),
            )
        };
        assert!(matches!(run(false), Err(SslError::View { .. })));
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(true)));
        let payload = panic.err().unwrap();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"no light"));
    }

    #[test]
    fn one_seed_gives_one_encoder_whatever_the_threads() {
        let in_pool = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| features(&run("simclr", 2).method))
        };
        assert_eq!(in_pool(1), in_pool(3));
        let other = TrainConfig {
            seed: 6,
            ..config(2)
        };
        let device = Device::flex();
        let other = train(method("simclr"), &Gratings, &other, &device, None, |_| ()).unwrap();
        assert_ne!(features(&other.method), in_pool(1));
    }

    #[test]
    fn a_resumed_run_ends_like_an_uninterrupted_one() {
        let device = Device::flex();
        let folder = tempfile::tempdir().unwrap();
        let config = config(4);
        let mut steps = 0;
        let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let progress = |progress| {
                if matches!(progress, Progress::Step { .. }) {
                    steps += 1;
                    assert!(steps < 6, "killed in the middle of the third epoch");
                }
            };
            train(
                method("simclr"),
                &Gratings,
                &config,
                &device,
                at(folder.path(), "gratings", false),
                progress,
            )
        }));
        assert!(stopped.is_err());
        let left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(left, ["epoch-00002"]);

        let mut started = None;
        let progress = |progress| {
            if matches!(progress, Progress::Started { .. }) {
                started = Some(progress);
            }
        };
        let resumed = train(
            method("simclr"),
            &Gratings,
            &config,
            &device,
            at(folder.path(), "gratings", true),
            progress,
        )
        .unwrap();
        assert_eq!(started, Some(Progress::Started { done: 4, steps: 8 }));
        let whole = run("simclr", 4);
        assert_eq!(resumed.epochs, whole.epochs);
        assert_eq!(features(&resumed.method), features(&whole.method));
    }

    #[test]
    fn a_checkpoint_of_other_settings_or_images_is_refused() {
        let device = Device::flex();
        let folder = tempfile::tempdir().unwrap();
        let run = |config, identity, resume| {
            let checkpoints = at(folder.path(), identity, resume);
            train(
                method("simclr"),
                &Gratings,
                &config,
                &device,
                checkpoints,
                |_| (),
            )
        };
        run(config(1), "gratings", false).unwrap();
        for (epochs, identity) in [(2, "gratings"), (1, "other images")] {
            let again = run(config(epochs), identity, true);
            assert!(matches!(again, Err(SslError::OtherRun { .. })));
        }
        assert_eq!(run(config(1), "gratings", true).unwrap().epochs.len(), 1);
    }

    #[test]
    fn a_damaged_checkpoint_is_named() {
        let device = Device::flex();
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        train(
            method("simclr"),
            &Gratings,
            &config(1),
            &device,
            at(folder, "gratings", false),
            |_| (),
        )
        .unwrap();
        std::fs::write(folder.join("epoch-00001/method.bpk"), b"half").unwrap();
        let again = train(
            method("simclr"),
            &Gratings,
            &config(1),
            &device,
            at(folder, "gratings", true),
            |_| (),
        );
        let error = again.unwrap_err().to_string();
        assert!(error.contains("method.bpk"), "{error}");
    }

    #[test]
    fn a_stored_encoder_embeds_alike() {
        let folder = tempfile::tempdir().unwrap();
        let method = run("simclr", 1).method;
        save_encoder(folder.path(), &ENCODER, method.encoder()).unwrap();
        let (config, encoder) = load_encoder(folder.path(), &Device::flex()).unwrap();
        assert_eq!(config, ENCODER);
        let head = MethodConfig::by_name("simclr")
            .unwrap()
            .build(encoder, 0)
            .unwrap();
        assert_eq!(features(&head), features(&method));

        let path = folder.path().join("encoder.json");
        std::fs::write(
            &path,
            r#"{"planes": 1, "blocks": [1, 1, 1, 1], "width": 5}"#,
        )
        .unwrap();
        let error = load_encoder(folder.path(), &Device::flex()).unwrap_err();
        assert!(matches!(error, SslError::Model { .. }), "{error}");
    }

    #[test]
    fn too_few_images_and_senseless_settings_are_refused() {
        let device = Device::flex();
        let run = |config: TrainConfig| {
            train(method("simclr"), &Gratings, &config, &device, None, |_| ()).unwrap_err()
        };
        let error = run(TrainConfig {
            batch: 17,
            ..config(1)
        });
        assert!(matches!(
            error,
            SslError::TooFewImages {
                images: 16,
                batch: 17
            }
        ));
        let error = run(TrainConfig {
            learning_rate: f64::NAN,
            ..config(1)
        });
        assert!(matches!(error, SslError::Param(_)));
    }

    #[test]
    fn no_epoch_leaves_the_encoder_as_it_was() {
        assert_eq!(
            features(&run("simclr", 0).method),
            features(&method("simclr"))
        );
    }

    #[test]
    fn the_learning_rate_rises_and_falls() {
        let config = TrainConfig {
            learning_rate: 1.0,
            warmup_epochs: 1,
            ..config(5)
        };
        let rates: Vec<f64> = (0..20).map(|step| config.rate(step, 4)).collect();
        assert_eq!(rates[..4], [0.25, 0.5, 0.75, 1.0]);
        assert!((rates[12] - 0.5).abs() < 1e-12 && rates[19] < 0.02);
    }

    #[test]
    fn initial_weights_depend_on_the_seed_alone() {
        let weights = |seed| {
            let encoder = ENCODER.build(seed, &Device::flex()).unwrap();
            features(
                &MethodConfig::by_name("simclr")
                    .unwrap()
                    .build(encoder, 0)
                    .unwrap(),
            )
        };
        assert_eq!(weights(1), weights(1));
        assert_ne!(weights(1), weights(2));
    }
}
