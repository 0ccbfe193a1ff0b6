use burn::{
    module::Module,
    nn::{
        BatchNorm, BatchNormConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;
use spheroid_kernels::{BatchNormed, Then, batch_norm, conv2d, max_pool2d, scale_and_shift};

use super::{bounded, size};

/// Settings of a [`ResNet`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResNetConfig {
    /// Input planes.
    pub planes: usize,
    /// What the stages are made of.
    pub block: ResNetBlock,
    /// Blocks in each of the four stages: basic ones in `[2, 2, 2, 2]` are ResNet-18.
    pub blocks: [usize; 4],
    /// Channels of the stem, doubled in every stage after the first; 64 in the paper.
    pub width: usize,
    /// How images enter.
    pub stem: Stem,
}

/// Residual blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResNetBlock {
    /// Two 3 × 3 convolutions: ResNet-18 and -34.
    Basic,
    /// 1 × 1, 3 × 3 (which bears the stride, as in torchvision) and 1 × 1 with four times the channels:
    /// ResNet-50.
    Bottleneck,
}

/// First layers of a ResNet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// 7 × 7 with stride 2 and a max pool: a quarter of the image's side is left.
    ImageNet,
    /// 3 × 3 with stride 1 for images of some 32 px, as in the appendix of SimCLR (arXiv 2002.05709, B.9).
    Small,
}

impl ResNetConfig {
    /// Settings with 64 channels and the ImageNet stem.
    pub fn new(planes: usize, block: ResNetBlock, blocks: [usize; 4]) -> Self {
        Self {
            planes,
            block,
            blocks,
            width: 64,
            stem: Stem::ImageNet,
        }
    }

    pub(super) fn build(&self, device: &Device) -> Result<ResNet, ParamError> {
        size("planes", self.planes)?;
        size("width", self.width)?;
        for blocks in self.blocks {
            size("blocks", blocks)?;
        }
        // The 3 × 3 convolutions of the last stage are the largest, and twice as many as its blocks.
        let last = self.width.saturating_mul(8);
        bounded("width", last, &[last, 9, 2])?;
        let blocks = self
            .blocks
            .iter()
            .fold(0usize, |sum, blocks| sum.saturating_add(*blocks));
        bounded("blocks", blocks, &[last, last, 9])?;
        bounded("planes", self.planes, &[self.width, 49])?;
        let mut inputs = self.width;
        let mut stage = |index: usize| {
            let channels = self.width << index;
            let first_stride = if index == 0 { 1 } else { 2 };
            (0..self.blocks[index])
                .map(|block| {
                    let stride = if block == 0 { first_stride } else { 1 };
                    let block = Block::new(self.block, inputs, channels, stride, device);
                    inputs = channels * self.block.expansion();
                    block
                })
                .collect()
        };
        let (kernel, stride) = match self.stem {
            Stem::ImageNet => (7, 2),
            Stem::Small => (3, 1),
        };
        Ok(ResNet {
            conv1: convolution(self.planes, self.width, kernel, stride, device),
            bn1: BatchNormConfig::new(self.width).init(device),
            layer1: stage(0),
            layer2: stage(1),
            layer3: stage(2),
            layer4: stage(3),
            pooled_stem: self.stem == Stem::ImageNet,
        })
    }
}

impl ResNetBlock {
    /// Channels that leave a block for each channel of its stage.
    fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

/// Residual network, laid out and named as torchvision's `resnet18`, `resnet34` and `resnet50` without
/// their `fc` (a shortcut's `downsample.0` and `.1` are `downsample.conv` and `.bn` here).
///
/// # Source
/// He, Zhang, Ren, Sun 2015, "Deep Residual Learning for Image Recognition", arXiv 1512.03385.
#[derive(Module, Debug)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm,
    layer1: Vec<Block>,
    layer2: Vec<Block>,
    layer3: Vec<Block>,
    layer4: Vec<Block>,
    pooled_stem: bool,
}

impl ResNet {
    pub(super) fn depths(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let stem = normalize(&self.bn1, convolve(&self.conv1, images), Then::Relu);
        let mut map = stem.clone();
        if self.pooled_stem {
            map = max_pool2d(map, 3, 2, 1);
        }
        let mut depths = vec![stem];
        for stage in self.stages() {
            map = stage.iter().fold(map, |map, block| block.forward(map));
            depths.push(map.clone());
        }
        depths
    }

    fn stages(&self) -> [&Vec<Block>; 4] {
        [&self.layer1, &self.layer2, &self.layer3, &self.layer4]
    }

    pub(super) fn depth_of(path: &[&str]) -> usize {
        let stages = ["layer1", "layer2", "layer3", "layer4"];
        let stage = stages.iter().position(|stage| path.contains(stage));
        stage.map_or(0, |stage| stage + 1)
    }

    pub(super) fn channels(&self) -> Vec<usize> {
        let [width, _, _, _] = self.conv1.weight.val().dims();
        let stages = self.stages().map(|stage| stage[0].channels());
        std::iter::once(width).chain(stages).collect()
    }

    pub(super) fn planes(&self) -> usize {
        let [_, planes, _, _] = self.conv1.weight.val().dims();
        planes
    }
}

/// Convolutions around which the input is added back.
#[derive(Module, Debug)]
struct Block {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    /// A bottleneck's widening convolution.
    conv3: Option<Conv2d>,
    bn3: Option<BatchNorm>,
    downsample: Option<Downsample>,
}

impl Block {
    fn new(
        kind: ResNetBlock,
        inputs: usize,
        channels: usize,
        stride: usize,
        device: &Device,
    ) -> Self {
        let norm = |channels| BatchNormConfig::new(channels).init(device);
        let outputs = channels * kind.expansion();
        let downsample = (stride != 1 || inputs != outputs).then(|| Downsample {
            conv: convolution(inputs, outputs, 1, stride, device),
            bn: norm(outputs),
        });
        let bottleneck = kind == ResNetBlock::Bottleneck;
        let (first_kernel, strides) = if bottleneck {
            (1, [1, stride])
        } else {
            (3, [stride, 1])
        };
        Self {
            conv1: convolution(inputs, channels, first_kernel, strides[0], device),
            bn1: norm(channels),
            conv2: convolution(channels, channels, 3, strides[1], device),
            bn2: norm(channels),
            conv3: bottleneck.then(|| convolution(channels, outputs, 1, 1, device)),
            bn3: bottleneck.then(|| norm(outputs)),
            downsample,
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let shortcut = match &self.downsample {
            Some(Downsample { conv, bn }) => {
                normalize(bn, convolve(conv, input.clone()), Then::Nothing)
            }
            None => input.clone(),
        };
        let map = normalize(&self.bn1, convolve(&self.conv1, input), Then::Relu);
        let map = convolve(&self.conv2, map);
        match (&self.conv3, &self.bn3) {
            (Some(conv3), Some(bn3)) => {
                let map = normalize(&self.bn2, map, Then::Relu);
                normalize(bn3, convolve(conv3, map), Then::AddRelu(shortcut))
            }
            _ => normalize(&self.bn2, map, Then::AddRelu(shortcut)),
        }
    }

    fn channels(&self) -> usize {
        let last = self.conv3.as_ref().unwrap_or(&self.conv2);
        let [channels, _, _, _] = last.weight.val().dims();
        channels
    }
}

/// Brings a shortcut to the block's channels and stride.
#[derive(Module, Debug)]
struct Downsample {
    conv: Conv2d,
    bn: BatchNorm,
}

/// A convolution that a batch norm follows: no bias, padded so that stride 1 keeps the size.
pub(super) fn convolution(
    inputs: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    device: &Device,
) -> Conv2d {
    let pad = kernel / 2;
    Conv2dConfig::new([inputs, outputs], [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
        .with_bias(false)
        .init(device)
}

/// Applies a layer that [`convolution`] made.
pub(super) fn convolve(layer: &Conv2d, map: Tensor<4>) -> Tensor<4> {
    let padding = layer.kernel_size[0] / 2;
    conv2d(map, layer.weight.val(), layer.stride[0], padding)
}

/// Applies a batch norm and what follows it.
///
/// It normalises with the statistics of the batch, and follows them, when the layer and its device train, as
/// [`BatchNorm::forward`] does.
pub(super) fn normalize(layer: &BatchNorm, map: Tensor<4>, then: Then) -> Tensor<4> {
    let (gamma, beta) = (layer.gamma.val(), layer.beta.val());
    if !(map.device().is_autodiff() && layer.training.is_enabled()) {
        let [mean, variance] = [&layer.running_mean, &layer.running_var]
            .map(|state| state.value_sync().to_device(&map.device()));
        let scale = gamma / (variance + layer.epsilon).sqrt();
        let shift = beta - mean * scale.clone();
        return scale_and_shift(map, scale, shift, then);
    }
    let BatchNormed {
        maps,
        mean,
        variance,
    } = batch_norm(map, gamma, beta, layer.epsilon, then);
    let momentum = layer.momentum;
    for (state, value) in [(&layer.running_mean, mean), (&layer.running_var, variance)] {
        let old = state.value_sync().to_device(&value.device());
        state.update((old * (1.0 - momentum) + value * momentum).detach());
    }
    maps
}
