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
    let fit = Windows::new(maps.dims(), kernel, stride, padding).is_some();
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

/// Windows over maps.
#[derive(Debug, Clone, Copy)]
struct Windows {
    dims: [usize; 4],
    out: [usize; 2],
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Windows {
    /// `None` when maps are empty, and for windows without a place in the map or with more places than are
    /// numbered.
    fn new(dims: [usize; 4], kernel: usize, stride: usize, padding: usize) -> Option<Self> {
        let along = |size: usize| Some((size + 2 * padding).checked_sub(kernel)? / stride + 1);
        let numbered = kernel * kernel <= usize::from(NONE);
        if kernel == 0 || stride == 0 || dims.contains(&0) || !numbered || 2 * padding > kernel {
            return None;
        }
        Some(Self {
            out: [along(dims[2])?, along(dims[3])?],
            dims,
            kernel,
            stride,
            padding,
        })
    }

    fn area(self) -> usize {
        self.dims[2] * self.dims[3]
    }

    fn out_area(self) -> usize {
        self.out[0] * self.out[1]
    }

    fn out_dims(self) -> [usize; 4] {
        [self.dims[0], self.dims[1], self.out[0], self.out[1]]
    }

    /// Windows along an axis that have a place at `tap` in the map, and where the first of them has it.
    fn with_tap(self, axis: usize, tap: usize) -> (std::ops::Range<usize>, usize) {
        let first = self.padding.saturating_sub(tap).div_ceil(self.stride);
        let end = (self.dims[2 + axis] + self.padding)
            .saturating_sub(tap)
            .div_ceil(self.stride);
        let end = end.min(self.out[axis]).max(first);
        // Before the first there are no more than `padding` places.
        (first..end, first * self.stride + tap - self.padding)
    }

    /// The greatest of every window, and which it is.
    fn forward(self, maps: &[f32]) -> (Vec<f32>, Vec<Winner>) {
        let planes = self.dims[0] * self.dims[1];
        let mut results = memory::take(planes * self.out_area());
        let mut winners = vec![NONE; planes * self.out_area()];
        results
            .par_chunks_exact_mut(self.out_area())
            .zip(winners.par_chunks_exact_mut(self.out_area()))
            .zip(maps.par_chunks_exact(self.area()))
            .for_each(|((results, winners), map)| self.of_plane(map, results, winners));
        (results, winners)
    }

    fn of_plane(self, map: &[f32], results: &mut [f32], winners: &mut [Winner]) {
        results.fill(f32::NEG_INFINITY);
        let [columns, out_columns] = [self.dims[3], self.out[1]];
        for tap in 0..self.kernel * self.kernel {
            let (ky, kx) = (tap / self.kernel, tap % self.kernel);
            let (rows, first_y) = self.with_tap(0, ky);
            let (range, first_x) = self.with_tap(1, kx);
            if range.is_empty() {
                continue;
            }
            for (index, row) in rows.enumerate() {
                let y = first_y + index * self.stride;
                let values = map[y * columns..][..columns][first_x..].iter();
                let range = row * out_columns + range.start..row * out_columns + range.end;
                let (results, winners) = (&mut results[range.clone()], &mut winners[range]);
                let places = results.iter_mut().zip(winners);
                for ((result, winner), value) in places.zip(values.step_by(self.stride)) {
                    // A value that is not a number wins, as it does in PyTorch.
                    let wins = *value > *result || *winner == NONE || value.is_nan();
                    *result = if wins { *value } else { *result };
                    *winner = if wins { tap as Winner } else { *winner };
                }
            }
        }
    }

    /// Gradient of the maps from that of the results.
    fn backward(self, gradient: &[f32], winners: &[Winner]) -> Vec<f32> {
        let mut results = memory::take_zeros(self.dims[0] * self.dims[1] * self.area());
        let [columns, out_columns] = [self.dims[3], self.out[1]];
        results
            .par_chunks_exact_mut(self.area())
            .zip(gradient.par_chunks_exact(self.out_area()))
            .zip(winners.par_chunks_exact(self.out_area()))
            .for_each(|((result, gradient), winners)| {
                for (place, (gradient, winner)) in gradient.iter().zip(winners).enumerate() {
                    let tap = usize::from(*winner);
                    let y = place / out_columns * self.stride + tap / self.kernel - self.padding;
                    let x = place % out_columns * self.stride + tap % self.kernel - self.padding;
                    result[y * columns + x] += gradient;
                }
            });
        results
    }
}

fn windows(maps: &FloatTensor<Flex>, kernel: usize, stride: usize, padding: usize) -> Windows {
    Windows::new(maps.shape().dims(), kernel, stride, padding)
        .expect("shapes are checked before the operation is dispatched")
}

impl Pool for Flex {
    fn pool(
        maps: FloatTensor<Self>,
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        let windows = windows(&maps, kernel, stride, padding);
        let (results, _) = windows.forward(values(&maps.to_contiguous()));
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
            let maps = windows.backward(values(&gradient), &winners);
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
                let windows = windows(&maps, kernel, stride, padding);
                let (results, winners) = windows.forward(values(&maps.to_contiguous()));
                let results = tensor(results, windows.out_dims());
                operation.finish((windows, winners.into()), results)
            }
            OpsKind::UnTracked(operation) => {
                operation.finish(Flex::pool(maps, kernel, stride, padding))
            }
        }
    }
}
