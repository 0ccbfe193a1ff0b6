//! Batch norm as an operation of the Flex backend, with its gradients.

use burn::{
    backend::{
        Autodiff, AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata,
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

use super::{BatchNormed, Then};
use crate::{
    flex::{into_values, is_flex, is_single, recycle, tensor, values},
    memory,
};

/// The operation; takes what [`takes`] has accepted.
#[backend_extension(Autodiff, Flex)]
trait Normalize: Backend {
    /// Maps, mean and variance.
    fn normalize(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
        bounds: Bounds,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// The same with `shortcut` added before a ReLU.
    fn normalize_add(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

pub(super) fn takes(maps: &Tensor<4>, gamma: &Tensor<1>, beta: &Tensor<1>, then: &Then) -> bool {
    let dims = maps.dims();
    let shortcut = match then {
        Then::AddRelu(shortcut) => is_single(shortcut) && shortcut.dims() == dims,
        Then::Nothing | Then::Relu | Then::Relu6 => true,
    };
    let channels = [gamma, beta].map(|tensor| is_single(tensor) && tensor.dims() == [dims[1]]);
    is_flex(maps) && is_single(maps) && !dims.contains(&0) && channels == [true; 2] && shortcut
}

pub(super) fn batch_norm(
    maps: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    then: Then,
) -> BatchNormed {
    let maps = maps.into_dispatch();
    let (gamma, beta) = (gamma.into_dispatch(), beta.into_dispatch());
    let (maps, mean, variance) = match then {
        Then::AddRelu(shortcut) => <Dispatch as Normalize>::normalize_add(
            maps,
            gamma,
            beta,
            shortcut.into_dispatch(),
            epsilon,
        ),
        then => {
            let bounds = Bounds::of(&then);
            <Dispatch as Normalize>::normalize(maps, gamma, beta, epsilon, bounds)
        }
    };
    BatchNormed {
        maps: Tensor::from_dispatch(maps),
        mean: Tensor::from_dispatch(mean),
        variance: Tensor::from_dispatch(variance),
    }
}

pub(super) fn scale_and_shift(
    maps: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    then: Then,
) -> Tensor<4> {
    let bounds = Bounds::of(&then);
    let shortcut = match then {
        Then::AddRelu(shortcut) => Some(shortcut.into_dispatch()),
        Then::Nothing | Then::Relu | Then::Relu6 => None,
    };
    let maps = maps.into_dispatch();
    let (scale, shift) = (scale.into_dispatch(), shift.into_dispatch());
    Tensor::from_dispatch(match shortcut {
        Some(shortcut) => <Dispatch as Move>::move_and_add(maps, scale, shift, shortcut),
        None => <Dispatch as Move>::move_maps(maps, scale, shift, bounds),
    })
}

/// Batch norm with statistics that stand still.
#[backend_extension(Flex)]
trait Move: Backend {
    fn move_maps(
        maps: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        bounds: Bounds,
    ) -> FloatTensor<Self>;

    /// The same with `shortcut` added before a ReLU.
    fn move_and_add(
        maps: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl Move for Flex {
    fn move_maps(
        maps: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        bounds: Bounds,
    ) -> FloatTensor<Self> {
        moved(maps, &scale, &shift, None, bounds)
    }

    fn move_and_add(
        maps: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let shortcut = shortcut.to_contiguous();
        moved(maps, &scale, &shift, Some(values(&shortcut)), Bounds::RELU)
    }
}

fn moved(
    maps: FlexTensor,
    scale: &FlexTensor,
    shift: &FlexTensor,
    shortcut: Option<&[f32]>,
    bounds: Bounds,
) -> FlexTensor {
    let layout = Layout::of(&maps);
    let mut maps = into_values(maps);
    let [scale, shift] = [scale, shift].map(|tensor| tensor.to_contiguous());
    let (scale, shift) = (values(&scale), values(&shift));
    maps.par_chunks_exact_mut(layout.plane_len())
        .enumerate()
        .for_each(|(index, map)| {
            let (scale, shift) = (
                scale[index % layout.channels],
                shift[index % layout.channels],
            );
            let area = layout.plane_len();
            Arch::new().dispatch(MovePlane {
                map,
                scale,
                shift,
                shortcut: shortcut.map(|shortcut| &shortcut[index * area..][..area]),
                bounds,
            });
        });
    tensor(maps, layout.dims())
}

struct MovePlane<'a> {
    map: &'a mut [f32],
    scale: f32,
    shift: f32,
    shortcut: Option<&'a [f32]>,
    bounds: Bounds,
}

impl WithSimd for MovePlane<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        match self.shortcut {
            Some(shortcut) => {
                for (value, shortcut) in self.map.iter_mut().zip(shortcut) {
                    *value = self
                        .bounds
                        .keep(*value * self.scale + self.shift + shortcut);
                }
            }
            None => {
                for value in self.map {
                    *value = self.bounds.keep(*value * self.scale + self.shift);
                }
            }
        }
    }
}

impl Normalize for Flex {
    fn normalize(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
        bounds: Bounds,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        forward(&maps, &gamma, &beta, None, epsilon, bounds)
    }

    fn normalize_add(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        forward(&maps, &gamma, &beta, Some(&shortcut), epsilon, Bounds::RELU)
    }
}

type FlexTensor = FloatTensor<Flex>;

fn forward(
    maps: &FlexTensor,
    gamma: &FlexTensor,
    beta: &FlexTensor,
    shortcut: Option<&FlexTensor>,
    epsilon: f64,
    bounds: Bounds,
) -> (FlexTensor, FlexTensor, FlexTensor) {
    let layout = Layout::of(maps);
    let [maps, gamma, beta] = [maps, gamma, beta].map(|tensor| tensor.to_contiguous());
    let shortcut = shortcut.map(|tensor| tensor.to_contiguous());
    let shortcut = shortcut.as_ref().map(values);
    let (maps, gamma, beta) = (values(&maps), values(&gamma), values(&beta));
    let mut results = memory::take(maps.len());
    let moments: Vec<(f32, f32)> = layout
        .planes_mut(&mut results)
        .into_par_iter()
        .enumerate()
        .map(|(channel, results)| {
            Arch::new().dispatch(Forward {
                layout,
                channel,
                maps,
                shortcut,
                gamma: gamma[channel],
                beta: beta[channel],
                epsilon,
                bounds,
                results,
            })
        })
        .collect();
    let (mean, variance): (Vec<f32>, Vec<f32>) = moments.into_iter().unzip();
    let channels = [layout.channels];
    (
        tensor(results, layout.dims()),
        tensor(mean, channels),
        tensor(variance, channels),
    )
}

/// One channel forward; gives its mean and variance.
struct Forward<'a> {
    layout: Layout,
    channel: usize,
    maps: &'a [f32],
    shortcut: Option<&'a [f32]>,
    gamma: f32,
    beta: f32,
    epsilon: f64,
    bounds: Bounds,
    /// The planes of the channel.
    results: Vec<&'a mut [f32]>,
}

impl WithSimd for Forward<'_> {
    type Output = (f32, f32);

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> (f32, f32) {
        let Self {
            layout,
            channel,
            maps,
            ..
        } = self;
        let count = layout.values();
        let mut total = 0.0;
        for plane in layout.planes(maps, channel) {
            total += sum(plane, |x| x);
        }
        let mean = (total / count) as f32;
        let mut squares = 0.0;
        for plane in layout.planes(maps, channel) {
            squares += sum(plane, |x| (x - mean) * (x - mean));
        }
        let variance = (squares / count) as f32;
        let scale = self.gamma * reciprocal(variance, self.epsilon);
        let shift = self.beta - mean * scale;
        for (image, results) in self.results.into_iter().enumerate() {
            let plane = layout.plane(maps, image, channel);
            match self.shortcut {
                Some(shortcut) => {
                    let shortcut = layout.plane(shortcut, image, channel);
                    for ((result, x), shortcut) in results.iter_mut().zip(plane).zip(shortcut) {
                        *result = self.bounds.keep(x * scale + shift + shortcut);
                    }
                }
                None => {
                    for (result, x) in results.iter_mut().zip(plane) {
                        *result = self.bounds.keep(x * scale + shift);
                    }
                }
            }
        }
        (mean, variance)
    }
}

/// What an activation leaves of a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    floor: f32,
    ceiling: f32,
}

impl Bounds {
    const NONE: Self = Self {
        floor: f32::NEG_INFINITY,
        ceiling: f32::INFINITY,
    };
    const RELU: Self = Self {
        floor: 0.0,
        ..Self::NONE
    };
    const RELU6: Self = Self {
        floor: 0.0,
        ceiling: 6.0,
    };

    fn of(then: &Then) -> Self {
        match then {
            Then::Nothing => Self::NONE,
            Then::Relu | Then::AddRelu(_) => Self::RELU,
            Then::Relu6 => Self::RELU6,
        }
    }

    fn is_none(self) -> bool {
        self.floor == f32::NEG_INFINITY
    }

    /// The value or the bound that it is beyond; NaN stays NaN.
    #[inline(always)]
    fn keep(self, value: f32) -> f32 {
        let value = if value < self.floor {
            self.floor
        } else {
            value
        };
        if value > self.ceiling {
            self.ceiling
        } else {
            value
        }
    }

    /// Whether a result lies between the bounds, so that its gradient goes on.
    #[inline(always)]
    fn within(self, result: f32) -> bool {
        result > self.floor && result < self.ceiling
    }
}

fn reciprocal(variance: f32, epsilon: f64) -> f32 {
    (1.0 / (f64::from(variance) + epsilon).sqrt()) as f32
}

/// What the gradients are made of.
#[derive(Debug, Clone)]
struct Saved {
    maps: FlexTensor,
    gamma: FlexTensor,
    /// The results, when an activation made them.
    results: Option<FlexTensor>,
    bounds: Bounds,
    mean: FlexTensor,
    variance: FlexTensor,
    epsilon: f64,
}

impl Saved {
    /// What is to be kept, and the results.
    fn forward(
        maps: FlexTensor,
        gamma: FlexTensor,
        beta: &FlexTensor,
        shortcut: Option<&FlexTensor>,
        epsilon: f64,
        bounds: Bounds,
    ) -> (Self, FlexTensor) {
        let [maps, gamma] = [maps, gamma].map(|tensor| tensor.to_contiguous());
        let (results, mean, variance) = forward(&maps, &gamma, beta, shortcut, epsilon, bounds);
        let saved = Self {
            maps,
            gamma,
            results: (!bounds.is_none()).then(|| results.clone()),
            bounds,
            mean,
            variance,
            epsilon,
        };
        (saved, results)
    }

    /// Gradients of maps, gamma and beta, and that of a shortcut when there is one.
    fn backward(self, gradient: FlexTensor, shortcut: bool) -> impl Iterator<Item = FlexTensor> {
        let layout = Layout::of(&self.maps);
        let maps = values(&self.maps);
        let results = self.results.as_ref().map(values);
        // Becomes the gradient behind the ReLU, which is that of a shortcut, and without one that of the maps.
        let mut gradient = into_values(gradient);
        let mut of_maps = memory::take(if shortcut { maps.len() } else { 0 });
        let sums: Vec<(f32, f32)> = layout
            .planes_mut(&mut gradient)
            .into_par_iter()
            .zip(layout.planes_mut(&mut of_maps))
            .enumerate()
            .map(|(channel, (gradient, of_maps))| {
                Arch::new().dispatch(BackwardChannel {
                    layout,
                    channel,
                    maps,
                    results,
                    bounds: self.bounds,
                    gamma: values(&self.gamma)[channel],
                    mean: values(&self.mean)[channel],
                    reciprocal: reciprocal(values(&self.variance)[channel], self.epsilon),
                    gradient,
                    of_maps,
                })
            })
            .collect();
        let (gamma, beta): (Vec<f32>, Vec<f32>) = sums.into_iter().unzip();
        std::iter::once(self.maps)
            .chain(self.results)
            .for_each(recycle);
        let (of_maps, of_shortcut) = if shortcut {
            (of_maps, Some(gradient))
        } else {
            (gradient, None)
        };
        let channels = [layout.channels];
        let inputs = [
            tensor(of_maps, layout.dims()),
            tensor(gamma, channels),
            tensor(beta, channels),
        ];
        let of_shortcut = of_shortcut.map(|gradient| tensor(gradient, layout.dims()));
        inputs.into_iter().chain(of_shortcut)
    }
}

/// One channel backwards; gives the gradients of gamma and beta.
struct BackwardChannel<'a> {
    layout: Layout,
    channel: usize,
    maps: &'a [f32],
    /// When an activation made them.
    results: Option<&'a [f32]>,
    bounds: Bounds,
    gamma: f32,
    mean: f32,
    /// Of the standard deviation.
    reciprocal: f32,
    gradient: Vec<&'a mut [f32]>,
    /// Empty when the gradient of the maps takes the place of the other.
    of_maps: Vec<&'a mut [f32]>,
}

impl WithSimd for BackwardChannel<'_> {
    type Output = (f32, f32);

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> (f32, f32) {
        let Self {
            layout,
            channel,
            maps,
            mean,
            reciprocal,
            ..
        } = self;
        let (mut total, mut product) = (0.0, 0.0);
        for (image, gradient) in self.gradient.iter_mut().enumerate() {
            if let Some(results) = self.results {
                let results = layout.plane(results, image, channel);
                for (gradient, result) in gradient.iter_mut().zip(results) {
                    let goes_on = self.bounds.within(*result);
                    *gradient = if goes_on { *gradient } else { 0.0 };
                }
            }
            total += sum(gradient, |gradient| gradient);
            product += sum_of_products(gradient, layout.plane(maps, image, channel), mean);
        }
        let product = product * f64::from(reciprocal);
        let scale = self.gamma * reciprocal;
        let mean_gradient = (total / layout.values()) as f32;
        let slope = (product / layout.values()) as f32 * reciprocal;
        let of_map =
            |gradient: f32, x: f32| scale * (gradient - mean_gradient - (x - mean) * slope);
        for (image, gradient) in self.gradient.into_iter().enumerate() {
            let plane = layout.plane(maps, image, channel);
            match self.of_maps.get_mut(image) {
                Some(of_maps) => {
                    for ((result, x), gradient) in of_maps.iter_mut().zip(plane).zip(gradient) {
                        *result = of_map(*gradient, *x);
                    }
                }
                None => {
                    for (gradient, x) in gradient.iter_mut().zip(plane) {
                        *gradient = of_map(*gradient, *x);
                    }
                }
            }
        }
        (product as f32, total as f32)
    }
}

/// Where the planes of a channel lie.
#[derive(Debug, Clone, Copy)]
struct Layout {
    images: usize,
    channels: usize,
    size: [usize; 2],
}

impl Layout {
    fn of(maps: &FlexTensor) -> Self {
        let [images, channels, rows, columns] = maps.shape().dims();
        Self {
            images,
            channels,
            size: [rows, columns],
        }
    }

    fn dims(self) -> [usize; 4] {
        [self.images, self.channels, self.size[0], self.size[1]]
    }

    fn plane_len(self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Number of values of a channel.
    fn values(self) -> f64 {
        (self.images * self.plane_len()) as f64
    }

    #[inline(always)]
    fn plane(self, maps: &[f32], image: usize, channel: usize) -> &[f32] {
        &maps[(image * self.channels + channel) * self.plane_len()..][..self.plane_len()]
    }

    #[inline(always)]
    fn planes(self, maps: &[f32], channel: usize) -> impl Iterator<Item = &[f32]> {
        (0..self.images).map(move |image| self.plane(maps, image, channel))
    }

    /// Outer index the channel, inner the image.
    fn planes_mut(self, maps: &mut [f32]) -> Vec<Vec<&mut [f32]>> {
        let mut planes: Vec<_> = (0..self.channels)
            .map(|_| Vec::with_capacity(self.images))
            .collect();
        for (index, plane) in maps.chunks_exact_mut(self.plane_len()).enumerate() {
            planes[index % self.channels].push(plane);
        }
        planes
    }
}

const LANES: usize = 16;

#[inline(always)]
fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f64 {
    let (whole, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for values in whole {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += term(*value);
        }
    }
    let rest = rest.iter().map(|value| term(*value));
    sums.into_iter().chain(rest).map(f64::from).sum()
}

/// `Σ gradients · (values − mean)`.
#[inline(always)]
fn sum_of_products(gradients: &[f32], values: &[f32], mean: f32) -> f64 {
    let (gradients, gradients_rest) = gradients.as_chunks::<LANES>();
    let (values, values_rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (gradients, values) in gradients.iter().zip(values) {
        for ((sum, gradient), value) in sums.iter_mut().zip(gradients).zip(values) {
            *sum += gradient * (value - mean);
        }
    }
    let rest = gradients_rest.iter().zip(values_rest);
    let rest = rest.map(|(gradient, value)| gradient * (value - mean));
    sums.into_iter().chain(rest).map(f64::from).sum()
}

#[derive(Debug)]
struct NormalizeBackward;

impl Backward<Flex, 3> for NormalizeBackward {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        register(ops, gradients);
    }
}

#[derive(Debug)]
struct NormalizeAddBackward;

impl Backward<Flex, 4> for NormalizeAddBackward {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, 4>, gradients: &mut Gradients, _: &mut Checkpointer) {
        register(ops, gradients);
    }
}

fn register<const N: usize>(ops: Ops<Saved, N>, gradients: &mut Gradients) {
    let gradient = gradients.consume::<Flex>(&ops.node);
    // Beside maps, gamma and beta there is a shortcut.
    let found = ops.state.backward(gradient, N == 4);
    for (node, gradient) in ops.parents.into_iter().zip(found) {
        if let Some(node) = node {
            gradients.register::<Flex>(node.id, gradient);
        }
    }
}

impl<C: CheckpointStrategy> Normalize for Autodiff<Flex, C> {
    fn normalize(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
        bounds: Bounds,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let operation = NormalizeBackward.prepare::<C>([maps.node(), gamma.node(), beta.node()]);
        let [maps, gamma, beta] = [maps, gamma, beta].map(|tensor| tensor.into_primitive());
        let (saved, results) = Saved::forward(maps, gamma, &beta, None, epsilon, bounds);
        let [mean, variance] =
            [&saved.mean, &saved.variance].map(|tensor| Self::from_inner(tensor.clone()));
        let results = match operation.compute_bound().stateful() {
            OpsKind::Tracked(operation) => operation.finish(saved, results),
            OpsKind::UnTracked(operation) => operation.finish(results),
        };
        (results, mean, variance)
    }

    fn normalize_add(
        maps: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        shortcut: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [maps.node(), gamma.node(), beta.node(), shortcut.node()];
        let operation = NormalizeAddBackward.prepare::<C>(nodes);
        let [maps, gamma, beta, shortcut] =
            [maps, gamma, beta, shortcut].map(|tensor| tensor.into_primitive());
        let (saved, results) =
            Saved::forward(maps, gamma, &beta, Some(&shortcut), epsilon, Bounds::RELU);
        let [mean, variance] =
            [&saved.mean, &saved.variance].map(|tensor| Self::from_inner(tensor.clone()));
        let results = match operation.compute_bound().stateful() {
            OpsKind::Tracked(operation) => operation.finish(saved, results),
            OpsKind::UnTracked(operation) => operation.finish(results),
        };
        (results, mean, variance)
    }
}
