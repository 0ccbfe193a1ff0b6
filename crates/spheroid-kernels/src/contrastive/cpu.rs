//! The contrastive losses on a CPU: blocks of rows meet in pairs, and a tile of similarities serves the rows
//! of both blocks. No more than a tile a thread is ever held.

mod backward;
mod forward;
mod prepared;
mod schedule;
#[cfg(test)]
mod tests;

use backward::backward;
use burn::{
    backend::{Backend, TensorMetadata, tensor::FloatTensor},
    tensor::{DType, Element, TensorData},
};
use forward::forward;
use pulp::Arch;

use super::{operation::Contrast, task::Task};
use crate::real::Real;

/// Numbers that a row keeps from the forward pass for the backward pass: the logarithm (base 2) of its
/// denominator and of the exponentials of its positives.
const KEPT: usize = 2;

/// A similarity that takes no part: its exponential is 0 whatever is taken from it.
const EXCLUDED: f64 = -2e30;
/// Below every similarity and above [`EXCLUDED`].
const FLOOR: f64 = -1e30;

/// A backend whose tensors lie in the memory of the CPU.
trait Host: Backend {
    /// A tensor whose values can be looked at.
    type Open;

    fn open(tensor: FloatTensor<Self>) -> Self::Open;
    fn values<T: Number>(tensor: &Self::Open) -> &[T];
}

/// A float of tensors and of kernels.
trait Number: Real + Element {}

impl<T: Real + Element> Number for T {}

/// Runs on a thread of the pool: the caller beside it would be one thread more than there are cores.
fn pooled<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::join(work, || ()).0
}

fn forward_of<B: Host, T: Number>(
    z: FloatTensor<B>,
    temperature: FloatTensor<B>,
    task: &Task,
) -> [FloatTensor<B>; 4] {
    let device = z.device();
    let [z, temperature] = [z, temperature].map(B::open);
    let (z, temperature) = (B::values::<T>(&z), B::values::<T>(&temperature)[0].to_f64());
    let outcome = pooled(|| forward(Arch::new(), z, temperature, task));
    let floats = |values: Vec<T>, width: Option<usize>| {
        let rows = values.len() / width.unwrap_or(1);
        let shape: Vec<usize> = std::iter::once(rows).chain(width).collect();
        B::float_from_data(TensorData::new(values, shape), &device)
    };
    [
        floats(outcome.losses, None),
        floats(outcome.hits, None),
        floats(outcome.norms, None),
        floats(outcome.kept, Some(KEPT)),
    ]
}

fn backward_of<B: Host, T: Number>(
    z: FloatTensor<B>,
    temperature: FloatTensor<B>,
    kept: FloatTensor<B>,
    gradient: FloatTensor<B>,
    task: &Task,
) -> [FloatTensor<B>; 2] {
    let (device, shape) = (z.device(), z.shape());
    let [z, temperature, kept, gradient] = [z, temperature, kept, gradient].map(B::open);
    let temperature = B::values::<T>(&temperature)[0].to_f64();
    let [z, kept, gradient] = [&z, &kept, &gradient].map(B::values::<T>);
    let work = || backward(Arch::new(), z, temperature, kept, gradient, task);
    let gradients = pooled(work);
    [
        B::float_from_data(TensorData::new(gradients.rows, shape), &device),
        B::float_from_data(TensorData::new(vec![gradients.temperature], [1]), &device),
    ]
}

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
                let [losses, hits, norms, kept] = match z.dtype() {
                    DType::F64 => forward_of::<Self, f64>(z, temperature, &task),
                    _ => forward_of::<Self, f32>(z, temperature, &task),
                };
                (losses, hits, norms, kept)
            }

            fn contrast_backward(
                z: FloatTensor<Self>,
                temperature: FloatTensor<Self>,
                kept: FloatTensor<Self>,
                gradient: FloatTensor<Self>,
                task: Task,
            ) -> (FloatTensor<Self>, FloatTensor<Self>) {
                let [rows, temperature] = match z.dtype() {
                    DType::F64 => backward_of::<Self, f64>(z, temperature, kept, gradient, &task),
                    _ => backward_of::<Self, f32>(z, temperature, kept, gradient, &task),
                };
                (rows, temperature)
            }
        }
    };
}

#[cfg(feature = "flex")]
mod flex {
    use burn::backend::Flex;

    use super::*;

    impl Host for Flex {
        type Open = FloatTensor<Self>;

        fn open(tensor: FloatTensor<Self>) -> FloatTensor<Self> {
            tensor.to_contiguous()
        }

        fn values<T: Number>(tensor: &FloatTensor<Self>) -> &[T] {
            tensor.as_slice().expect("a contiguous tensor of this type")
        }
    }

    on_the_cpu!(Flex);
}

#[cfg(feature = "ndarray")]
mod ndarray {
    #![allow(
        deprecated,
        reason = "burn deprecates ndarray; users of this crate ask for it"
    )]
    use burn::{
        backend::{NdArray, ops::FloatTensorOps},
        tensor::read_sync,
    };

    use super::*;

    impl Host for NdArray {
        type Open = TensorData;

        fn open(tensor: FloatTensor<Self>) -> TensorData {
            read_sync(Self::float_into_data(tensor)).expect("tensors of a CPU can be read")
        }

        fn values<T: Number>(tensor: &TensorData) -> &[T] {
            tensor.as_slice().expect("a tensor of this type")
        }
    }

    on_the_cpu!(NdArray);
}
