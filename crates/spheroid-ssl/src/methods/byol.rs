use burn::{module::Module, tensor::Tensor};
use serde::{Deserialize, Serialize};
use spheroid_core::fraction;

use super::{
    Batch, HeadConfig, Method, ProjectionHead, Step, Targets, encode,
    momentum::{cosine_schedule, follow, target_of},
    simsiam::{mean_cosine, swap_halves},
};
use crate::{SslError, encoder::Encoder, init::draw_weights};

/// Settings of [`Byol`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ByolConfig {
    /// The projection head; 4096 → 256 with batch norm in the paper.
    pub head: HeadConfig,
    /// Features inside the predictor.
    pub predictor: usize,
    /// Share of itself that the target keeps in a step at the start, 0 to 1; it rises to 1 along half a
    /// cosine. 0.996 in the paper; shorter training wants less.
    pub momentum: f64,
}

impl Default for ByolConfig {
    fn default() -> Self {
        Self {
            head: HeadConfig::new(2, 256, 64).with_batch_norm(),
            predictor: 256,
            momentum: 0.99,
        }
    }
}

impl ByolConfig {
    pub(super) fn build(&self, encoder: Encoder, _: &Targets, seed: u64) -> Result<Byol, SslError> {
        let device = encoder.device();
        let outputs = self.head.outputs;
        let head = self.head.build(encoder.features(), &device)?;
        let predictor = HeadConfig {
            layers: 2,
            hidden: self.predictor,
            ..self.head.clone()
        };
        let online = Online {
            head: draw_weights(head, seed.wrapping_add(1)),
            encoder,
        };
        Ok(Byol {
            target: target_of(&online),
            online,
            predictor: draw_weights(predictor.build(outputs, &device)?, seed.wrapping_add(2)),
            momentum: fraction("momentum", self.momentum)?,
        })
    }
}

/// BYOL: from one view predict what a slowly following copy makes of the other.
///
/// Views may be made in different ways (`byol` policy); each is predicted from the other. The copy follows
/// the weights; its batch-norm statistics are of what it saw itself.
///
/// # Source
/// Grill et al. 2020, "Bootstrap Your Own Latent", arXiv 2006.07733, equation 2 in both directions and
/// section 3.2.
#[derive(Module, Debug)]
pub struct Byol {
    online: Online,
    predictor: ProjectionHead,
    target: Online,
    momentum: f64,
}

#[derive(Module, Debug)]
struct Online {
    encoder: Encoder,
    head: ProjectionHead,
}

impl Method for Byol {
    fn encoder(&self) -> &Encoder {
        &self.online.encoder
    }

    fn step(&self, batch: Batch) -> Result<Step, SslError> {
        let images = batch.pair("BYOL", 2)?;
        let features = encode(&self.online.encoder, &batch.views);
        let projected = self.online.head.forward(Tensor::cat(features.clone(), 0));
        let predicted = self.predictor.forward(projected.clone());
        let target = encode(&self.target.encoder, &batch.views);
        let target = self.target.head.forward(Tensor::cat(target, 0)).detach();
        Ok(Step {
            loss: byol(predicted, swap_halves(target, images)),
            features,
            embeddings: projected.split(images, 0),
        })
    }

    fn after_step(self, progress: f64) -> Self {
        let momentum = cosine_schedule(self.momentum, progress);
        Self {
            target: follow(self.target, &self.online, momentum),
            ..self
        }
    }
}

#[cfg(test)]
impl Byol {
    pub(super) fn sides(&self) -> (&Encoder, &Encoder) {
        (&self.online.encoder, &self.target.encoder)
    }
}

/// Mean squared distance on the unit sphere, summed over both directions, which the rows hold.
pub(super) fn byol(predicted: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    mean_cosine(predicted, target) * -4.0 + 4.0
}
