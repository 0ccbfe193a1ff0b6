//! What the operations of the Flex backend share.

use burn::{
    backend::{DispatchDevice, Flex, ops::FloatTensorOps, tensor::FloatTensor},
    tensor::{DType, Shape, Tensor, TensorData},
};

use crate::memory;

/// Whether a tensor is on the Flex backend, with or without gradients.
pub(crate) fn is_flex<const D: usize>(tensor: &Tensor<D>) -> bool {
    fn of(device: &DispatchDevice) -> bool {
        match device {
            DispatchDevice::Flex(_) => true,
            DispatchDevice::Autodiff(device) => of(device),
            #[allow(unreachable_patterns, reason = "other backends are cargo features")]
            _ => false,
        }
    }
    of(tensor.device().as_dispatch())
}

/// Whether a tensor is of 32-bit floats.
pub(crate) fn is_single<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32
}

/// The values of a contiguous tensor.
pub(crate) fn values(tensor: &FloatTensor<Flex>) -> &[f32] {
    tensor.as_slice().expect("a contiguous tensor of f32")
}

/// Keeps the memory of a tensor that has no other owner for the next.
pub(crate) fn recycle(tensor: FloatTensor<Flex>) {
    if tensor.is_unique() {
        memory::give(into_values(tensor));
    }
}

/// The values of a tensor, in its own memory when it has no other owner.
pub(crate) fn into_values(tensor: FloatTensor<Flex>) -> Vec<f32> {
    let contiguous = tensor.to_contiguous();
    drop(tensor);
    let data = contiguous.into_data();
    data.try_into_vec().expect("a tensor of f32")
}

pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FloatTensor<Flex> {
    Flex::float_from_data(TensorData::new(values, shape), &Default::default())
}
