use burn::{module::Module, tensor::Tensor};
use serde::{Deserialize, Serialize};
use spheroid_core::at_least;
use spheroid_kernels::{InfoNce, InfoNceConfig, KernelError};

use super::{Batch, HeadConfig, Method, ProjectionHead, Step, Targets, encode};
use crate::{SslError, encoder::Encoder, init::draw_weights};

/// Settings of [`ConVirt`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ConVirtConfig {
    /// Temperature of the loss; above 0.
    pub temperature: f64,
    /// Share of the loss that asks an image for its treatment, 0 to 1; the rest asks a treatment for its
    /// image.
    pub weight: f64,
    /// The projection head of images; that of treatments has the same sizes.
    pub head: HeadConfig,
}

impl Default for ConVirtConfig {
    fn default() -> Self {
        Self {
            temperature: 0.1,
            weight: 0.75,
            head: HeadConfig::new(2, 256, 64),
        }
    }
}

impl ConVirtConfig {
    pub(super) fn build(
        &self,
        encoder: Encoder,
        targets: &Targets,
        seed: u64,
    ) -> Result<ConVirt, SslError> {
        loss(self.temperature, self.weight)?;
        let rule = "at least 1 for ConVIRT, which learns from treatments";
        at_least("description", targets.description, 1, rule)?;
        let device = encoder.device();
        let image = self.head.build(encoder.features(), &device)?;
        let text = self.head.build(targets.description + 1, &device)?;
        Ok(ConVirt {
            head: draw_weights(image, seed.wrapping_add(1)),
            text: draw_weights(text, seed.wrapping_add(2)),
            encoder,
            temperature: self.temperature,
            weight: self.weight,
        })
    }
}

fn loss(temperature: f64, weight: f64) -> Result<InfoNce, KernelError> {
    let mut config = InfoNceConfig::new(temperature);
    config.weight = weight;
    config.build()
}

/// ConVIRT with the treatment in the place of the text: an image and the drugs and doses of its well shall
/// find each other among those of other wells.
///
/// **Learns from labels.** A treatment is numbers (one a drug), so its encoder is a perceptron. Wells of one
/// treatment have the same text and are each other's right answers.
///
/// # Source
/// Zhang et al. 2020, arXiv 2010.00747, section 3.
#[derive(Module, Debug)]
pub struct ConVirt {
    encoder: Encoder,
    head: ProjectionHead,
    text: ProjectionHead,
    temperature: f64,
    weight: f64,
}

impl Method for ConVirt {
    const LEARNS_FROM_LABELS: bool = true;

    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    fn step(&self, batch: Batch) -> Result<Step, SslError> {
        let images = batch.images("ConVIRT", 2, 1)?;
        let descriptions = batch.descriptions("ConVIRT", self.text.inputs() - 1)?;
        let groups = equal_rows(descriptions.clone());
        let features = encode(&self.encoder, &batch.views);
        let views = features.len();
        let embeddings = self.head.forward(Tensor::cat(features.clone(), 0));
        // No drug is all zeros, which without the one beside it has no direction.
        let one = Tensor::ones([images, 1], &descriptions.device());
        let text = self.text.forward(Tensor::cat(vec![descriptions, one], 1));
        let text = text.repeat(&[views, 1]);
        let loss = loss(self.temperature, self.weight)?;
        let loss = loss.forward(embeddings.clone(), text, &groups.repeat(views))?;
        Ok(Step {
            loss,
            features,
            embeddings: embeddings.split(images, 0),
        })
    }
}

/// For every row the number of the first row equal to it.
fn equal_rows(rows: Tensor<2>) -> Vec<usize> {
    let [count, features] = rows.dims();
    let values = rows.into_data().try_to_vec::<f32>();
    let values = values.expect("descriptions are 32-bit floats");
    let row = |index: usize| &values[index * features..][..features];
    (0..count)
        .map(|index| (0..index).find(|first| row(*first) == row(index)))
        .enumerate()
        .map(|(index, first)| first.unwrap_or(index))
        .collect()
}
