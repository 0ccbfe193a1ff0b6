use burn::{
    module::Module,
    nn::{BatchNorm, BatchNormConfig, conv::Conv2d},
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;
use spheroid_kernels::{Then, max_pool2d};

use super::{
    bounded,
    resnet::{convolution, convolve, normalize},
    size,
};

/// Settings of a [`UNet`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UNetConfig {
    /// Input planes.
    pub planes: usize,
    /// Channels of the first level, doubled in every further one; 64 in the paper.
    pub width: usize,
}

impl UNetConfig {
    /// Settings with the 64 channels of the paper.
    pub fn new(planes: usize) -> Self {
        Self { planes, width: 64 }
    }

    pub(super) fn build(&self, device: &Device) -> Result<UNet, ParamError> {
        size("planes", self.planes)?;
        size("width", self.width)?;
        let last = self.width.saturating_mul(16);
        bounded("width", last, &[last, 9, 2])?;
        bounded("planes", self.planes, &[self.width, 9])?;
        let width = self.width;
        let level = |inputs, outputs| Level::new(inputs, outputs, device);
        Ok(UNet {
            inc: level(self.planes, width),
            down1: level(width, 2 * width),
            down2: level(2 * width, 4 * width),
            down3: level(4 * width, 8 * width),
            down4: level(8 * width, 16 * width),
        })
    }
}

/// The contracting path of a U-Net: five levels of two 3 × 3 convolutions, halved in between.
///
/// The expanding path makes one value a pixel and no feature of an image, so it is left out: no method here
/// would train it.
///
/// # Source
/// Ronneberger, Fischer, Brox 2015, "U-Net", arXiv 1505.04597. **Differs**: convolutions are padded and
/// followed by batch norm, as in most code since.
#[derive(Module, Debug)]
pub struct UNet {
    inc: Level,
    down1: Level,
    down2: Level,
    down3: Level,
    down4: Level,
}

impl UNet {
    /// Four times halved.
    pub(super) const GRANULARITY: usize = 16;

    fn levels(&self) -> [&Level; 5] {
        [
            &self.inc,
            &self.down1,
            &self.down2,
            &self.down3,
            &self.down4,
        ]
    }

    pub(super) fn depths(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let mut depths: Vec<Tensor<4>> = Vec::with_capacity(5);
        for level in self.levels() {
            let input = match depths.last() {
                Some(above) => max_pool2d(above.clone(), 2, 2, 0),
                None => images.clone(),
            };
            depths.push(level.forward(input));
        }
        depths
    }

    pub(super) fn depth_of(path: &[&str]) -> usize {
        let below = ["down1", "down2", "down3", "down4"];
        let level = below.iter().position(|level| path.contains(level));
        level.map_or(0, |level| level + 1)
    }

    pub(super) fn channels(&self) -> Vec<usize> {
        let channels = |level: &Level| level.conv2.weight.val().dims()[0];
        self.levels().map(channels).to_vec()
    }

    pub(super) fn planes(&self) -> usize {
        let [_, planes, _, _] = self.inc.conv1.weight.val().dims();
        planes
    }
}

#[derive(Module, Debug)]
struct Level {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
}

impl Level {
    fn new(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self {
            conv1: convolution(inputs, outputs, 3, 1, device),
            bn1: BatchNormConfig::new(outputs).init(device),
            conv2: convolution(outputs, outputs, 3, 1, device),
            bn2: BatchNormConfig::new(outputs).init(device),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let map = normalize(&self.bn1, convolve(&self.conv1, input), Then::Relu);
        normalize(&self.bn2, convolve(&self.conv2, map), Then::Relu)
    }
}
