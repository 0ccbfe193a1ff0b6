//! The depthwise convolution as an operation of the Flex backend, with its gradients.

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
    memory::{self, Room},
    tiles::{Slide, Tile},
    unfolded::{Geometry, Unfolded},
    windows::Windows,
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
    let fit = windows(maps.dims(), weights.dims(), stride, padding).is_some();
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

/// `None` when tensors do not fit each other or are empty.
fn windows(
    dims: [usize; 4],
    [channels, one, rows, columns]: [usize; 4],
    stride: usize,
    padding: usize,
) -> Option<Windows> {
    let fit = dims[1] == channels && one == 1;
    fit.then(|| Windows::new(dims, [rows, columns], stride, padding))?
}

/// A pass back over one map.
enum Pass<'a> {
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

struct Run<'a>(Windows, Pass<'a>);

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
        let Self(windows, pass) = self;
        match pass {
            Pass::OfMap {
                gradient,
                weights,
                map,
            } => {
                map.fill(0.0);
                windows.rows(|tap, places, seen| {
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
                windows.rows(|tap, places, seen| {
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

fn forward(windows: Windows, maps: &[f32], weights: &[f32]) -> Vec<f32> {
    let Windows {
        dims: [images, channels, rows, columns],
        kernel,
        out,
        stride,
        padding,
    } = windows;
    let geometry = Geometry {
        images,
        inputs: 1,
        outputs: 1,
        size: [rows, columns],
        kernel,
        stride,
        padding,
    };
    let unfolded = Unfolded::new(geometry, out);
    let (plane, offsets) = (unfolded.plane, unfolded.shifts(1));
    let tile = Tile::new(Arch::new());
    let seen = (out[0] - 1) * plane.pitch + out[1];
    let sums = seen.next_multiple_of(tile.lanes);
    // The last vectors look beyond the last place that counts.
    let planes = unfolded.channel(1) + tile.lanes;
    let mut results = memory::take(windows.planes() * windows.out_area());
    results
        .par_chunks_exact_mut(windows.out_area())
        .zip(maps.par_chunks_exact(windows.area()))
        .enumerate()
        .for_each_init(
            || (Room::zeros(planes), Room::new(sums)),
            |(planes, sums), (index, (result, map))| {
                unfolded.fill(map, planes, plane.len());
                tile.slide(Slide {
                    source: planes,
                    offsets: &offsets,
                    weights: &weights[index % channels * windows.taps()..][..windows.taps()],
                    out: sums,
                });
                plane.cut(sums, result, out[1]);
            },
        );
    results
}

fn map_gradient(windows: Windows, gradient: &[f32], weights: &[f32]) -> Vec<f32> {
    let mut maps = memory::take(windows.planes() * windows.area());
    maps.par_chunks_exact_mut(windows.area())
        .zip(gradient.par_chunks_exact(windows.out_area()))
        .enumerate()
        .for_each(|(index, (map, gradient))| {
            let channel = index % windows.dims[1];
            let pass = Pass::OfMap {
                gradient,
                weights: &weights[channel * windows.taps()..][..windows.taps()],
                map,
            };
            Arch::new().dispatch(Run(windows, pass));
        });
    maps
}

fn weight_gradient(windows: Windows, maps: &[f32], gradient: &[f32]) -> Vec<f32> {
    let [images, channels, _, _] = windows.dims;
    let mut results = vec![0.0; channels * windows.taps()];
    results
        .par_chunks_exact_mut(windows.taps())
        .enumerate()
        .for_each(|(channel, weights)| {
            for image in 0..images {
                let index = image * channels + channel;
                let pass = Pass::OfWeights {
                    gradient: &gradient[index * windows.out_area()..][..windows.out_area()],
                    map: &maps[index * windows.area()..][..windows.area()],
                    weights,
                };
                Arch::new().dispatch(Run(windows, pass));
            }
        });
    results
}

fn windows_of(
    maps: &FloatTensor<Flex>,
    weights: &FloatTensor<Flex>,
    stride: usize,
    padding: usize,
) -> Windows {
    windows(maps.shape().dims(), weights.shape().dims(), stride, padding)
        .expect("shapes are checked before the operation is dispatched")
}

impl Convolve for Flex {
    fn convolve_depthwise(
        maps: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        stride: usize,
        padding: usize,
    ) -> FloatTensor<Self> {
        let windows = windows_of(&maps, &weights, stride, padding);
        let [maps, weights] = [maps, weights].map(|tensor| tensor.to_contiguous());
        let results = forward(windows, values(&maps), values(&weights));
        tensor(results, windows.out_dims())
    }
}

#[derive(Debug)]
struct ConvolveBackward;

impl Backward<Flex, 2> for ConvolveBackward {
    /// Both tensors, contiguous.
    type State = (FloatTensor<Flex>, FloatTensor<Flex>, Windows);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [maps_node, weights_node] = ops.parents;
        let gradient = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let (maps, weights, windows) = ops.state;
        if let Some(node) = maps_node {
            let of_maps = map_gradient(windows, values(&gradient), values(&weights));
            gradients.register::<Flex>(node.id, tensor(of_maps, windows.dims));
        }
        if let Some(node) = weights_node {
            let of_weights = weight_gradient(windows, values(&maps), values(&gradient));
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
                let windows = windows_of(&maps, &weights, stride, padding);
                let results = forward(windows, values(&maps), values(&weights));
                let results = tensor(results, windows.out_dims());
                operation.finish((maps, weights, windows), results)
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
