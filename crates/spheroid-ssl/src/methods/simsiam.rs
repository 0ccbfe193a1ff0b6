use burn::{
    module::Module,
    nn::{BatchNorm, BatchNormConfig},
    tensor::Tensor,
};
use serde::{Deserialize, Serialize};
use spheroid_kernels::normalize_rows;

use super::{Batch, HeadConfig, Method, ProjectionHead, Step, Targets, encode};
use crate::{SslError, encoder::Encoder, init::draw_weights};

/// Settings of [`SimSiam`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SimSiamConfig {
    /// The projection head; three layers of 2048 with batch norm in the paper.
    pub head: HeadConfig,
    /// Features inside the predictor, a quarter of the projection in the paper.
    pub predictor: usize,
}

impl Default for SimSiamConfig {
    fn default() -> Self {
        Self {
            head: HeadConfig::new(3, 256, 256).with_batch_norm(),
            predictor: 64,
        }
    }
}

impl SimSiamConfig {
    pub(super) fn build(
        &self,
        encoder: Encoder,
        _: &Targets,
        seed: u64,
    ) -> Result<SimSiam, SslError> {
        let device = encoder.device();
        let outputs = self.head.outputs;
        let head = self.head.build(encoder.features(), &device)?;
        let predictor = HeadConfig::new(2, self.predictor, outputs).with_batch_norm();
        Ok(SimSiam {
            head: draw_weights(head, seed.wrapping_add(1)),
            norm: BatchNormConfig::new(outputs).init(&device),
            predictor: draw_weights(predictor.build(outputs, &device)?, seed.wrapping_add(2)),
            encoder,
        })
    }
}

/// SimSiam: from one view predict the projection of the other, which gets no gradient.
///
/// # Source
/// Chen, He 2020, "Exploring Simple Siamese Representation Learning", arXiv 2011.10566, algorithm 1.
/// **Differs**: the batch norm behind the projection also learns a scale and a shift.
#[derive(Module, Debug)]
pub struct SimSiam {
    encoder: Encoder,
    head: ProjectionHead,
    norm: BatchNorm,
    predictor: ProjectionHead,
}

impl Method for SimSiam {
    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    fn step(&self, batch: Batch) -> Result<Step, SslError> {
        let images = batch.pair("SimSiam", 2)?;
        let features = encode(&self.encoder, &batch.views);
        let projected = self.head.forward(Tensor::cat(features.clone(), 0));
        let projected = self.norm.forward(projected);
        let predicted = self.predictor.forward(projected.clone());
        let swapped = swap_halves(projected.clone().detach(), images);
        Ok(Step {
            loss: mean_cosine(predicted, swapped).neg(),
            features,
            embeddings: projected.split(images, 0),
        })
    }
}

/// The second view's rows before those of the first.
pub(super) fn swap_halves(rows: Tensor<2>, images: usize) -> Tensor<2> {
    let first = rows.clone().narrow(0, 0, images);
    Tensor::cat(vec![rows.narrow(0, images, images), first], 0)
}

/// Mean cosine between rows of the same number.
pub(super) fn mean_cosine(a: Tensor<2>, b: Tensor<2>) -> Tensor<1> {
    let [rows, _] = a.dims();
    (normalize_rows(a) * normalize_rows(b)).sum() / rows as f64
}
