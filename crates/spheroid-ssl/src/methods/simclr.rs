use burn::{module::Module, tensor::Tensor};
use serde::{Deserialize, Serialize};
use spheroid_core::at_least;
use spheroid_kernels::NtXentConfig;

use super::{Method, ProjectionHead, stack_two};
use crate::{SslError, encoder::Encoder, init::draw_weights};

/// Settings of [`SimClr`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SimClrConfig {
    /// Temperature of the loss; above 0.
    pub temperature: f64,
    /// Hidden features of the projection head.
    pub hidden: usize,
    /// Features that the loss compares; 20 in the thesis, 128 in the paper.
    pub projection: usize,
}

impl Default for SimClrConfig {
    fn default() -> Self {
        Self {
            temperature: 0.2,
            hidden: 256,
            projection: 64,
        }
    }
}

impl SimClrConfig {
    /// Joins `encoder` with a projection head whose weights are drawn from `seed`.
    ///
    /// # Errors
    /// When a size is 0 or the temperature is not finite and above 0.
    pub fn build(&self, encoder: Encoder, seed: u64) -> Result<SimClr, SslError> {
        at_least("hidden", self.hidden, 1, "at least 1")?;
        at_least("projection", self.projection, 1, "at least 1")?;
        NtXentConfig::new(self.temperature).build()?;
        let device = encoder.devices().first().cloned().unwrap_or_default();
        let head = ProjectionHead::new(encoder.features(), self.hidden, self.projection, &device);
        let head = draw_weights(head, seed.wrapping_add(1));
        Ok(SimClr {
            encoder,
            head,
            temperature: self.temperature,
        })
    }
}

/// SimCLR: two views of an image shall be closer to each other than to any other image.
///
/// # Source
/// Chen, Kornblith, Norouzi, Hinton 2020, arXiv 2002.05709, algorithm 1.
#[derive(Module, Debug)]
pub struct SimClr {
    encoder: Encoder,
    head: ProjectionHead,
    temperature: f64,
}

impl Method for SimClr {
    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    fn loss(&self, views: Vec<Tensor<4>>) -> Result<Tensor<1>, SslError> {
        let projected = self.head.forward(self.encoder.forward(stack_two(views)?));
        Ok(NtXentConfig::new(self.temperature)
            .build()?
            .forward(projected)?)
    }
}
