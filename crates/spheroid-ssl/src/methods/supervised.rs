use burn::{
    module::Module,
    nn::Linear,
    tensor::{Device, Int, Tensor, TensorData, activation::log_softmax},
};
use ndarray::Array3;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, at_least};

use super::{Batch, Method, Step, Targets, encode};
use crate::{
    SslError,
    embedder::to_tensor,
    encoder::{Encoder, bounded},
    init::{draw_weights, linear},
};

/// Settings of [`Supervised`]: there are none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SupervisedConfig {}

impl SupervisedConfig {
    pub(super) fn build(
        &self,
        encoder: Encoder,
        targets: &Targets,
        seed: u64,
    ) -> Result<Supervised, SslError> {
        at_least("classes", targets.classes, 2, "at least 2 to learn from")?;
        bounded("classes", targets.classes, &[encoder.features()])?;
        let classifier = linear(encoder.features(), targets.classes, &encoder.device());
        Ok(Supervised {
            classifier: draw_weights(classifier, seed.wrapping_add(1)),
            encoder,
        })
    }
}

/// An encoder and a linear classifier trained with labels: the baseline that a representation learned
/// without them is measured by.
///
/// **Learns from labels.**
#[derive(Module, Debug)]
pub struct Supervised {
    encoder: Encoder,
    classifier: Linear,
}

impl Supervised {
    /// Most likely class of every image, `[plane, row, column]` each, with batch norm's running statistics.
    ///
    /// # Errors
    /// When an image is not what the encoder takes.
    pub fn classify(
        &self,
        images: &[Array3<f32>],
        device: &Device,
    ) -> Result<Vec<usize>, SslError> {
        const BATCH: usize = 64;
        let device = device.clone().inner();
        let network = self.valid().to_device(&device);
        let [_, classes] = network.classifier.weight.val().dims();
        let mut predicted = Vec::with_capacity(images.len());
        for (number, chunk) in images.chunks(BATCH).enumerate() {
            let batch = to_tensor(chunk, &network.encoder, &device)
                .map_err(|error| error.renumbered(|index| number * BATCH + index))?;
            let logits = network.classifier.forward(network.encoder.forward(batch));
            let logits = logits.into_data().try_to_vec::<f32>();
            let logits = logits.expect("logits are 32-bit floats");
            predicted.extend(logits.chunks_exact(classes).map(|row| {
                let best = (0..classes).reduce(|a, b| if row[b] > row[a] { b } else { a });
                best.expect("there are two classes")
            }));
        }
        Ok(predicted)
    }
}

impl Method for Supervised {
    const LEARNS_FROM_LABELS: bool = true;

    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    fn step(&self, batch: Batch) -> Result<Step, SslError> {
        batch.images("supervised learning", 1, 1)?;
        let labels = batch.labels("supervised learning")?.to_vec();
        let [_, classes] = self.classifier.weight.val().dims();
        if let Some(label) = labels.iter().find(|label| **label >= classes) {
            let rule = "below the number of classes that the method was built for";
            return Err(ParamError::new("label", label, rule).into());
        }
        let labels = labels.repeat(batch.views.len());
        let features = encode(&self.encoder, &batch.views);
        let logits = self.classifier.forward(Tensor::cat(features.clone(), 0));
        Ok(Step {
            loss: cross_entropy(logits, &labels),
            features,
            embeddings: Vec::new(),
        })
    }
}

/// Mean negative logarithm of the probability of the right class, `[1]`.
pub(super) fn cross_entropy(logits: Tensor<2>, labels: &[usize]) -> Tensor<1> {
    let [rows, _] = logits.dims();
    let labels: Vec<i64> = labels.iter().map(|label| *label as i64).collect();
    let labels = TensorData::new(labels, [rows, 1]);
    let labels = Tensor::<2, Int>::from_data(labels, &logits.device());
    log_softmax(logits, 1).gather(1, labels).mean().neg()
}
