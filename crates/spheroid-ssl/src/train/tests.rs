use std::convert::Infallible;

use ndarray::Array3;
use spheroid_core::{DrawKey, Embed};

use super::{
    batches::{batches, make_batch},
    *,
};
use crate::{
    FrozenEncoder,
    collapse::Collapse,
    encoder::{EncoderConfig, Pooling},
    load_encoder,
    methods::{AnyMethod, MethodConfig, Targets, smallest},
    save_encoder,
    weights::to_safetensors,
};

/// Sixteen gratings, each of an own frequency, seen at a random phase.
struct Gratings;

impl Views for Gratings {
    type Error = Infallible;

    fn len(&self) -> usize {
        16
    }

    fn views(&self, seed: u64, epoch: u64, item: usize) -> Result<Vec<Array3<f32>>, Infallible> {
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

    fn label(&self, item: usize) -> Option<usize> {
        Some(item / 8)
    }

    fn description(&self, item: usize) -> Option<Vec<f32>> {
        let feature = |index| f32::from(u8::from(item / 8 == index));
        Some(vec![feature(0), feature(1), 0.0])
    }

    fn stratum(&self, item: usize) -> usize {
        item % 2
    }
}

fn encoder() -> EncoderConfig {
    EncoderConfig::by_name("resnet10-w4", 1).unwrap()
}

fn method(name: &str) -> AnyMethod {
    smallest(name, 5)
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
        |_| Ok(()),
    )
    .unwrap()
}

fn features(method: &AnyMethod) -> Vec<f32> {
    let images: Vec<_> = (0..4)
        .map(|item| Gratings.views(0, 0, item).unwrap().remove(0))
        .collect();
    let frozen = FrozenEncoder::new(method.encoder(), Pooling::ALL, &Device::flex());
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
        let trained = train(method(name), &Gratings, &config, &device, None, |_| Ok(())).unwrap();
        let (first, last) = (trained.epochs[0].loss, trained.epochs[79].loss);
        assert!(
            first - last > 0.1 * first.abs(),
            "{name}: from {first} to {last}"
        );
    }
}

#[test]
fn one_seed_gives_one_batch_whatever_the_threads() {
    let in_pool = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let key = DrawKey {
            seed: 5,
            epoch: 1,
            item: 0,
            view: 0,
        };
        pool.install(|| make_batch(&Gratings, &[3, 0, 11, 7], key).unwrap())
    };
    let alone = in_pool(1);
    assert_eq!(alone.views, in_pool(3).views);
    assert_eq!((alone.views.len(), alone.views[0].len()), (2, 4));
    assert_eq!(alone.labels, Some(vec![0, 0, 1, 0]));
    assert_eq!(alone.descriptions.unwrap()[6..9], [0.0, 1.0, 0.0]);
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

    fn views(&self, seed: u64, epoch: u64, item: usize) -> Result<Vec<Array3<f32>>, Self::Error> {
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
            |_| Ok(()),
        )
    };
    assert!(matches!(run(false), Err(SslError::View { .. })));
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(true)));
    let payload = panic.err().unwrap();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"no light"));
}

#[test]
fn what_follows_a_training_can_stop_it() {
    let mut epochs = 0;
    let progress = |progress: Progress<'_, AnyMethod>| match progress {
        Progress::Epoch { .. } => {
            epochs += 1;
            Err(SslError::Stopped("the disk is full".into()))
        }
        _ => Ok(()),
    };
    let device = Device::flex();
    let stopped = train(
        method("simclr"),
        &Gratings,
        &config(3),
        &device,
        None,
        progress,
    );
    let error = stopped.unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "the disk is full");
    assert_eq!(epochs, 1);
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
    let other = train(method("simclr"), &Gratings, &other, &device, None, |_| {
        Ok(())
    })
    .unwrap();
    assert_ne!(features(&other.method), in_pool(1));
}

/// Trains and dies in step `last` of the run.
fn killed(name: &str, config: &TrainConfig, folder: &Path, last: usize) {
    let mut steps = 0;
    let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let progress = |progress: Progress<'_, AnyMethod>| {
            if matches!(progress, Progress::Step { .. }) {
                steps += 1;
                assert!(steps < last, "killed");
            }
            Ok(())
        };
        let checkpoints = at(folder, "gratings", false);
        train(
            method(name),
            &Gratings,
            config,
            &Device::flex(),
            checkpoints,
            progress,
        )
    }));
    assert!(stopped.is_err());
}

#[test]
fn a_resumed_run_ends_like_an_uninterrupted_one() {
    let device = Device::flex();
    let optimizers = OptimizerConfig::NAMES.iter().cycle();
    for (name, optimizer) in MethodConfig::NAMES.iter().zip(optimizers) {
        let config = TrainConfig {
            optimizer: OptimizerConfig::by_name(optimizer).unwrap(),
            ..config(4)
        };
        let folder = tempfile::tempdir().unwrap();
        killed(name, &config, folder.path(), 6);
        let left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(left, ["epoch-00002"]);

        let mut started = None;
        let progress = |progress: Progress<'_, AnyMethod>| {
            if let Progress::Started { done, steps } = progress {
                started = Some((done, steps));
            }
            Ok(())
        };
        let checkpoints = at(folder.path(), "gratings", true);
        let resumed = train(
            method(name),
            &Gratings,
            &config,
            &device,
            checkpoints,
            progress,
        );
        let resumed = resumed.unwrap();
        assert_eq!(started, Some((4, 8)));
        let whole = train(method(name), &Gratings, &config, &device, None, |_| Ok(())).unwrap();
        assert_eq!(resumed.epochs, whole.epochs, "{name}");
        assert_eq!(features(&resumed.method), features(&whole.method), "{name}");
    }
}

#[test]
fn batches_hold_one_stratum_as_far_as_it_fills_them() {
    let config = TrainConfig {
        batch: 6,
        ..config(1)
    };
    let batches = batches(&Gratings, &config, 0);
    // Two strata of eight images: a batch of each, and none of the four that are left.
    assert_eq!(batches.len(), 2);
    for batch in &batches {
        assert!(
            batch.iter().all(|item| item % 2 == batch[0] % 2),
            "{batch:?}"
        );
    }
    let config = TrainConfig { batch: 5, ..config };
    let batches = super::batches::batches(&Gratings, &config, 0);
    assert_eq!(batches.len(), 16 / 5);
    let mut seen: Vec<usize> = batches.concat();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 15);
}

#[test]
fn averaged_passes_make_one_step() {
    let device = Device::flex();
    let config = TrainConfig {
        batch: 4,
        accumulate: 3,
        ..config(2)
    };
    let mut steps = 0;
    let progress = |progress: Progress<'_, AnyMethod>| {
        steps += usize::from(matches!(progress, Progress::Step { .. }));
        Ok(())
    };
    let trained = train(
        method("simclr"),
        &Gratings,
        &config,
        &device,
        None,
        progress,
    )
    .unwrap();
    assert_eq!(steps, 2);
    // Three passes of random features compare four images each.
    let loss = trained.epochs[0].loss;
    assert!((0.5..3.0).contains(&loss), "{loss}");
    let too_many = TrainConfig {
        accumulate: 5,
        ..config
    };
    let error = train(
        method("simclr"),
        &Gratings,
        &too_many,
        &device,
        None,
        |_| Ok(()),
    );
    assert!(matches!(error, Err(SslError::Param(_))));
}

/// Every image is the same.
struct Dark;

impl Views for Dark {
    type Error = Infallible;

    fn len(&self) -> usize {
        16
    }

    fn views(&self, _: u64, _: u64, _: usize) -> Result<Vec<Array3<f32>>, Infallible> {
        Ok(vec![Array3::from_elem((1, 24, 24), 0.3); 2])
    }
}

#[test]
fn a_collapse_is_seen() {
    let device = Device::flex();
    let run = |views: bool| {
        let config = config(2);
        let method = method("vicreg");
        let trained = if views {
            train(method, &Gratings, &config, &device, None, |_| Ok(()))
        } else {
            train(method, &Dark, &config, &device, None, |_| Ok(()))
        };
        trained.unwrap().epochs[1].health.unwrap()
    };
    let healthy = run(true);
    assert_eq!(healthy.collapse(), None);
    assert!(healthy.agreement.unwrap() > 0.1, "{healthy:?}");
    let dark = run(false);
    assert!(
        matches!(dark.collapse(), Some(Collapse::Constant { .. })),
        "{dark:?}"
    );
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
            |_| Ok(()),
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
        |_| Ok(()),
    )
    .unwrap();
    std::fs::write(folder.join("epoch-00001/method.safetensors"), b"half").unwrap();
    let again = train(
        method("simclr"),
        &Gratings,
        &config(1),
        &device,
        at(folder, "gratings", true),
        |_| Ok(()),
    );
    let error = again.unwrap_err().to_string();
    assert!(error.contains("method.safetensors"), "{error}");
}

#[test]
fn a_stored_encoder_embeds_alike() {
    let folder = tempfile::tempdir().unwrap();
    let method = run("simclr", 1).method;
    save_encoder(folder.path(), &encoder(), method.encoder()).unwrap();
    let (config, loaded) = load_encoder(folder.path(), &Device::flex()).unwrap();
    assert_eq!(config, encoder());
    let head = MethodConfig::by_name("simclr")
        .unwrap()
        .build(loaded, &Targets::default(), 0)
        .unwrap();
    assert_eq!(features(&head), features(&method));

    let path = folder.path().join("encoder.json");
    let other = EncoderConfig::by_name("resnet10-w5", 1).unwrap();
    std::fs::write(&path, serde_json::to_vec(&other).unwrap()).unwrap();
    let error = load_encoder(folder.path(), &Device::flex()).unwrap_err();
    assert!(matches!(error, SslError::Model { .. }), "{error}");
}

#[test]
fn too_few_images_and_senseless_settings_are_refused() {
    let device = Device::flex();
    let run = |config: TrainConfig| {
        train(method("simclr"), &Gratings, &config, &device, None, |_| {
            Ok(())
        })
        .unwrap_err()
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
        let encoder = encoder().build(seed, &Device::flex()).unwrap();
        features(
            &MethodConfig::by_name("simclr")
                .unwrap()
                .build(encoder, &Targets::default(), 0)
                .unwrap(),
        )
    };
    assert_eq!(weights(1), weights(1));
    assert_ne!(weights(1), weights(2));
}

/// What a method holds, by path: parameters and running statistics.
fn tensors(method: &AnyMethod) -> std::collections::BTreeMap<String, Vec<f32>> {
    let bytes = to_safetensors(method, Path::new("method.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let values = |view: safetensors::tensor::TensorView<'_>| {
        let numbers = view.data().chunks_exact(4);
        numbers
            .map(|number| f32::from_le_bytes(number.try_into().unwrap()))
            .collect()
    };
    file.tensors()
        .into_iter()
        .map(|(name, view)| (name, values(view)))
        .collect()
}

fn trained(name: &str, config: &TrainConfig) -> Result<AnyMethod, SslError> {
    let trained = train(
        method(name),
        &Gratings,
        config,
        &Device::flex(),
        None,
        |_| Ok(()),
    );
    Ok(trained?.method)
}

fn fine_tuned(name: &str, epochs: usize, fine_tune: FineTuneConfig) -> Result<AnyMethod, SslError> {
    let config = TrainConfig {
        fine_tune,
        ..config(epochs)
    };
    trained(name, &config)
}

/// Depth of a tensor of a ResNet's encoder, `None` for heads.
fn depth(path: &str) -> Option<usize> {
    if !path.contains("encoder") {
        return None;
    }
    let stages = ["layer1", "layer2", "layer3", "layer4"];
    let stage = stages.iter().position(|stage| path.contains(stage));
    Some(stage.map_or(0, |stage| stage + 1))
}

#[test]
fn frozen_depths_stay_as_they_were_and_the_others_learn() {
    for name in ["simclr", "byol"] {
        let before = tensors(&method(name));
        let config = FineTuneConfig {
            frozen_depths: 2,
            ..FineTuneConfig::default()
        };
        let after = tensors(&fine_tuned(name, 2, config).unwrap());
        let (mut still, mut moved) = (0, 0);
        for (path, values) in &before {
            let same = after[path] == *values;
            match depth(path) {
                Some(0 | 1) => {
                    assert!(same, "{name}: {path} moved");
                    still += 1;
                }
                _ => moved += usize::from(!same),
            }
        }
        assert!(
            still > 10 && moved > 20,
            "{name}: {still} still, {moved} moved"
        );
    }
}

#[test]
fn running_statistics_stand_still_when_batch_norm_uses_them() {
    for (batch_norm, follow) in [
        (BatchNormStatistics::Batch, true),
        (BatchNormStatistics::Running, false),
    ] {
        let config = FineTuneConfig {
            batch_norm,
            ..FineTuneConfig::default()
        };
        let before = tensors(&method("simclr"));
        let after = tensors(&fine_tuned("simclr", 2, config).unwrap());
        let mut statistics = 0;
        for (path, values) in before.iter().filter(|(path, _)| depth(path).is_some()) {
            let changed = after[path] != *values;
            if path.contains("running") {
                statistics += 1;
                assert_eq!(changed, follow, "{path}");
            } else {
                assert!(changed, "{path}");
            }
        }
        assert!(statistics > 10);
    }
}

#[test]
fn every_depth_learns_at_a_share_of_the_rate_of_the_next() {
    // One step of plain gradient descent is proportional to the rate.
    let step = |layer_decay| {
        let config = TrainConfig {
            batch: 16,
            optimizer: OptimizerConfig::Sgd { momentum: 0.0 },
            weight_decay: 0.0,
            learning_rate: 1.0,
            warmup_epochs: 0,
            fine_tune: FineTuneConfig {
                layer_decay,
                ..FineTuneConfig::default()
            },
            ..config(1)
        };
        tensors(&trained("simclr", &config).unwrap())
    };
    let (before, whole, decayed) = (tensors(&method("simclr")), step(1.0), step(0.5));
    let mut seen = 0;
    for (path, start) in &before {
        if path.contains("running") {
            continue;
        }
        let share = depth(path).map_or(1.0, |depth| 0.5f32.powi(4 - depth as i32));
        let moves =
            |after: &[f32]| -> Vec<f32> { after.iter().zip(start).map(|(a, b)| a - b).collect() };
        let (whole, decayed) = (moves(&whole[path]), moves(&decayed[path]));
        let most = whole.iter().fold(0.0f32, |most, step| most.max(step.abs()));
        if most < 1e-4 {
            continue;
        }
        seen += 1;
        for (whole, decayed) in whole.iter().zip(&decayed) {
            assert!((share * whole - decayed).abs() < 2e-3 * most, "{path}");
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn fine_tuning_that_makes_no_sense_is_refused() {
    let refused = |fine_tune| {
        let result = fine_tuned("simclr", 1, fine_tune);
        assert!(matches!(result, Err(SslError::Param(_))), "{fine_tune:?}");
    };
    for layer_decay in [0.0, -0.5, 1.5, f64::NAN] {
        refused(FineTuneConfig {
            layer_decay,
            ..FineTuneConfig::default()
        });
    }
    refused(FineTuneConfig {
        frozen_depths: 6,
        ..FineTuneConfig::default()
    });
}
