//! The convolution as an operation of the Flex backend, with its gradients.

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex, TensorMetadata,
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
use pulp::Arch;

use super::passes::{forward, input_gradient, weight_gradient};
use crate::{
    flex::{is_flex, is_single, recycle, tensor, values},
    tiles::Tile,
    unfolded::Geometry,
};

/// The operation; takes what [`takes`] has accepted.
#[backend_extension(Autodiff, Flex)]
trait Convolve: Backend {
    fn convolve(
        images: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self>;
}

pub(super) fn takes(
    images: &Tensor<4>,
    weights: &Tensor<4>,
    stride: usize,
    padding: usize,
) -> bool {
    let fit = geometry(images.dims(), weights.dims(), stride, padding).is_some();
    is_flex(images) && is_single(images) && is_single(weights) && fit
}

pub(super) fn conv2d(
    images: Tensor<4>,
    weights: Tensor<4>,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    let (images, weights) = (images.into_dispatch(), weights.into_dispatch());
    let results = <Dispatch as Convolve>::convolve(images, weights, stride, padding);
    Tensor::from_dispatch(results)
}

/// Sizes with those of the result; `None` when tensors do not fit each other or are empty.
fn geometry(
    [images, inputs, rows, columns]: [usize; 4],
    [outputs, weight_inputs, kernel_rows, kernel_columns]: [usize; 4],
    stride: usize,
    padding: usize,
) -> Option<(Geometry, [usize; 2])> {
    let geometry = Geometry {
        images,
        inputs,
        outputs,
        size: [rows, columns],
        kernel: [kernel_rows, kernel_columns],
        stride,
        padding,
    };
    let sizes = [
        images,
        inputs,
        outputs,
        rows,
        columns,
        kernel_rows,
        kernel_columns,
        stride,
    ];
    if inputs != weight_inputs || sizes.contains(&0) {
        return None;
    }
    Some((geometry, geometry.out_size()?))
}

impl Convolve for Flex {
    fn convolve(
        images: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        let (geometry, out) = geometry_of(&images, &weights, stride, padding);
        let [images, weights] = [images, weights].map(|tensor| tensor.to_contiguous());
        let results = forward(tile(), values(&images), values(&weights), geometry, out);
        tensor(results, [geometry.images, geometry.outputs, out[0], out[1]])
    }
}

fn geometry_of(
    images: &FloatTensor<Flex>,
    weights: &FloatTensor<Flex>,
    stride: usize,
    padding: usize,
) -> (Geometry, [usize; 2]) {
    geometry(
        images.shape().dims(),
        weights.shape().dims(),
        stride,
        padding,
    )
    .expect("shapes are checked before the operation is dispatched")
}

fn tile() -> Tile {
    Tile::new(Arch::new())
}

#[derive(Debug)]
struct ConvolveBackward;

/// Both tensors, contiguous, with stride and padding.
type Inputs = (FloatTensor<Flex>, FloatTensor<Flex>, usize, usize);

impl Backward<Flex, 2> for ConvolveBackward {
    type State = Inputs;

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [images_node, weights_node] = ops.parents;
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let (images, weights, stride, padding) = ops.state;
        let (geometry, out) = geometry_of(&images, &weights, stride, padding);
        if let Some(node) = images_node {
            let values = input_gradient(tile(), values(&gradient), values(&weights), geometry, out);
            gradients.register::<Flex>(node.id, tensor(values, images.shape()));
        }
        if let Some(node) = weights_node {
            let values = weight_gradient(tile(), values(&images), values(&gradient), geometry, out);
            gradients.register::<Flex>(node.id, tensor(values, weights.shape()));
        }
        recycle(images);
        recycle(gradient);
    }
}

impl<C: CheckpointStrategy> Convolve for Autodiff<Flex, C> {
    fn convolve(
        images: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        let operation = ConvolveBackward.prepare::<C>([images.node(), weights.node()]);
        match operation.compute_bound().stateful() {
            OpsKind::Tracked(operation) => {
                let [images, weights] =
                    [&images, &weights].map(|tensor| tensor.primitive().to_contiguous());
                let results = Flex::convolve(images.clone(), weights.clone(), stride, padding);
                operation.finish((images, weights, stride, padding), results)
            }
            OpsKind::UnTracked(operation) => operation.finish(Flex::convolve(
                images.into_primitive(),
                weights.into_primitive(),
                stride,
                padding,
            )),
        }
    }
}
