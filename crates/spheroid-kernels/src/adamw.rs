//! One step of Adam with decoupled weight decay.

#[cfg(feature = "flex")]
mod flex;
#[cfg(test)]
mod tests;

use burn::tensor::Tensor;

/// Settings of a step of [`adamw`](AdamWStep::apply).
///
/// # Source
/// Loshchilov, Hutter 2017, "Decoupled Weight Decay Regularization", arXiv 1711.05101, algorithm 2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWStep {
    /// Learning rate.
    pub rate: f64,
    /// Share of the values, times the rate, that a step takes away.
    pub weight_decay: f64,
    /// What both moments keep of themselves.
    pub betas: [f64; 2],
    /// What is added to the root of the second moment.
    pub epsilon: f64,
    /// Number of the step, from 1.
    pub time: u64,
}

impl AdamWStep {
    /// Moves `values` by their `gradient` and gives them back with the moved `moments`, all of one shape and without
    /// gradients of their own; both moments are 0 at first.
    ///
    /// On the Flex backend it is one pass in the memory of the tensors.
    ///
    /// # Panics
    /// When shapes differ, or `time` is 0.
    pub fn apply<const D: usize>(
        &self,
        values: Tensor<D>,
        gradient: Tensor<D>,
        moments: [Tensor<D>; 2],
    ) -> (Tensor<D>, [Tensor<D>; 2]) {
        let shapes = [&gradient, &moments[0], &moments[1]].map(Tensor::dims);
        assert_eq!(shapes, [values.dims(); 3], "of gradient and moments");
        assert!(self.time > 0, "steps are numbered from 1");
        #[cfg(feature = "flex")]
        if flex::takes(&values, &gradient, &moments) {
            return flex::apply(*self, values, gradient, moments);
        }
        let [first, second] = moments;
        let [keep, keep_square] = self.betas;
        let first = first * keep + gradient.clone() * (1.0 - keep);
        let second = second * keep_square + gradient.square() * (1.0 - keep_square);
        let [bias, bias_square] = self.biases();
        let length = (second.clone() / bias_square).sqrt() + self.epsilon;
        let values = values * (1.0 - self.rate * self.weight_decay)
            - (first.clone() / bias) / length * self.rate;
        (values, [first, second])
    }

    /// By how much the moments are short, having begun at 0.
    fn biases(&self) -> [f64; 2] {
        self.betas.map(|beta| 1.0 - beta.powf(self.time as f64))
    }
}
