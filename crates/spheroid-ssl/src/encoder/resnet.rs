use burn::{
    module::Module,
    nn::{
        BatchNorm, BatchNormConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor, activation::relu, module::max_pool2d, ops::MaxPoolOptions},
};

use super::EncoderConfig;

/// Residual network of basic blocks, laid out and named as torchvision's `resnet18` without its `fc`.
///
/// # Source
/// He, Zhang, Ren, Sun 2015, "Deep Residual Learning for Image Recognition", arXiv 1512.03385.
#[derive(Module, Debug)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm,
    layer1: Vec<BasicBlock>,
    layer2: Vec<BasicBlock>,
    layer3: Vec<BasicBlock>,
    layer4: Vec<BasicBlock>,
}

impl ResNet {
    pub(super) fn new(config: &EncoderConfig, device: &Device) -> Self {
        let stage = |index: usize| {
            let channels = config.width << index;
            let (inputs, stride) = if index == 0 {
                (channels, 1)
            } else {
                (channels / 2, 2)
            };
            let first = BasicBlock::new(inputs, channels, stride, device);
            let more =
                (1..config.blocks[index]).map(|_| BasicBlock::new(channels, channels, 1, device));
            std::iter::once(first).chain(more).collect()
        };
        Self {
            conv1: convolution(config.planes, config.width, 7, 2, device),
            bn1: BatchNormConfig::new(config.width).init(device),
            layer1: stage(0),
            layer2: stage(1),
            layer3: stage(2),
            layer4: stage(3),
        }
    }

    pub(super) fn depths(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let stem = relu(self.bn1.forward(self.conv1.forward(images)));
        let mut map = max_pool2d(
            stem.clone(),
            MaxPoolOptions::new([3, 3])
                .with_stride([2, 2])
                .with_padding([1, 1]),
        );
        let mut depths = vec![stem];
        for stage in [&self.layer1, &self.layer2, &self.layer3, &self.layer4] {
            map = stage.iter().fold(map, |map, block| block.forward(map));
            depths.push(map.clone());
        }
        depths
    }

    /// Channels of the maps of [`depths`](Self::depths).
    pub(super) fn channels(&self) -> [usize; 5] {
        let width = self.planes_and_width().1;
        [width, width, 2 * width, 4 * width, 8 * width]
    }

    pub(super) fn planes(&self) -> usize {
        self.planes_and_width().0
    }

    fn planes_and_width(&self) -> (usize, usize) {
        let [width, planes, _, _] = self.conv1.weight.val().dims();
        (planes, width)
    }
}

/// Two 3 × 3 convolutions around which the input is added back.
#[derive(Module, Debug)]
struct BasicBlock {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    downsample: Option<Downsample>,
}

impl BasicBlock {
    fn new(inputs: usize, channels: usize, stride: usize, device: &Device) -> Self {
        let norm = || BatchNormConfig::new(channels).init(device);
        let downsample = (stride != 1 || inputs != channels).then(|| Downsample {
            conv: convolution(inputs, channels, 1, stride, device),
            bn: norm(),
        });
        Self {
            conv1: convolution(inputs, channels, 3, stride, device),
            bn1: norm(),
            conv2: convolution(channels, channels, 3, 1, device),
            bn2: norm(),
            downsample,
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let shortcut = match &self.downsample {
            Some(downsample) => downsample
                .bn
                .forward(downsample.conv.forward(input.clone())),
            None => input.clone(),
        };
        let map = relu(self.bn1.forward(self.conv1.forward(input)));
        relu(self.bn2.forward(self.conv2.forward(map)) + shortcut)
    }
}

/// Brings a shortcut to the block's channels and stride.
#[derive(Module, Debug)]
struct Downsample {
    conv: Conv2d,
    bn: BatchNorm,
}

fn convolution(
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
