//! The losses as an operation of a backend, with its gradient.

#![cfg_attr(
    feature = "ndarray",
    allow(
        deprecated,
        reason = "burn deprecates ndarray; users of this crate ask for it"
    )
)]

use burn::{
    backend::{
        Autodiff, AutodiffBackend, Backend, Dispatch, DispatchDevice,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        backend_extension,
        tensor::FloatTensor,
    },
    tensor::{DType, Tensor},
};

use super::task::Task;

/// Whether the backend of a tensor has the operation for its type.
pub(super) fn takes(z: &Tensor<2>) -> bool {
    fn of(device: &DispatchDevice, dtype: DType) -> bool {
        match device {
            #[cfg(feature = "flex")]
            DispatchDevice::Flex(_) => matches!(dtype, DType::F32 | DType::F64),
            #[cfg(feature = "ndarray")]
            DispatchDevice::NdArray(_) => matches!(dtype, DType::F32 | DType::F64),
            #[cfg(feature = "cube")]
            DispatchDevice::Cube(_) => matches!(dtype, DType::F32 | DType::F16 | DType::BF16),
            DispatchDevice::Autodiff(device) => of(device, dtype),
            #[allow(unreachable_patterns, reason = "other backends are cargo features")]
            _ => false,
        }
    }
    of(z.device().as_dispatch(), z.dtype())
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
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(feature = "cube"),
    Fusion: cfg(feature = "fusion")
)]
pub(super) trait Contrast: Backend {
    /// Losses and hits of the rows that have a loss, and lengths of all rows.
    #[fusion(default)]
    fn contrast(
        z: FloatTensor<Self>,
        temperature: FloatTensor<Self>,
        task: Task,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (losses, hits, norms, _) = Self::contrast_forward(z, temperature, task);
        (losses, hits, norms)
    }

    /// The same, and what the backward pass needs. Has no gradient.
    #[fusion(meta = fusion::forward)]
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
    #[fusion(meta = fusion::backward)]
    fn contrast_backward(
        z: FloatTensor<Self>,
        temperature: FloatTensor<Self>,
        kept: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        task: Task,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// What comes of the operation, for backends that run it later.
#[cfg(feature = "fusion")]
mod fusion {
    use burn::backend::fusion::custom::TensorSpec;

    use super::{DType, Task};

    pub(super) fn forward(
        _: &TensorSpec,
        _: &TensorSpec,
        task: &Task,
    ) -> (TensorSpec, TensorSpec, TensorSpec, TensorSpec) {
        let floats = |shape: &[usize]| TensorSpec::new(shape.to_vec().into(), DType::F32);
        let losses = floats(&[task.losses()]);
        (
            losses.clone(),
            losses,
            floats(&[task.rows()]),
            floats(&[task.losses(), 2]),
        )
    }

    pub(super) fn backward(
        z: &TensorSpec,
        temperature: &TensorSpec,
        _: &TensorSpec,
        _: &TensorSpec,
        _: &Task,
    ) -> (TensorSpec, TensorSpec) {
        (z.clone(), temperature.clone())
    }
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
