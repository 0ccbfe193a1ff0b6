use burn::{module::Module, tensor::Tensor};
use serde::{Deserialize, Serialize};
use spheroid_kernels::SupConConfig;

use super::{Batch, HeadConfig, Method, ProjectionHead, Step, Targets, encode};
use crate::{SslError, encoder::Encoder, init::draw_weights};

/// Settings of [`SupCon`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SupConMethodConfig {
    /// Temperature of the loss; above 0.
    pub temperature: f64,
    /// The projection head.
    pub head: HeadConfig,
}

impl Default for SupConMethodConfig {
    fn default() -> Self {
        Self {
            temperature: 0.2,
            head: HeadConfig::new(2, 256, 64),
        }
    }
}

impl SupConMethodConfig {
    pub(super) fn build(
        &self,
        encoder: Encoder,
        _: &Targets,
        seed: u64,
    ) -> Result<SupCon, SslError> {
        SupConConfig::new(self.temperature).build()?;
        let head = self.head.build(encoder.features(), &encoder.device())?;
        Ok(SupCon {
            head: draw_weights(head, seed.wrapping_add(1)),
            encoder,
            temperature: self.temperature,
        })
    }
}

/// SupCon: images of one label shall be closer to each other than to those of any other label.
///
/// **Learns from labels**: the thesis's sixth variation.
///
/// # Source
/// Khosla et al. 2020, "Supervised Contrastive Learning", arXiv 2004.11362, equation 2.
#[derive(Module, Debug)]
pub struct SupCon {
    encoder: Encoder,
    head: ProjectionHead,
    temperature: f64,
}

impl Method for SupCon {
    const LEARNS_FROM_LABELS: bool = true;

    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    fn step(&self, batch: Batch) -> Result<Step, SslError> {
        let images = batch.images("SupCon", 2, 1)?;
        let labels = batch.labels("SupCon")?.to_vec();
        let features = encode(&self.encoder, &batch.views);
        let embeddings = self.head.forward(Tensor::cat(features.clone(), 0));
        let groups = labels.repeat(features.len());
        let loss = SupConConfig::new(self.temperature)
            .build()?
            .forward(embeddings.clone(), &groups)?;
        Ok(Step {
            loss,
            features,
            embeddings: embeddings.split(images, 0),
        })
    }
}
