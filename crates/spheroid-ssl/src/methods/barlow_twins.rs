use burn::{module::Module, tensor::Tensor};
use serde::{Deserialize, Serialize};
use spheroid_core::non_negative;

use super::{Batch, HeadConfig, Method, ProjectionHead, Step, Targets, encode};
use crate::{SslError, encoder::Encoder, init::draw_weights};

/// Settings of [`BarlowTwins`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct BarlowTwinsConfig {
    /// Weight λ of the correlations between different features; 0.005 in the paper.
    pub redundancy: f64,
    /// The projection head; three layers of 8192 with batch norm in the paper.
    pub head: HeadConfig,
}

impl Default for BarlowTwinsConfig {
    fn default() -> Self {
        Self {
            redundancy: 0.005,
            head: HeadConfig::new(3, 256, 256).with_batch_norm(),
        }
    }
}

impl BarlowTwinsConfig {
    pub(super) fn build(
        &self,
        encoder: Encoder,
        _: &Targets,
        seed: u64,
    ) -> Result<BarlowTwins, SslError> {
        let head = self.head.build(encoder.features(), &encoder.device())?;
        Ok(BarlowTwins {
            head: draw_weights(head, seed.wrapping_add(1)),
            encoder,
            redundancy: non_negative("redundancy", self.redundancy)?,
        })
    }
}

/// Barlow Twins: a feature shall be the same in both views and unlike every other feature.
///
/// # Source
/// Zbontar, Jing, Misra, LeCun, Deny 2021, "Barlow Twins", arXiv 2103.03230, equations 1 and 2.
#[derive(Module, Debug)]
pub struct BarlowTwins {
    encoder: Encoder,
    head: ProjectionHead,
    redundancy: f64,
}

impl Method for BarlowTwins {
    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    fn step(&self, batch: Batch) -> Result<Step, SslError> {
        let images = batch.pair("Barlow Twins", 2)?;
        let features = encode(&self.encoder, &batch.views);
        let embeddings = self.head.forward(Tensor::cat(features.clone(), 0));
        let embeddings = embeddings.split(images, 0);
        let loss = barlow_twins(
            embeddings[0].clone(),
            embeddings[1].clone(),
            self.redundancy,
        );
        Ok(Step {
            loss,
            features,
            embeddings,
        })
    }
}

/// Distance of the correlations between two views' features from the identity, `[1]`.
pub(super) fn barlow_twins(first: Tensor<2>, second: Tensor<2>, redundancy: f64) -> Tensor<1> {
    let [images, features] = first.dims();
    let [first, second] = [first, second].map(standardize);
    let correlation = first.transpose().matmul(second) / images as f64;
    let identity = Tensor::<2>::eye(features, &correlation.device());
    let diagonal = correlation.clone() * identity.clone();
    let on = (diagonal.clone() - identity).square().sum();
    let off = (correlation - diagonal).square().sum();
    on + off * redundancy
}

/// Every feature with mean 0 and variance 1 over the batch; a constant one becomes 0.
fn standardize(z: Tensor<2>) -> Tensor<2> {
    let centred = z.clone() - z.mean_dim(0);
    let variance = centred.clone().square().mean_dim(0);
    // The ε of the batch norm without parameters in the authors' code.
    centred / (variance + 1e-5).sqrt()
}
