//! What the operations of the Flex backend share.

use burn::{
    backend::{DispatchDevice, Flex, ops::FloatTensorOps, tensor::FloatTensor},
    tensor::{DType, Shape, Tensor, TensorData},
};

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

/// The values of a tensor, in its own memory when it has no other owner.
pub(crate) fn into_values(tensor: FloatTensor<Flex>) -> Vec<f32> {
    let data = tensor.to_contiguous().into_data();
    data.try_into_vec().expect("a tensor of f32")
}

pub(crate) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FloatTensor<Flex> {
    Flex::float_from_data(TensorData::new(values, shape), &Default::default())
}
