//! Encoders: images in, features out.
//!
//! A [`ResNet`] is the choice for one plate; [`EfficientNetLite`] is one whose weights from other images a package
//! registry has; a [`Vit`] is what masked autoencoders need and what DINO was
//! made for; a [`UNet`]'s contracting path keeps fine structure over more depths.

mod efficientnet;
mod resnet;
#[cfg(test)]
mod tests;
mod unet;
mod vit;

use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use serde::{Deserialize, Serialize};
use spheroid_augment::Normalize;
use spheroid_core::{ParamError, at_least};

pub use efficientnet::{EfficientNetLite, EfficientNetLiteConfig};
pub use resnet::{ResNet, ResNetBlock, ResNetConfig, Stem};
pub use unet::{UNet, UNetConfig};
pub(crate) use vit::{TransformerBlock, layer_norm, sin_cos_positions};
pub use vit::{Vit, VitConfig};

use crate::{SslError, init::draw_weights};

/// Settings of an [`Encoder`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "network")]
pub enum EncoderConfig {
    /// A residual network.
    #[serde(rename = "resnet")]
    ResNet(ResNetConfig),
    /// EfficientNet-Lite0.
    #[serde(rename = "efficientnet-lite0")]
    EfficientNetLite(EfficientNetLiteConfig),
    /// The contracting path of a U-Net.
    #[serde(rename = "unet")]
    UNet(UNetConfig),
    /// A vision transformer.
    #[serde(rename = "vit")]
    Vit(VitConfig),
}

impl EncoderConfig {
    /// Names understood by [`by_name`](Self::by_name), before their suffixes.
    pub const NAMES: [&'static str; 8] = [
        "resnet10",
        "resnet18",
        "resnet34",
        "resnet50",
        "efficientnet-lite0",
        "unet",
        "vit-tiny",
        "vit-small",
    ];

    /// The encoder of that name.
    ///
    /// `-wN` sets the width (channels of the first stage, or features of a transformer's token), `-small`
    /// gives a ResNet the stem for images of some 32 px, `-pN` sets a transformer's patch in pixels:
    /// `resnet18-small-w16`, `vit-tiny-p8`.
    ///
    /// # Errors
    /// When there is none, or a suffix does not belong to it.
    pub fn by_name(name: &str, planes: usize) -> Result<Self, SslError> {
        let unknown = || SslError::Unknown {
            what: "encoder",
            name: name.to_owned(),
            known: format!(
                "{} (with -wN for the width, -small for a ResNet on small images, -pN for the patch of a \
                 transformer)",
                Self::NAMES.join(", ")
            ),
        };
        let base = Self::NAMES
            .into_iter()
            .find(|base| name == *base || name.starts_with(&format!("{base}-")))
            .ok_or_else(unknown)?;
        let mut config = match base {
            "resnet10" => Self::ResNet(ResNetConfig::new(planes, ResNetBlock::Basic, [1; 4])),
            "resnet18" => Self::ResNet(ResNetConfig::new(planes, ResNetBlock::Basic, [2; 4])),
            "resnet34" => {
                let blocks = [3, 4, 6, 3];
                Self::ResNet(ResNetConfig::new(planes, ResNetBlock::Basic, blocks))
            }
            "resnet50" => {
                let blocks = [3, 4, 6, 3];
                Self::ResNet(ResNetConfig::new(planes, ResNetBlock::Bottleneck, blocks))
            }
            "efficientnet-lite0" => Self::EfficientNetLite(EfficientNetLiteConfig::new(planes)),
            "unet" => Self::UNet(UNetConfig::new(planes)),
            "vit-tiny" => Self::Vit(VitConfig::new(planes, 192)),
            _ => Self::Vit(VitConfig::new(planes, 384)),
        };
        for suffix in name[base.len()..].split('-').skip(1) {
            let number = suffix.get(1..).and_then(|digits| digits.parse().ok());
            match (&mut config, suffix.chars().next(), number) {
                (Self::ResNet(config), _, _) if suffix == "small" => config.stem = Stem::Small,
                (Self::ResNet(config), Some('w'), Some(width)) => config.width = width,
                (Self::UNet(config), Some('w'), Some(width)) => config.width = width,
                (Self::Vit(config), Some('w'), Some(width)) => {
                    *config = VitConfig {
                        patch: config.patch,
                        ..VitConfig::new(planes, width)
                    };
                }
                (Self::Vit(config), Some('p'), Some(patch)) => config.patch = patch,
                _ => return Err(unknown()),
            }
        }
        Ok(config)
    }

    /// How images were normalised for the weights that others trained for this network: as TensorFlow does for
    /// EfficientNet-Lite0, and as torchvision does for a ResNet, whose three colours are one grey here. `None` for
    /// networks without such weights.
    pub fn pretrained_normalize(&self) -> Option<Normalize> {
        let (mean, deviation) = match self {
            Self::EfficientNetLite(_) => (127.0 / 255.0, 128.0 / 255.0),
            Self::ResNet(_) => (0.449, 0.226),
            Self::UNet(_) | Self::Vit(_) => return None,
        };
        Some(Normalize {
            mean: vec![mean],
            deviation: vec![deviation],
        })
    }

    /// Builds the encoder with weights drawn from `seed`, the same on every device.
    ///
    /// # Errors
    /// When a setting is 0, too large to be meant, or does not go with another.
    pub fn build(&self, seed: u64, device: &Device) -> Result<Encoder, ParamError> {
        let encoder = match self {
            Self::ResNet(config) => Encoder::ResNet(config.build(device)?),
            Self::EfficientNetLite(config) => Encoder::EfficientNetLite(config.build(device)?),
            Self::UNet(config) => Encoder::UNet(config.build(device)?),
            Self::Vit(config) => Encoder::Vit(config.build(device)?),
        };
        Ok(draw_weights(encoder, seed))
    }
}

fn size(name: &'static str, value: usize) -> Result<usize, ParamError> {
    at_least(name, value, 1, "at least 1")?;
    bounded(name, value, &[])
}

/// Refuses `value` when, times the other `factors`, it makes more weights than any network here has: a
/// wrong setting shall not ask for all memory.
pub(crate) fn bounded(
    name: &'static str,
    value: usize,
    factors: &[usize],
) -> Result<usize, ParamError> {
    /// A GiB of them.
    const MOST: f64 = (1u64 << 28) as f64;
    let weights = factors
        .iter()
        .fold(value as f64, |product, factor| product * *factor as f64);
    if weights > MOST {
        return Err(ParamError::new(
            name,
            value,
            "small enough for 1 GiB of weights",
        ));
    }
    Ok(value)
}

/// What is kept of the feature maps of an image.
///
/// Grain lives in the shallow maps, size and outline in the deep ones; the mean says how much of a feature
/// there is and the deviation how unevenly it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pooling {
    /// Every depth, or the last alone.
    pub every_depth: bool,
    /// The standard deviation of every channel beside its mean.
    pub deviation: bool,
}

impl Pooling {
    /// Mean and deviation at every depth: what ranks best.
    pub const ALL: Self = Self {
        every_depth: true,
        deviation: true,
    };
    /// The mean of the last map: what papers report.
    pub const LAST: Self = Self {
        every_depth: false,
        deviation: false,
    };
}

/// A network that turns images into features.
#[derive(Module, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is made, and its weights lie elsewhere"
)]
pub enum Encoder {
    /// A residual network.
    ResNet(ResNet),
    /// EfficientNet-Lite0.
    EfficientNetLite(EfficientNetLite),
    /// The contracting path of a U-Net.
    UNet(UNet),
    /// A vision transformer.
    Vit(Vit),
}

impl Encoder {
    /// Feature maps of every depth, shallow first: the stem and the four stages of a ResNet, the
    /// stem, the seven stages and the head of EfficientNet-Lite0, the five levels of a U-Net, the patches after every block of a transformer.
    ///
    /// # Shapes
    /// `images` `[batch, plane, row, column]`; output `[batch, channel, row, column]` each.
    pub fn depths(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        match self {
            Self::ResNet(network) => network.depths(images),
            Self::EfficientNetLite(network) => network.depths(images),
            Self::UNet(network) => network.depths(images),
            Self::Vit(network) => network.depths(images),
        }
    }

    /// The features that a method trains: the last map averaged over its positions, or a transformer's
    /// class token.
    ///
    /// # Shapes
    /// `images` `[batch, plane, row, column]`; output `[batch, features()]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut depths = match self {
            Self::ResNet(network) => network.depths(images),
            Self::EfficientNetLite(network) => network.depths(images),
            Self::UNet(network) => network.depths(images),
            Self::Vit(network) => return network.class_token(images),
        };
        mean_pool(depths.pop().expect("an encoder has at least one depth"))
    }

    /// What `pooling` keeps of the feature maps.
    ///
    /// # Shapes
    /// `images` `[batch, plane, row, column]`; output `[batch, pooled_dim(pooling)]`.
    pub fn pooled(&self, images: Tensor<4>, pooling: Pooling) -> Tensor<2> {
        let mut maps = self.depths(images);
        if !pooling.every_depth {
            maps.drain(..maps.len() - 1);
        }
        let pooled = maps.into_iter().flat_map(|map| {
            let mean = mean_pool(map.clone());
            let [batch, channels, _, _] = map.dims();
            let deviation = pooling.deviation.then(|| {
                let square = (map - mean.clone().reshape([batch, channels, 1, 1])).square();
                mean_pool(square).sqrt()
            });
            std::iter::once(mean).chain(deviation)
        });
        Tensor::cat(pooled.collect(), 1)
    }

    /// The depth whose map a parameter makes, by the parameter's path in the network.
    pub(crate) fn depth_of(&self, path: &[&str]) -> usize {
        match self {
            Self::ResNet(_) => ResNet::depth_of(path),
            Self::EfficientNetLite(_) => EfficientNetLite::depth_of(path),
            Self::UNet(_) => UNet::depth_of(path),
            Self::Vit(network) => network.depth_of(path),
        }
    }

    /// Channels of the maps of [`depths`](Self::depths).
    pub fn channels(&self) -> Vec<usize> {
        match self {
            Self::ResNet(network) => network.channels(),
            Self::EfficientNetLite(network) => network.channels(),
            Self::UNet(network) => network.channels(),
            Self::Vit(network) => network.channels(),
        }
    }

    /// Number of features of [`forward`](Self::forward).
    pub fn features(&self) -> usize {
        *self
            .channels()
            .last()
            .expect("an encoder has at least one depth")
    }

    /// Number of features of [`pooled`](Self::pooled).
    pub fn pooled_dim(&self, pooling: Pooling) -> usize {
        let channels = self.channels();
        let kept = if pooling.every_depth {
            channels.iter().sum()
        } else {
            self.features()
        };
        kept * if pooling.deviation { 2 } else { 1 }
    }

    /// Input planes.
    pub fn planes(&self) -> usize {
        match self {
            Self::ResNet(network) => network.planes(),
            Self::EfficientNetLite(network) => network.planes(),
            Self::UNet(network) => network.planes(),
            Self::Vit(network) => network.planes(),
        }
    }

    /// What both sides of an image must be a multiple of.
    pub fn granularity(&self) -> usize {
        match self {
            Self::ResNet(_) | Self::EfficientNetLite(_) => 1,
            Self::UNet(_) => UNet::GRANULARITY,
            Self::Vit(network) => network.patch(),
        }
    }

    /// Where the weights are.
    pub(crate) fn device(&self) -> Device {
        let device = self.devices().into_iter().next();
        device.expect("an encoder has weights")
    }
}

/// The number in a path behind `name`, as of a block in a list.
fn number_behind(path: &[&str], name: &str) -> Option<usize> {
    let at = path.iter().position(|part| *part == name)?;
    path.get(at + 1)?.parse().ok()
}

fn mean_pool(map: Tensor<4>) -> Tensor<2> {
    let [batch, channels, rows, columns] = map.dims();
    map.reshape([batch, channels, rows * columns])
        .mean_dim(2)
        .reshape([batch, channels])
}
