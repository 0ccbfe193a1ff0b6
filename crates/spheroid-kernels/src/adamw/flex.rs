//! The step as an operation of the Flex backend.

use burn::{
    backend::backend_extension,
    backend::{Backend, Dispatch, Flex, TensorMetadata, tensor::FloatTensor},
    tensor::Tensor,
};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::AdamWStep;
use crate::{
    flex::{into_values, is_flex, is_single, tensor},
    memory,
};

/// The operation; takes what [`takes`] has accepted.
#[backend_extension(Flex)]
trait Step: Backend {
    /// Values and both moments.
    fn step(
        values: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

pub(super) fn takes<const D: usize>(
    values: &Tensor<D>,
    gradient: &Tensor<D>,
    moments: &[Tensor<D>; 2],
) -> bool {
    let all = [values, gradient, &moments[0], &moments[1]];
    all.iter()
        .all(|tensor| is_flex(tensor) && is_single(tensor) && !tensor.device().is_autodiff())
}

pub(super) fn apply<const D: usize>(
    step: AdamWStep,
    values: Tensor<D>,
    gradient: Tensor<D>,
    [first, second]: [Tensor<D>; 2],
) -> (Tensor<D>, [Tensor<D>; 2]) {
    let (values, first, second) = <Dispatch as Step>::step(
        values.into_dispatch(),
        gradient.into_dispatch(),
        first.into_dispatch(),
        second.into_dispatch(),
        step,
    );
    (
        Tensor::from_dispatch(values),
        [Tensor::from_dispatch(first), Tensor::from_dispatch(second)],
    )
}

/// Values of a task.
const CHUNK: usize = 1 << 15;

impl Step for Flex {
    fn step(
        parameters: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let shape = parameters.shape();
        let gradient = into_values(gradient);
        let [mut parameters, mut first, mut second] = [parameters, first, second].map(into_values);
        let arch = Arch::new();
        parameters
            .par_chunks_mut(CHUNK)
            .zip(gradient.par_chunks(CHUNK))
            .zip(first.par_chunks_mut(CHUNK))
            .zip(second.par_chunks_mut(CHUNK))
            .for_each(|(((values, gradient), first), second)| {
                arch.dispatch(Chunk {
                    step,
                    values,
                    gradient,
                    first,
                    second,
                });
            });
        memory::give(gradient);
        (
            tensor(parameters, shape.clone()),
            tensor(first, shape.clone()),
            tensor(second, shape),
        )
    }
}

struct Chunk<'a> {
    step: AdamWStep,
    values: &'a mut [f32],
    gradient: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl WithSimd for Chunk<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let [bias, bias_square] = self.step.biases();
        let keeps = (1.0 - self.step.rate * self.step.weight_decay) as f32;
        let [keep, keep_square] = self.step.betas.map(|beta| beta as f32);
        let [add, add_square] = self.step.betas.map(|beta| (1.0 - beta) as f32);
        let scale = (self.step.rate / bias) as f32;
        let shrink = (1.0 / bias_square.sqrt()) as f32;
        let epsilon = self.step.epsilon as f32;
        let moments = self.first.iter_mut().zip(self.second);
        let values = self.values.iter_mut().zip(self.gradient);
        for ((value, gradient), (first, second)) in values.zip(moments) {
            *first = *first * keep + gradient * add;
            *second = *second * keep_square + gradient * gradient * add_square;
            let length = second.sqrt() * shrink + epsilon;
            *value = *value * keeps - scale * *first / length;
        }
    }
}
