//! The contrastive losses on a CPU: blocks of rows meet in pairs, and a tile of similarities serves the rows
//! of both blocks. No more than a tile a thread is ever held.

mod backward;
mod forward;
mod prepared;
mod product;
mod real;
mod schedule;
#[cfg(test)]
mod tests;

use backward::backward;
use burn::{
    backend::{TensorMetadata, ops::FloatTensorOps, tensor::FloatTensor},
    tensor::{DType, TensorData},
};
use forward::forward;
use host::{numbers, pooled, scalar, slice};
use pulp::Arch;
use real::Real;

use super::{operation::Contrast, task::Task};

/// Numbers that a row keeps from the forward pass for the backward pass: the logarithm (base 2) of its
/// denominator and of the exponentials of its positives.
const KEPT: usize = 2;

/// The operation of a backend whose tensors lie in the memory of the CPU.
macro_rules! on_the_cpu {
    ($backend:ty) => {
        impl Contrast for $backend {
            fn contrast_forward(
                z: FloatTensor<Self>,
                temperature: FloatTensor<Self>,
                task: Task,
            ) -> (
                FloatTensor<Self>,
                FloatTensor<Self>,
                FloatTensor<Self>,
                FloatTensor<Self>,
            ) {
                let (device, arch) = (z.device(), Arch::new());
                let [z, temperature] = [z, temperature].map(numbers::<Self>);
                let floats = |data| Self::float_from_data(data, &device);
                macro_rules! run {
                    ($float:ty) => {{
                        let temperature = scalar::<$float>(&temperature);
                        let outcome =
                            pooled(|| forward::<$float>(arch, slice(&z), temperature, &task));
                        let losses = outcome.losses.len();
                        let rows = outcome.norms.len();
                        (
                            floats(TensorData::new(outcome.losses, [losses])),
                            floats(TensorData::new(outcome.hits, [losses])),
                            floats(TensorData::new(outcome.norms, [rows])),
                            floats(TensorData::new(outcome.kept, [losses, KEPT])),
                        )
                    }};
                }
                match z.dtype() {
                    DType::F64 => run!(f64),
                    _ => run!(f32),
                }
            }

            fn contrast_backward(
                z: FloatTensor<Self>,
                temperature: FloatTensor<Self>,
                kept: FloatTensor<Self>,
                gradient: FloatTensor<Self>,
                task: Task,
            ) -> (FloatTensor<Self>, FloatTensor<Self>) {
                let (device, arch) = (z.device(), Arch::new());
                let [z, temperature, kept, gradient] =
                    [z, temperature, kept, gradient].map(numbers::<Self>);
                let shape = z.shape().clone();
                let floats = |data| Self::float_from_data(data, &device);
                macro_rules! run {
                    ($float:ty) => {{
                        let temperature = scalar::<$float>(&temperature);
                        let (z, kept, gradient) = (slice(&z), slice(&kept), slice(&gradient));
                        let gradients = pooled(|| {
                            backward::<$float>(arch, z, temperature, kept, gradient, &task)
                        });
                        (
                            floats(TensorData::new(gradients.rows, shape.clone())),
                            floats(TensorData::new(vec![gradients.temperature], [1])),
                        )
                    }};
                }
                match z.dtype() {
                    DType::F64 => run!(f64),
                    _ => run!(f32),
                }
            }
        }
    };
}

/// What [`on_the_cpu`] needs.
mod host {
    use burn::{
        backend::{Backend, tensor::FloatTensor},
        tensor::{Element, TensorData, read_sync},
    };

    use super::Real;

    pub(super) fn numbers<B: Backend>(tensor: FloatTensor<B>) -> TensorData {
        read_sync(B::float_into_data(tensor)).expect("tensors of a CPU can be read")
    }

    pub(super) fn slice<T: Element + bytemuck::Pod>(data: &TensorData) -> &[T] {
        data.as_slice().expect("the type of the tensor")
    }

    /// Runs on a thread of the pool, from where its rounds need not be handed over one by one.
    pub(super) fn pooled<R: Send>(work: impl FnOnce() -> R + Send) -> R {
        rayon::join(work, || ()).0
    }

    pub(super) fn scalar<T: Real + Element>(data: &TensorData) -> f64 {
        slice::<T>(data)[0].to_f64()
    }
}

#[cfg(feature = "flex")]
on_the_cpu!(burn::backend::Flex);

#[cfg(feature = "ndarray")]
mod ndarray {
    #![allow(
        deprecated,
        reason = "burn deprecates ndarray; users of this crate ask for it"
    )]
    use super::*;

    on_the_cpu!(burn::backend::NdArray);
}
