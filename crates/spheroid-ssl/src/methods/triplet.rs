use burn::{module::Module, tensor::Tensor};
use serde::{Deserialize, Serialize};
use spheroid_core::positive;
use spheroid_kernels::normalize_rows;

use super::{Batch, HeadConfig, Method, ProjectionHead, Step, Targets, encode};
use crate::{SslError, encoder::Encoder, init::draw_weights};

/// Settings of [`Triplet`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TripletConfig {
    /// How much farther than its positive a negative shall be, between points of the unit sphere; above 0.
    pub margin: f64,
    /// The projection head.
    pub head: HeadConfig,
}

impl Default for TripletConfig {
    fn default() -> Self {
        Self {
            margin: 0.5,
            head: HeadConfig::new(2, 256, 64),
        }
    }
}

impl TripletConfig {
    pub(super) fn build(
        &self,
        encoder: Encoder,
        _: &Targets,
        seed: u64,
    ) -> Result<Triplet, SslError> {
        let head = self.head.build(encoder.features(), &encoder.device())?;
        Ok(Triplet {
            head: draw_weights(head, seed.wrapping_add(1)),
            encoder,
            margin: positive("margin", self.margin)?,
        })
    }
}

/// Triplet loss over all triplets of a batch: a view of another image shall be farther than a view of the
/// same by a margin. The thesis's seventh variation.
///
/// # Source
/// Schroff, Kalenichenko, Philbin 2015, "FaceNet", arXiv 1503.03832, equation 3; all triplets that are not
/// yet apart are averaged as in Hermans, Beyer, Leibe 2017, arXiv 1703.07737, section 2. **Differs** from
/// FaceNet: distances are not squared.
#[derive(Module, Debug)]
pub struct Triplet {
    encoder: Encoder,
    head: ProjectionHead,
    margin: f64,
}

impl Method for Triplet {
    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    fn step(&self, batch: Batch) -> Result<Step, SslError> {
        let images = batch.images("the triplet loss", 2, 2)?;
        let features = encode(&self.encoder, &batch.views);
        let embeddings = self.head.forward(Tensor::cat(features.clone(), 0));
        Ok(Step {
            loss: triplet(embeddings.clone(), images, self.margin),
            features,
            embeddings: embeddings.split(images, 0),
        })
    }
}

/// Mean over the triplets that are not yet apart, 0 when all are.
///
/// # Shapes
/// `z` `[views · images, feature]`, all images of a view together.
pub(super) fn triplet(z: Tensor<2>, images: usize, margin: f64) -> Tensor<1> {
    let [rows, _] = z.dims();
    let device = z.device();
    let z = normalize_rows(z);
    let same_image = Tensor::<2>::eye(images, &device).repeat(&[rows / images, rows / images]);
    // |a − b|² = 2 − 2ab; the root has no slope at 0, where rounding may even fall below it.
    let squares = (z.clone().matmul(z.transpose()) * -2.0 + 2.0).clamp_min(1e-12);
    let distances = squares.sqrt();
    let mut sum = Tensor::<1>::zeros([1], &device);
    let mut active = Tensor::<1>::zeros([1], &device);
    for step in 1..rows / images {
        // Every row's partner in the view `step` further on.
        let shift = step * images;
        let partner = Tensor::cat(
            vec![
                distances.clone().narrow(1, shift, rows - shift),
                distances.clone().narrow(1, 0, shift),
            ],
            1,
        );
        let to_positive = (partner * Tensor::eye(rows, &device)).sum_dim(1);
        let hinge = (to_positive - distances.clone() + margin).clamp_min(0.0);
        let hinge = hinge * (same_image.clone().neg() + 1.0);
        active = active + hinge.clone().detach().greater_elem(0.0).float().sum();
        sum = sum + hinge.sum();
    }
    sum / active.clamp_min(1.0)
}
