use burn::{
    module::Module,
    nn::{BatchNorm, BatchNormConfig, Linear},
    tensor::{Device, Tensor, activation::relu},
};
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, at_least};

use crate::{encoder::bounded, init::linear};

/// Settings of a [`ProjectionHead`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadConfig {
    /// Linear layers; 2 in SimCLR, 3 in most methods since.
    pub layers: usize,
    /// Features between them.
    pub hidden: usize,
    /// Features that the loss compares.
    pub outputs: usize,
    /// Whether batch norm stands before every ReLU.
    pub batch_norm: bool,
}

impl HeadConfig {
    /// Without batch norm.
    pub fn new(layers: usize, hidden: usize, outputs: usize) -> Self {
        Self {
            layers,
            hidden,
            outputs,
            batch_norm: false,
        }
    }

    /// With batch norm before every ReLU.
    pub fn with_batch_norm(self) -> Self {
        Self {
            batch_norm: true,
            ..self
        }
    }

    /// A head for `inputs` features whose weights `draw_weights` has yet to draw.
    pub(super) fn build(
        &self,
        inputs: usize,
        device: &Device,
    ) -> Result<ProjectionHead, ParamError> {
        at_least("layers", self.layers, 1, "at least 1")?;
        at_least("hidden", self.hidden, 1, "at least 1")?;
        at_least("outputs", self.outputs, 1, "at least 1")?;
        let widest = self.hidden.max(self.outputs).max(inputs);
        bounded("layers", self.layers, &[widest, widest])?;
        let last = self.layers - 1;
        let sizes = |layer| {
            let inputs = if layer == 0 { inputs } else { self.hidden };
            let outputs = if layer == last {
                self.outputs
            } else {
                self.hidden
            };
            (inputs, outputs)
        };
        let norms = if self.batch_norm { last } else { 0 };
        Ok(ProjectionHead {
            layers: (0..self.layers)
                .map(|layer| linear(sizes(layer).0, sizes(layer).1, device))
                .collect(),
            norms: (0..norms)
                .map(|_| BatchNormConfig::new(self.hidden).init(device))
                .collect(),
        })
    }
}

/// Multi-layer perceptron between the features and the loss; thrown away after training.
///
/// # Source
/// SimCLR, arXiv 2002.05709, section 4.2: "a learnable nonlinear transformation between the
/// representation and the contrastive loss".
#[derive(Module, Debug)]
pub struct ProjectionHead {
    layers: Vec<Linear>,
    norms: Vec<BatchNorm>,
}

impl ProjectionHead {
    /// Features that it takes.
    pub(super) fn inputs(&self) -> usize {
        let [inputs, _] = self.layers[0].weight.val().dims();
        inputs
    }

    /// # Shapes
    /// `features` `[batch, inputs]`; output `[batch, outputs]`.
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        let last = self.layers.len() - 1;
        let layers = self.layers.iter().enumerate();
        layers.fold(features, |features, (index, layer)| {
            let features = layer.forward(features);
            if index == last {
                return features;
            }
            relu(match self.norms.get(index) {
                Some(norm) => norm.forward(features),
                None => features,
            })
        })
    }
}
