use burn::{module::Module, nn::Linear, tensor::Tensor};
use serde::{Deserialize, Serialize};
use spheroid_core::at_least;

use super::{Batch, Method, Step, Targets, encode};
use crate::{
    SslError,
    encoder::{Encoder, bounded},
    init::{draw_weights, linear},
};

/// Settings of [`Regression`]: there are none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RegressionConfig {}

impl RegressionConfig {
    pub(super) fn build(
        &self,
        encoder: Encoder,
        targets: &Targets,
        seed: u64,
    ) -> Result<Regression, SslError> {
        let numbers = targets.description;
        at_least("description", numbers, 1, "at least 1 number to learn from")?;
        bounded("description", numbers, &[encoder.features()])?;
        let reader = linear(encoder.features(), numbers, &encoder.device());
        Ok(Regression {
            reader: draw_weights(reader, seed.wrapping_add(1)),
            encoder,
        })
    }
}

/// An encoder whose features tell the numbers of a description by a linear layer, trained with the mean squared error
/// over views and numbers. The numbers count alike, so they should be of one scale.
///
/// **Learns from descriptions.** On a plate that is what was done to a well; on simulated plates it can be what is true
/// of every image.
#[derive(Module, Debug)]
pub struct Regression {
    encoder: Encoder,
    reader: Linear,
}

impl Method for Regression {
    const LEARNS_FROM_LABELS: bool = true;

    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    fn step(&self, batch: Batch) -> Result<Step, SslError> {
        batch.images("regression", 1, 1)?;
        let [_, numbers] = self.reader.weight.val().dims();
        let descriptions = batch.descriptions("regression", numbers)?;
        let features = encode(&self.encoder, &batch.views);
        let read = self.reader.forward(Tensor::cat(features.clone(), 0));
        let descriptions = descriptions.repeat_dim(0, batch.views.len());
        Ok(Step {
            loss: (read - descriptions).square().mean(),
            features,
            embeddings: Vec::new(),
        })
    }
}
