//! The depthwise convolution as an operation of the Flex backend, with its gradients.

use std::ops::Range;

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
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::{
    flex::{is_flex, is_single, recycle, tensor, values},
    memory,
};

/// The operation; takes what [`takes`] has accepted.
#[backend_extension(Autodiff, Flex)]
trait Convolve: Backend {
    fn convolve_depthwise(
        maps: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self>;
}

pub(super) fn takes(maps: &Tensor<4>, weights: &Tensor<4>, stride: usize, padding: usize) -> bool {
    let fit = Geometry::new(maps.dims(), weights.dims(), stride, padding).is_some();
    is_flex(maps) && is_single(maps) && is_single(weights) && fit
}

pub(super) fn depthwise_conv2d(
    maps: Tensor<4>,
    weights: Tensor<4>,
    stride: usize,
    padding: usize,
) -> Tensor<4> {
    let (maps, weights) = (maps.into_dispatch(), weights.into_dispatch());
    let results = <Dispatch as Convolve>::convolve_depthwise(maps, weights, stride, padding);
    Tensor::from_dispatch(results)
}

/// Sizes of a convolution.
#[derive(Debug, Clone, Copy)]
struct Geometry {
    dims: [usize; 4],
    kernel: [usize; 2],
    out: [usize; 2],
    stride: usize,
    padding: usize,
}

impl Geometry {
    /// `None` when tensors do not fit each other or are empty.
    fn new(
        dims: [usize; 4],
        [channels, one, rows, columns]: [usize; 4],
        stride: usize,
        padding: usize,
    ) -> Option<Self> {
        let sizes = [rows, columns, stride];
        if dims[1] != channels || one != 1 || dims.contains(&0) || sizes.contains(&0) {
            return None;
        }
        let kernel = [rows, columns];
        let along = |axis: usize| {
            let padded = dims[2 + axis] + 2 * padding;
            Some(padded.checked_sub(kernel[axis])? / stride + 1)
        };
        Some(Self {
            out: [along(0)?, along(1)?],
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

    fn taps(self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Results along an axis that see a value at `tap`, and where the first of them sees it.
    #[inline(always)]
    fn with_tap(self, axis: usize, tap: usize) -> (Range<usize>, usize) {
        let first = self.padding.saturating_sub(tap).div_ceil(self.stride);
        let end = (self.dims[2 + axis] + self.padding)
            .saturating_sub(tap)
            .div_ceil(self.stride)
            .min(self.out[axis]);
        let place = first * self.stride + tap - self.padding;
        (first..end.max(first), place)
    }

    /// Runs `work` for every tap and row of results that sees values: with the tap, the places of the results
    /// and the places of the values, which are `stride` apart.
    #[inline(always)]
    fn rows(self, mut work: impl FnMut(usize, Range<usize>, Range<usize>)) {
        let [columns, out_columns] = [self.dims[3], self.out[1]];
        for tap in 0..self.taps() {
            let (ky, kx) = (tap / self.kernel[1], tap % self.kernel[1]);
            let (rows, y) = self.with_tap(0, ky);
            let (range, x) = self.with_tap(1, kx);
            if range.is_empty() {
                continue;
            }
            for (index, row) in rows.enumerate() {
                let at = row * out_columns;
                let y = y + index * self.stride;
                let seen = y * columns + x..(y + 1) * columns;
                work(tap, at + range.start..at + range.end, seen);
            }
        }
    }
}

/// A pass over one map.
enum Pass<'a> {
    Forward {
        map: &'a [f32],
        weights: &'a [f32],
        results: &'a mut [f32],
    },
    OfMap {
        gradient: &'a [f32],
        weights: &'a [f32],
        map: &'a mut [f32],
    },
    OfWeights {
        gradient: &'a [f32],
        map: &'a [f32],
        weights: &'a mut [f32],
    },
}

struct Run<'a>(Geometry, Pass<'a>);

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // With the stride as a constant the loops become vectors.
        match self.0.stride {
            1 => self.run(1),
            2 => self.run(2),
            stride => self.run(stride),
        }
    }
}

impl Run<'_> {
    #[inline(always)]
    fn run(self, stride: usize) {
        let Self(geometry, pass) = self;
        match pass {
            Pass::Forward {
                map,
                weights,
                results,
            } => {
                results.fill(0.0);
                geometry.rows(|tap, places, seen| {
                    let weight = weights[tap];
                    let seen = map[seen].iter().step_by(stride);
                    for (result, value) in results[places].iter_mut().zip(seen) {
                        *result += weight * value;
                    }
                });
            }
            Pass::OfMap {
                gradient,
                weights,
                map,
            } => {
                map.fill(0.0);
                geometry.rows(|tap, places, seen| {
                    let weight = weights[tap];
                    let seen = map[seen].iter_mut().step_by(stride);
                    for (value, gradient) in seen.zip(&gradient[places]) {
                        *value += weight * gradient;
                    }
                });
            }
            Pass::OfWeights {
                gradient,
                map,
                weights,
            } => {
                geometry.rows(|tap, places, seen| {
                    let seen = map[seen].iter().step_by(stride);
                    let products = seen.zip(&gradient[places]);
                    weights[tap] += products
                        .map(|(value, gradient)| value * gradient)
                        .sum::<f32>();
                });
            }
        }
    }
}

fn forward(geometry: Geometry, maps: &[f32], weights: &[f32]) -> Vec<f32> {
    let [images, channels, _, _] = geometry.dims;
    let mut results = memory::take(images * channels * geometry.out_area());
    results
        .par_chunks_exact_mut(geometry.out_area())
        .zip(maps.par_chunks_exact(geometry.area()))
        .enumerate()
        .for_each(|(index, (results, map))| {
            let weights = &weights[index % channels * geometry.taps()..][..geometry.taps()];
            let pass = Pass::Forward {
                map,
                weights,
                results,
            };
            Arch::new().dispatch(Run(geometry, pass));
        });
    results
}

fn map_gradient(geometry: Geometry, gradient: &[f32], weights: &[f32]) -> Vec<f32> {
    let [images, channels, _, _] = geometry.dims;
    let mut maps = memory::take(images * channels * geometry.area());
    maps.par_chunks_exact_mut(geometry.area())
        .zip(gradient.par_chunks_exact(geometry.out_area()))
        .enumerate()
        .for_each(|(index, (map, gradient))| {
            let weights = &weights[index % channels * geometry.taps()..][..geometry.taps()];
            let pass = Pass::OfMap {
                gradient,
                weights,
                map,
            };
            Arch::new().dispatch(Run(geometry, pass));
        });
    maps
}

fn weight_gradient(geometry: Geometry, maps: &[f32], gradient: &[f32]) -> Vec<f32> {
    let [images, channels, _, _] = geometry.dims;
    let mut results = vec![0.0; channels * geometry.taps()];
    results
        .par_chunks_exact_mut(geometry.taps())
        .enumerate()
        .for_each(|(channel, weights)| {
            for image in 0..images {
                let index = image * channels + channel;
                let pass = Pass::OfWeights {
                    gradient: &gradient[index * geometry.out_area()..][..geometry.out_area()],
                    map: &maps[index * geometry.area()..][..geometry.area()],
                    weights,
                };
                Arch::new().dispatch(Run(geometry, pass));
            }
        });
    results
}

fn geometry_of(
    maps: &FloatTensor<Flex>,
    weights: &FloatTensor<Flex>,
    stride: usize,
    padding: usize,
) -> Geometry {
    Geometry::new(maps.shape().dims(), weights.shape().dims(), stride, padding)
        .expect("shapes are checked before the operation is dispatched")
}

impl Convolve for Flex {
    fn convolve_depthwise(
        maps: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        let geometry = geometry_of(&maps, &weights, stride, padding);
        let [maps, weights] = [maps, weights].map(|tensor| tensor.to_contiguous());
        let results = forward(geometry, values(&maps), values(&weights));
        tensor(results, geometry.out_dims())
    }
}

#[derive(Debug)]
struct ConvolveBackward;

impl Backward<Flex, 2> for ConvolveBackward {
    /// Both tensors, contiguous.
    type State = (FloatTensor<Flex>, FloatTensor<Flex>, Geometry);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [maps_node, weights_node] = ops.parents;
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let (maps, weights, geometry) = ops.state;
        if let Some(node) = maps_node {
            let of_maps = map_gradient(geometry, values(&gradient), values(&weights));
            gradients.register::<Flex>(node.id, tensor(of_maps, geometry.dims));
        }
        if let Some(node) = weights_node {
            let of_weights = weight_gradient(geometry, values(&maps), values(&gradient));
            gradients.register::<Flex>(node.id, tensor(of_weights, weights.shape()));
        }
        recycle(maps);
        recycle(gradient);
    }
}

impl<C: CheckpointStrategy> Convolve for Autodiff<Flex, C> {
    fn convolve_depthwise(
        maps: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        let operation = ConvolveBackward.prepare::<C>([maps.node(), weights.node()]);
        match operation.compute_bound().stateful() {
            OpsKind::Tracked(operation) => {
                let [maps, weights] =
                    [&maps, &weights].map(|tensor| tensor.primitive().to_contiguous());
                let geometry = geometry_of(&maps, &weights, stride, padding);
                let results = forward(geometry, values(&maps), values(&weights));
                let results = tensor(results, geometry.out_dims());
                operation.finish((maps, weights, geometry), results)
            }
            OpsKind::UnTracked(operation) => operation.finish(Flex::convolve_depthwise(
                maps.into_primitive(),
                weights.into_primitive(),
                stride,
                padding,
            )),
        }
    }
}
