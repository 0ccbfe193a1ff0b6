use burn::{
    module::Module,
    nn::{Initializer, Linear, LinearConfig},
    tensor::{Device, Tensor, activation::relu},
};

/// Multi-layer perceptron between the features and the loss; thrown away after training.
///
/// # Source
/// SimCLR, arXiv 2002.05709, section 4.2: "a learnable nonlinear transformation between the
/// representation and the contrastive loss".
#[derive(Module, Debug)]
pub struct ProjectionHead {
    hidden: Linear,
    output: Linear,
}

impl ProjectionHead {
    /// `inputs` → `hidden` → ReLU → `outputs`.
    pub(crate) fn new(inputs: usize, hidden: usize, outputs: usize, device: &Device) -> Self {
        // Weights are drawn by `draw_weights`; what stays at zero are the biases.
        let linear = |inputs, outputs| {
            LinearConfig::new(inputs, outputs)
                .with_initializer(Initializer::Zeros)
                .init(device)
        };
        Self {
            hidden: linear(inputs, hidden),
            output: linear(hidden, outputs),
        }
    }

    /// # Shapes
    /// `features` `[batch, inputs]`; output `[batch, outputs]`.
    pub fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        self.output.forward(relu(self.hidden.forward(features)))
    }
}
