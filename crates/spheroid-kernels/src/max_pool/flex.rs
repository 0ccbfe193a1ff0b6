//! Max pooling as an operation of the Flex backend, with its gradient.

use std::sync::Arc;

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
use rayon::prelude::*;

use crate::{
    flex::{is_flex, is_single, recycle, tensor, values},
    memory,
    windows::Windows,
};

/// The operation; takes what [`takes`] has accepted.
#[backend_extension(Autodiff, Flex)]
trait Pool: Backend {
    fn pool(
        maps: FloatTensor<Self>,
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self>;
}

pub(super) fn takes(maps: &Tensor<4>, kernel: usize, stride: usize, padding: usize) -> bool {
    let fit = square_windows(maps.dims(), kernel, stride, padding).is_some();
    is_flex(maps) && is_single(maps) && fit
}

pub(super) fn max_pool2d(
    maps: Tensor<4>,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    let results = <Dispatch as Pool>::pool(maps.into_dispatch(), kernel, stride, padding);
    Tensor::from_dispatch(results)
}

/// Place of the winner in its window, row by row.
type Winner = u8;
const NONE: Winner = Winner::MAX;

/// `None` for what [`Windows::new`] refuses, and for windows without a place in the map or with more places than are
/// numbered.
fn square_windows(
    dims: [usize; 4],
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Option<Windows> {
    let numbered = kernel <= usize::from(NONE).isqrt();
    let reach = padding <= kernel / 2;
    (numbered && reach).then(|| Windows::new(dims, [kernel; 2], stride, padding))?
}

/// The greatest of every window, and which it is.
fn forward(windows: Windows, maps: &[f32]) -> (Vec<f32>, Vec<Winner>) {
    let mut results = memory::take(windows.planes() * windows.out_area());
    let mut winners = vec![NONE; results.len()];
    results
        .par_chunks_exact_mut(windows.out_area())
        .zip(winners.par_chunks_exact_mut(windows.out_area()))
        .zip(maps.par_chunks_exact(windows.area()))
        .for_each(|((results, winners), map)| of_plane(windows, map, results, winners));
    (results, winners)
}

fn of_plane(windows: Windows, map: &[f32], results: &mut [f32], winners: &mut [Winner]) {
    results.fill(f32::NEG_INFINITY);
    windows.rows(|tap, places, seen| {
        let results = results[places.clone()].iter_mut();
        let places = results.zip(&mut winners[places]);
        for ((result, winner), value) in places.zip(map[seen].iter().step_by(windows.stride)) {
            // A value that is not a number wins, as it does in PyTorch.
            let wins = *value > *result || *winner == NONE || value.is_nan();
            *result = if wins { *value } else { *result };
            *winner = if wins { tap as Winner } else { *winner };
        }
    });
}

/// Gradient of the maps from that of the results.
fn backward(windows: Windows, gradient: &[f32], winners: &[Winner]) -> Vec<f32> {
    let Windows {
        kernel: [_, kernel],
        stride,
        padding,
        ..
    } = windows;
    let mut results = memory::take_zeros(windows.planes() * windows.area());
    let [columns, out_columns] = [windows.dims[3], windows.out[1]];
    results
        .par_chunks_exact_mut(windows.area())
        .zip(gradient.par_chunks_exact(windows.out_area()))
        .zip(winners.par_chunks_exact(windows.out_area()))
        .for_each(|((result, gradient), winners)| {
            for (place, (gradient, winner)) in gradient.iter().zip(winners).enumerate() {
                let tap = usize::from(*winner);
                let y = place / out_columns * stride + tap / kernel - padding;
                let x = place % out_columns * stride + tap % kernel - padding;
                result[y * columns + x] += gradient;
            }
        });
    results
}

fn windows_of(maps: &FloatTensor<Flex>, kernel: usize, stride: usize, padding: usize) -> Windows {
    square_windows(maps.shape().dims(), kernel, stride, padding)
        .expect("shapes are checked before the operation is dispatched")
}

impl Pool for Flex {
    fn pool(
        maps: FloatTensor<Self>,
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        let windows = windows_of(&maps, kernel, stride, padding);
        let (results, _) = forward(windows, values(&maps.to_contiguous()));
        tensor(results, windows.out_dims())
    }
}

#[derive(Debug)]
struct PoolBackward;

impl Backward<Flex, 1> for PoolBackward {
    type State = (Windows, Arc<[Winner]>);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let (windows, winners) = ops.state;
        if let [Some(node)] = ops.parents {
            let maps = backward(windows, values(&gradient), &winners);
            gradients.register::<Flex>(node.id, tensor(maps, windows.dims));
        }
        recycle(gradient);
    }
}

impl<C: CheckpointStrategy> Pool for Autodiff<Flex, C> {
    fn pool(
        maps: FloatTensor<Self>,
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        let operation = PoolBackward.prepare::<C>([maps.node()]);
        let maps = maps.into_primitive();
        match operation.compute_bound().stateful() {
            OpsKind::Tracked(operation) => {
                let windows = windows_of(&maps, kernel, stride, padding);
                let (results, winners) = forward(windows, values(&maps.to_contiguous()));
                let results = tensor(results, windows.out_dims());
                operation.finish((windows, winners.into()), results)
            }
            OpsKind::UnTracked(operation) => {
                operation.finish(Flex::pool(maps, kernel, stride, padding))
            }
        }
    }
}
