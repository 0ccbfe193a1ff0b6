//! The losses as an operation of a backend, with its gradient.

use burn::{
    backend::{
        Autodiff, AutodiffBackend, Backend, Dispatch, DispatchDevice, TensorMetadata,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::Tensor,
};

use super::task::Task;

/// Whether the backend of a tensor has the operation.
pub(super) fn takes(z: &Tensor<2>) -> bool {
    fn of(device: &DispatchDevice) -> bool {
        match device {
            #[cfg(feature = "flex")]
            DispatchDevice::Flex(_) => true,
            #[cfg(feature = "ndarray")]
            DispatchDevice::NdArray(_) => true,
            DispatchDevice::Autodiff(device) => of(device),
            #[allow(unreachable_patterns, reason = "other backends are cargo features")]
            _ => false,
        }
    }
    of(z.device().as_dispatch())
}

/// Losses, hits and lengths of rows; the first has a gradient.
pub(super) fn contrast(
    z: Tensor<2>,
    temperature: Tensor<1>,
    task: Task,
) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
    let (losses, hits, norms) =
        <Dispatch as Contrast>::contrast(z.into_dispatch(), temperature.into_dispatch(), task);
    (
        Tensor::from_dispatch(losses),
        Tensor::from_dispatch(hits),
        Tensor::from_dispatch(norms),
    )
}

/// The operation. `z` is `[row, feature]`, `temperature` `[1]`.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray")
)]
trait Contrast: Backend {
    /// Losses and hits of the rows that have a loss, and lengths of all rows.
    fn contrast(
        z: FloatTensor<Self>,
        temperature: FloatTensor<Self>,
        task: Task,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (losses, hits, norms, _) = Self::contrast_forward(z, temperature, task);
        (losses, hits, norms)
    }

    /// The same, and what the backward pass needs. Has no gradient.
    fn contrast_forward(
        z: FloatTensor<Self>,
        temperature: FloatTensor<Self>,
        task: Task,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    );

    /// Gradients of `z` and of the temperature, for a gradient of every loss. Has no gradient.
    fn contrast_backward(
        z: FloatTensor<Self>,
        temperature: FloatTensor<Self>,
        kept: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        task: Task,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

#[derive(Debug)]
struct ContrastBackward;

impl<B: Contrast> Backward<B, 2> for ContrastBackward {
    /// Rows, temperature, what the forward pass kept.
    type State = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, Task);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [rows_node, temperature_node] = ops.parents;
        let gradient = gradients.consume::<B>(&ops.node);
        let (z, temperature, kept, task) = ops.state;
        let (rows, temperature) = B::contrast_backward(z, temperature, kept, gradient, task);
        if let Some(node) = rows_node {
            gradients.register::<B>(node.id, rows);
        }
        if let Some(node) = temperature_node {
            gradients.register::<B>(node.id, temperature);
        }
    }
}

impl<B: Contrast, C: CheckpointStrategy> Contrast for Autodiff<B, C> {
    fn contrast(
        z: FloatTensor<Self>,
        temperature: FloatTensor<Self>,
        task: Task,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let operation = ContrastBackward.prepare::<C>([z.node(), temperature.node()]);
        let (z, temperature) = (z.primitive().clone(), temperature.primitive().clone());
        let (losses, hits, norms, kept) =
            B::contrast_forward(z.clone(), temperature.clone(), task.clone());
        let losses = match operation.compute_bound().stateful() {
            OpsKind::Tracked(operation) => operation.finish((z, temperature, kept, task), losses),
            OpsKind::UnTracked(operation) => operation.finish(losses),
        };
        (losses, Self::from_inner(hits), Self::from_inner(norms))
    }

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
        let (losses, hits, norms, kept) =
            B::contrast_forward(z.into_primitive(), temperature.into_primitive(), task);
        (
            Self::from_inner(losses),
            Self::from_inner(hits),
            Self::from_inner(norms),
            Self::from_inner(kept),
        )
    }

    fn contrast_backward(
        z: FloatTensor<Self>,
        temperature: FloatTensor<Self>,
        kept: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        task: Task,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (rows, temperature) = B::contrast_backward(
            z.into_primitive(),
            temperature.into_primitive(),
            kept.into_primitive(),
            gradient.into_primitive(),
            task,
        );
        (Self::from_inner(rows), Self::from_inner(temperature))
    }
}

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
                            pooled(|| cpu::forward::<$float>(arch, slice(&z), temperature, &task));
                        let losses = outcome.losses.len();
                        let rows = outcome.norms.len();
                        (
                            floats(TensorData::new(outcome.losses, [losses])),
                            floats(TensorData::new(outcome.hits, [losses])),
                            floats(TensorData::new(outcome.norms, [rows])),
                            floats(TensorData::new(outcome.kept, [losses, cpu::KEPT])),
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
                            cpu::backward::<$float>(arch, z, temperature, kept, gradient, &task)
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

    use super::super::cpu::Real;

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

use burn::backend::ops::FloatTensorOps;
use burn::tensor::{DType, TensorData};
use host::{numbers, pooled, scalar, slice};
use pulp::Arch;

use super::cpu;

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
