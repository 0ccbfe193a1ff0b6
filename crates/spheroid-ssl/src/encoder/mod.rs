//! Encoders: images in, features out.

mod resnet;

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, at_least};

pub use resnet::ResNet;

use crate::{SslError, init::draw_weights};

/// Settings of an [`Encoder`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EncoderConfig {
    /// Input planes.
    pub planes: usize,
    /// Basic blocks in each of the four stages: `[2, 2, 2, 2]` is ResNet-18.
    pub blocks: [usize; 4],
    /// Channels of the first stage, doubled in each further one; 64 in the paper.
    pub width: usize,
}

impl EncoderConfig {
    /// Names understood by [`by_name`](Self::by_name).
    pub const NAMES: [&'static str; 4] =
        ["resnet10-w8", "resnet10-w16", "resnet18-w16", "resnet18"];

    /// The encoder of that name: the depth, and after `-w` the channels of the first stage.
    ///
    /// # Errors
    /// When there is none.
    pub fn by_name(name: &str, planes: usize) -> Result<Self, SslError> {
        let (blocks, width) = match name {
            "resnet10-w8" => ([1; 4], 8),
            "resnet10-w16" => ([1; 4], 16),
            "resnet18-w16" => ([2; 4], 16),
            "resnet18" => ([2; 4], 64),
            _ => {
                return Err(SslError::Unknown {
                    what: "encoder",
                    name: name.to_owned(),
                    known: Self::NAMES.join(", "),
                });
            }
        };
        Ok(Self {
            planes,
            blocks,
            width,
        })
    }

    /// Builds the encoder with weights drawn from `seed`, the same on every device.
    ///
    /// # Errors
    /// When a setting is 0 or too large to be meant.
    pub fn build(&self, seed: u64, device: &Device) -> Result<Encoder, ParamError> {
        at_least("planes", self.planes, 1, "at least 1")?;
        at_least("width", self.width, 1, "at least 1")?;
        for blocks in self.blocks {
            at_least("blocks", blocks, 1, "at least 1 in each stage")?;
        }
        const MOST: usize = 4096;
        if self.planes > MOST || self.width > MOST || self.blocks.iter().any(|&b| b > MOST) {
            return Err(ParamError::new(
                "encoder",
                format!("{self:?}"),
                "at most 4096 in each field",
            ));
        }
        Ok(draw_weights(
            Encoder::ResNet(ResNet::new(self, device)),
            seed,
        ))
    }
}

/// A network that turns images into features.
#[derive(Module, Debug)]
pub enum Encoder {
    /// A residual network of basic blocks.
    ResNet(ResNet),
}

impl Encoder {
    /// Feature maps of the stem and of every stage, shallow first.
    ///
    /// # Shapes
    /// `images` `[batch, plane, row, column]`; output `[batch, channel, row, column]` each.
    pub fn depths(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        match self {
            Self::ResNet(network) => network.depths(images),
        }
    }

    /// The last feature map averaged over its positions.
    ///
    /// # Shapes
    /// `images` `[batch, plane, row, column]`; output `[batch, features()]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let last = self
            .depths(images)
            .pop()
            .expect("an encoder has at least one depth");
        mean_pool(last)
    }

    /// Mean and standard deviation of every channel at every depth.
    ///
    /// Grain lives in the shallow maps, size and outline in the deep ones; the mean says how much of
    /// it there is and the deviation how unevenly it lies.
    ///
    /// # Shapes
    /// `images` `[batch, plane, row, column]`; output `[batch, statistics_dim()]`.
    pub fn statistics(&self, images: Tensor<4>) -> Tensor<2> {
        let pooled = self.depths(images).into_iter().flat_map(|map| {
            let mean = mean_pool(map.clone());
            let [batch, channels, _, _] = map.dims();
            let deviation = (map - mean.clone().reshape([batch, channels, 1, 1])).square();
            [mean, mean_pool(deviation).sqrt()]
        });
        Tensor::cat(pooled.collect(), 1)
    }

    /// Number of features of [`forward`](Self::forward).
    pub fn features(&self) -> usize {
        match self {
            Self::ResNet(network) => *network.channels().last().expect("a ResNet has four stages"),
        }
    }

    /// Number of features of [`statistics`](Self::statistics).
    pub fn statistics_dim(&self) -> usize {
        match self {
            Self::ResNet(network) => 2 * network.channels().iter().sum::<usize>(),
        }
    }

    /// Input planes.
    pub fn planes(&self) -> usize {
        match self {
            Self::ResNet(network) => network.planes(),
        }
    }
}

fn mean_pool(map: Tensor<4>) -> Tensor<2> {
    let [batch, channels, rows, columns] = map.dims();
    map.reshape([batch, channels, rows * columns])
        .mean_dim(2)
        .reshape([batch, channels])
}
