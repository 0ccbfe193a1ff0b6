use burn::{
    optim::{LearningRate, Optimizer, Sgd, SgdState},
    tensor::{Device, Tensor},
};

/// SGD on gradients scaled to the length of the weights.
///
/// With weights `w`, gradient `g`, trust η and weight decay λ the gradient becomes
/// `η |w| / (|g| + λ |w|) · (g + λ w)`. Where `w` or `g` is all zeros it stays as it is, as in lightly.
///
/// # Source
/// You, Gitman, Ginsburg 2017, "Large Batch Training of Convolutional Networks", arXiv 1708.03888,
/// equation 6.
#[derive(Clone)]
pub(super) struct Lars {
    pub(super) sgd: Sgd,
    pub(super) trust: f64,
    pub(super) weight_decay: f64,
}

impl Optimizer for Lars {
    type State<const D: usize> = SgdState<D>;

    fn step<const D: usize>(
        &self,
        learning_rate: LearningRate,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<SgdState<D>>,
    ) -> (Tensor<D>, Option<SgdState<D>>) {
        let length = |values: &Tensor<D>| {
            f64::from(values.clone().square().sum().sqrt().into_scalar::<f32>())
        };
        let (weights, slope) = (length(&tensor), length(&gradient));
        let gradient = if weights > 0.0 && slope > 0.0 {
            let scale = self.trust * weights / (slope + self.weight_decay * weights);
            (gradient + tensor.clone() * self.weight_decay) * scale
        } else {
            gradient
        };
        self.sgd.step(learning_rate, tensor, gradient, state)
    }

    fn to_device<const D: usize>(state: SgdState<D>, device: &Device) -> SgdState<D> {
        <Sgd as Optimizer>::to_device(state, device)
    }
}
