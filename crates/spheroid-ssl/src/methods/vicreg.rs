use burn::{module::Module, tensor::Tensor};
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, at_least, non_negative};

use super::{Method, ProjectionHead, stack_two};
use crate::{SslError, encoder::Encoder, init::draw_weights};

/// Settings of [`VicReg`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct VicRegConfig {
    /// Weight of the distance between the two views; 25 in the paper.
    pub invariance: f64,
    /// Weight of the hinge that keeps every feature's deviation above 1; 25 in the paper.
    pub variance: f64,
    /// Weight of the covariances between features; 1 in the paper.
    pub covariance: f64,
    /// Hidden features of the expander.
    pub hidden: usize,
    /// Features that the loss compares.
    pub projection: usize,
}

impl Default for VicRegConfig {
    fn default() -> Self {
        Self {
            invariance: 25.0,
            variance: 25.0,
            covariance: 1.0,
            hidden: 256,
            projection: 256,
        }
    }
}

impl VicRegConfig {
    /// Joins `encoder` with an expander whose weights are drawn from `seed`.
    ///
    /// # Errors
    /// When a size is 0 or a weight is negative or not finite.
    pub fn build(&self, encoder: Encoder, seed: u64) -> Result<VicReg, SslError> {
        at_least("hidden", self.hidden, 1, "at least 1")?;
        at_least("projection", self.projection, 1, "at least 1")?;
        let device = encoder.devices().first().cloned().unwrap_or_default();
        let head = ProjectionHead::new(encoder.features(), self.hidden, self.projection, &device);
        Ok(VicReg {
            encoder,
            head: draw_weights(head, seed.wrapping_add(1)),
            invariance: non_negative("invariance", self.invariance)?,
            variance: non_negative("variance", self.variance)?,
            covariance: non_negative("covariance", self.covariance)?,
        })
    }
}

/// VICReg: views alike, every feature spread, features uncorrelated; needs no negatives.
///
/// # Source
/// Bardes, Ponce, LeCun 2022, "VICReg", arXiv 2105.04906, equations 1 to 6.
#[derive(Module, Debug)]
pub struct VicReg {
    encoder: Encoder,
    head: ProjectionHead,
    invariance: f64,
    variance: f64,
    covariance: f64,
}

/// Added to a variance before its root, as in the paper.
const EPSILON: f64 = 1e-4;

impl Method for VicReg {
    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    fn loss(&self, views: Vec<Tensor<4>>) -> Result<Tensor<1>, SslError> {
        let projected = self.head.forward(self.encoder.forward(stack_two(views)?));
        let images = projected.dims()[0] / 2;
        if images < 2 {
            // The variance of one image is undefined.
            return Err(ParamError::new("batch", images, "at least 2 for VICReg").into());
        }
        let first = projected.clone().narrow(0, 0, images);
        let second = projected.narrow(0, images, images);
        Ok(self.terms(first, second))
    }
}

impl VicReg {
    /// The weighted loss of two views' projections, each `[batch, feature]`.
    fn terms(&self, first: Tensor<2>, second: Tensor<2>) -> Tensor<1> {
        let distance = (first.clone() - second.clone()).square().mean() * self.invariance;
        let (variance, covariance) = [first, second]
            .into_iter()
            .map(spread)
            .reduce(|(v1, c1), (v2, c2)| (v1 + v2, c1 + c2))
            .expect("there are two views");
        distance + variance * (self.variance / 2.0) + covariance * self.covariance
    }
}

/// Hinge on the deviations and mean squared covariance of one view's projections.
fn spread(projected: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
    let [images, features] = projected.dims();
    let centred = projected.clone() - projected.mean_dim(0);
    let covariance = centred.clone().transpose().matmul(centred.clone()) / (images - 1) as f64;
    let variance = centred.square().sum_dim(0) / (images - 1) as f64;
    let hinge = ((variance.clone() + EPSILON).sqrt().neg() + 1.0)
        .clamp_min(0.0)
        .mean();
    let off_diagonal = covariance.square().sum() - variance.square().sum();
    (hinge, off_diagonal / features as f64)
}
