//! The baseline that learned representations are measured by: a network trained with the labels alone.

use ndarray::Array3;
use spheroid_augment::{Image, PolicyConfig};
use spheroid_core::{ParamError, at_least};
use spheroid_ssl::{
    Device, SslError,
    encoder::EncoderConfig,
    methods::{AnyMethod, MethodConfig, Supervised},
    probe::ConfusionMatrix,
    train::{Progress, TrainConfig, Views, train},
};

use crate::{Monitor, PipelineError, labelled::LabelledImages, monitor::tell, views::ImageViews};

/// Settings of [`supervised`].
#[derive(Debug, Clone, PartialEq)]
pub struct SupervisedConfig {
    /// The network, from random weights.
    pub encoder: EncoderConfig,
    /// How training images are varied; `supervised` crops to 80 to 100 %.
    pub policy: PolicyConfig,
    /// How it learns.
    pub train: TrainConfig,
    /// Epochs between two validations, at least 1; the last is always validated.
    pub validate_every: usize,
}

/// How the network did after an epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Validation {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Mean training loss of the epoch.
    pub loss: f64,
    /// On the images to test with.
    pub confusion: ConfusionMatrix,
}

/// Trains a classifier on `train_images` and validates it on `test_images` while it learns.
///
/// # Errors
/// When a setting is wrong, views and test images differ in shape or do not fit the network, or training
/// fails.
pub fn supervised(
    train_images: &LabelledImages,
    test_images: &LabelledImages,
    config: &SupervisedConfig,
    device: &Device,
    monitor: &dyn Monitor,
) -> Result<Vec<Validation>, PipelineError> {
    let every = config.validate_every;
    at_least("validate_every", every, 1, "at least 1")?;
    let views = ImageViews::new(train_images, &config.policy)?;
    let view = views.views(config.train.seed, 0, 0)?;
    let (seen, tested) = (view.first().map(Array3::dim), test_images.images()[0].dim());
    if seen != Some(tested) {
        let rule = "one whose views have the shape of the images to test with";
        return Err(ParamError::new("policy", format!("views of {seen:?}"), rule).into());
    }
    let classes = train_images.classes().len();
    let mut targets = views.targets();
    targets.classes = classes;
    let seed = config.train.seed;
    let encoder = config.encoder.build(seed, device)?;
    let method = MethodConfig::by_name("supervised")?.build(encoder, &targets, seed)?;
    let mut validations = Vec::new();
    let on_progress = |progress: Progress<'_, AnyMethod>| {
        tell(monitor, "training with labels", &progress);
        let Progress::Epoch { method, epochs } = progress else {
            return Ok(());
        };
        let due = |epoch: usize| epoch.is_multiple_of(every) || epoch == config.train.epochs;
        let epoch = epochs.last().filter(|epoch| due(epoch.epoch));
        if let (Some(epoch), AnyMethod::Supervised(method)) = (epoch, method) {
            let confusion = validate(method, test_images, &config.policy, device)
                .map_err(|error| SslError::Stopped(error.into()))?;
            validations.push(Validation {
                epoch: epoch.epoch,
                loss: epoch.loss,
                confusion,
            });
        }
        Ok(())
    };
    train(method, &views, &config.train, device, None, on_progress)?;
    monitor.finish();
    Ok(validations)
}

/// Classes that the network gives to whole images, normalised as in training.
fn validate(
    method: &Supervised,
    images: &LabelledImages,
    policy: &PolicyConfig,
    device: &Device,
) -> Result<ConfusionMatrix, PipelineError> {
    let normalized = images.images().iter().map(|image| {
        let image = Image::new(image)?;
        let image = match &policy.normalize {
            Some(normalize) => normalize.apply(image)?,
            None => image,
        };
        Ok(image.into_samples())
    });
    let normalized = normalized.collect::<Result<Vec<Array3<f32>>, PipelineError>>()?;
    let predicted = method.classify(&normalized, device)?;
    let classes = images.classes().len();
    Ok(ConfusionMatrix::new(images.labels(), &predicted, classes)?)
}
