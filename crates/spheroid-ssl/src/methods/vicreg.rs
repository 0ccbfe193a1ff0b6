use burn::{module::Module, tensor::Tensor};
use serde::{Deserialize, Serialize};
use spheroid_core::non_negative;

use super::{Batch, HeadConfig, Method, ProjectionHead, Step, Targets, encode};
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
    /// The expander; three layers of 8192 with batch norm in the paper.
    pub head: HeadConfig,
}

impl Default for VicRegConfig {
    fn default() -> Self {
        Self {
            invariance: 25.0,
            variance: 25.0,
            covariance: 1.0,
            head: HeadConfig::new(2, 256, 256),
        }
    }
}

impl VicRegConfig {
    pub(super) fn build(
        &self,
        encoder: Encoder,
        _: &Targets,
        seed: u64,
    ) -> Result<VicReg, SslError> {
        let head = self.head.build(encoder.features(), &encoder.device())?;
        Ok(VicReg {
            head: draw_weights(head, seed.wrapping_add(1)),
            encoder,
            invariance: non_negative("invariance", self.invariance)?,
            variance: non_negative("variance", self.variance)?,
            covariance: non_negative("covariance", self.covariance)?,
        })
    }
}

/// VICReg: views alike, every feature spread, features uncorrelated; needs no negatives.
///
/// # Source
/// Bardes, Ponce, LeCun 2022, "VICReg", arXiv 2105.04906, equations 1 to 6. **Differs**: the variance
/// term is the mean over the two views, not their sum, as in the authors' own training code.
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

    fn step(&self, batch: Batch) -> Result<Step, SslError> {
        // The variance of one image is undefined.
        let images = batch.pair("VICReg", 2)?;
        let features = encode(&self.encoder, &batch.views);
        let embeddings = self.head.forward(Tensor::cat(features.clone(), 0));
        let embeddings = embeddings.split(images, 0);
        Ok(Step {
            loss: self.terms(embeddings[0].clone(), embeddings[1].clone()),
            features,
            embeddings,
        })
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

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use spheroid_testkit::{Tolerance, assert_close, json_fixture};

    use super::*;
    use crate::encoder::EncoderConfig;

    #[derive(Deserialize)]
    struct Case {
        images: usize,
        first: Vec<f32>,
        second: Vec<f32>,
        loss: f64,
        gradient_first: Vec<f64>,
        gradient_second: Vec<f64>,
    }

    fn vicreg() -> VicReg {
        let encoder = EncoderConfig::by_name("resnet10-w2", 1).unwrap();
        let encoder = encoder.build(1, &Device::flex()).unwrap();
        VicRegConfig::default()
            .build(encoder, &Targets::default(), 1)
            .unwrap()
    }

    #[test]
    fn value_and_gradients_agree_with_pytorch() {
        let cases: Vec<Case> = json_fixture(env!("CARGO_MANIFEST_DIR"), "vicreg.json");
        assert!(cases.len() >= 4);
        let device = Device::flex().autodiff();
        for case in cases {
            let tensor = |values: &[f32]| {
                let data =
                    TensorData::new(values.to_vec(), [case.images, values.len() / case.images]);
                Tensor::<2>::from_data(data, &device).require_grad()
            };
            let [first, second] = [tensor(&case.first), tensor(&case.second)];
            let loss = vicreg().terms(first.clone(), second.clone());
            let gradients = loss.backward();
            assert_close(&[loss.into_scalar::<f32>()], &[case.loss], Tolerance::F32);
            for (tensor, expected) in [
                (first, &case.gradient_first),
                (second, &case.gradient_second),
            ] {
                let gradient = tensor.grad(&gradients).unwrap().into_data();
                let largest = expected.iter().fold(0.0f64, |most, g| most.max(g.abs()));
                let tolerance = Tolerance {
                    relative: 0.0,
                    absolute: 1e-5 * largest,
                };
                assert_close(&gradient.try_to_vec::<f32>().unwrap(), expected, tolerance);
            }
        }
    }
}
