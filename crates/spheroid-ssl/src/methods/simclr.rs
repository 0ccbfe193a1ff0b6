use burn::{module::Module, tensor::Tensor};
use serde::{Deserialize, Serialize};
use spheroid_kernels::{Denominator, NtXentConfig, SupConConfig};

use super::{Batch, HeadConfig, Method, ProjectionHead, Step, Targets, encode};
use crate::{SslError, encoder::Encoder, init::draw_weights};

/// Settings of [`SimClr`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SimClrConfig {
    /// Temperature of the loss; above 0.
    pub temperature: f64,
    /// Whether the positives are left out of the denominator: decoupled contrastive learning, the thesis's
    /// fifth variation.
    pub decoupled: bool,
    /// The projection head; 512 → 512 → 20 in the thesis.
    pub head: HeadConfig,
}

impl Default for SimClrConfig {
    fn default() -> Self {
        Self {
            temperature: 0.2,
            decoupled: false,
            head: HeadConfig::new(2, 256, 64),
        }
    }
}

impl SimClrConfig {
    pub(super) fn build(
        &self,
        encoder: Encoder,
        _: &Targets,
        seed: u64,
    ) -> Result<SimClr, SslError> {
        SupConConfig::new(self.temperature).build()?;
        let head = self.head.build(encoder.features(), &encoder.device())?;
        Ok(SimClr {
            head: draw_weights(head, seed.wrapping_add(1)),
            encoder,
            temperature: self.temperature,
            decoupled: self.decoupled,
        })
    }
}

/// SimCLR: the views of an image shall be closer to each other than to any other image.
///
/// Two views give NT-Xent. Of more views all others of an image are positives with equal shares, which is
/// the thesis's soft cross entropy; an anchor is a view like the others.
///
/// # Source
/// Chen, Kornblith, Norouzi, Hinton 2020, arXiv 2002.05709, algorithm 1.
#[derive(Module, Debug)]
pub struct SimClr {
    encoder: Encoder,
    head: ProjectionHead,
    temperature: f64,
    decoupled: bool,
}

impl Method for SimClr {
    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    fn step(&self, batch: Batch) -> Result<Step, SslError> {
        let images = batch.images("SimCLR", 2, 2)?;
        let features = encode(&self.encoder, &batch.views);
        let embeddings = self.head.forward(Tensor::cat(features.clone(), 0));
        let loss = if features.len() == 2 && !self.decoupled {
            NtXentConfig::new(self.temperature)
                .build()?
                .forward(embeddings.clone())?
        } else {
            let mut config = SupConConfig::new(self.temperature);
            if self.decoupled {
                config.denominator = Denominator::Negatives;
            }
            let groups: Vec<usize> = (0..features.len()).flat_map(|_| 0..images).collect();
            config.build()?.forward(embeddings.clone(), &groups)?
        };
        Ok(Step {
            loss,
            features,
            embeddings: embeddings.split(images, 0),
        })
    }
}
