use burn::{
    optim::{AdamWState, AdaptiveMomentumState, LearningRate, Optimizer},
    tensor::{Device, Tensor},
};
use spheroid_kernels::AdamWStep;

/// Adam with decoupled weight decay, as PyTorch's `AdamW` with its defaults for β and ε.
#[derive(Clone)]
pub(super) struct AdamW {
    pub(super) weight_decay: f64,
}

impl Optimizer for AdamW {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        learning_rate: LearningRate,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamWState<D>>,
    ) -> (Tensor<D>, Option<AdamWState<D>>) {
        let mut momentum = state.map_or_else(
            || AdaptiveMomentumState::new(0, tensor.zeros_like(), tensor.zeros_like()),
            |state| state.momentum,
        );
        momentum.time += 1;
        let step = AdamWStep {
            rate: learning_rate,
            weight_decay: self.weight_decay,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            time: momentum.time as u64,
        };
        let moments = [momentum.moment_1, momentum.moment_2];
        let (tensor, moments) = step.apply(tensor, gradient, moments);
        [momentum.moment_1, momentum.moment_2] = moments;
        (tensor, Some(AdamWState::new(momentum)))
    }

    fn to_device<const D: usize>(mut state: AdamWState<D>, device: &Device) -> AdamWState<D> {
        state.momentum = state.momentum.to_device(device);
        state
    }
}
