use burn::{
    module::{Module, Param},
    nn::{LayerNorm, Linear},
    tensor::{Int, Tensor, TensorData},
};
use serde::{Deserialize, Serialize};
use spheroid_augment::PatchMask;
use spheroid_core::{DrawKey, ParamError, at_least};

use super::{Batch, Method, Step, Targets};
use crate::{
    SslError,
    encoder::{Encoder, TransformerBlock, Vit, bounded, layer_norm, sin_cos_positions},
    init::{draw_weights, linear},
};

/// Settings of [`Mae`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct MaeConfig {
    /// Share of the patches that is hidden, above 0 and below 1; 0.75 in the paper.
    pub share: f64,
    /// Features of a token in the decoder, a multiple of 4; 512 in the paper.
    pub width: usize,
    /// Blocks of the decoder; 8 in the paper.
    pub depth: usize,
    /// Attention heads of the decoder.
    pub heads: usize,
}

impl Default for MaeConfig {
    fn default() -> Self {
        Self {
            share: 0.75,
            width: 96,
            depth: 2,
            heads: 3,
        }
    }
}

impl MaeConfig {
    pub(super) fn build(&self, encoder: Encoder, _: &Targets, seed: u64) -> Result<Mae, SslError> {
        let Encoder::Vit(vit) = &encoder else {
            let rule = "a vision transformer for MAE, such as vit-tiny-p8";
            return Err(ParamError::new("encoder", "a convolutional network", rule).into());
        };
        at_least("width", self.width, 4, "at least 4")?;
        at_least("depth", self.depth, 1, "at least 1")?;
        at_least("heads", self.heads, 1, "at least 1")?;
        bounded("width", self.width, &[self.width, 12, self.depth])?;
        if !self.width.is_multiple_of(4) || !self.width.is_multiple_of(self.heads) {
            let rule = "a multiple of 4 and of the number of heads";
            return Err(ParamError::new("width", self.width, rule).into());
        }
        if !(self.share > 0.0 && self.share < 1.0) {
            return Err(ParamError::new("share", self.share, "above 0 and below 1").into());
        }
        let device = encoder.device();
        let values = vit.patch() * vit.patch() * encoder.planes();
        let decoder = Decoder {
            embed: linear(encoder.features(), self.width, &device),
            mask_token: Param::from_tensor(Tensor::zeros([1, 1, self.width], &device)),
            blocks: TransformerBlock::several(self.depth, self.width, self.heads, &device),
            norm: layer_norm(self.width, &device),
            pixels: linear(self.width, values, &device),
        };
        Ok(Mae {
            decoder: draw_weights(decoder, seed.wrapping_add(1)),
            encoder,
            share: self.share,
        })
    }
}

/// Masked autoencoder: from a quarter of an image's patches draw the rest.
///
/// Every view is an image of its own. Without fine-tuning, distances between its features say little: nearest
/// neighbours find the class of an ImageNet image in 11 % of cases where SimCLR's find it in 45 % (lightly's
/// table of 100 epochs).
///
/// # Source
/// He et al. 2021, "Masked Autoencoders Are Scalable Vision Learners", arXiv 2111.06377, section 3, with the
/// normalised target of section 4. **Differs**: the encoder's positions go on learning.
#[derive(Module, Debug)]
pub struct Mae {
    encoder: Encoder,
    decoder: Decoder,
    share: f64,
}

#[derive(Module, Debug)]
struct Decoder {
    embed: Linear,
    mask_token: Param<Tensor<3>>,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    pixels: Linear,
}

impl Method for Mae {
    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    fn step(&self, batch: Batch) -> Result<Step, SslError> {
        batch.images("MAE", 1, 1)?;
        if batch
            .views
            .iter()
            .any(|view| view.dims() != batch.views[0].dims())
        {
            return Err(ParamError::new("views", "of several sizes", "of one size for MAE").into());
        }
        let key = batch.key;
        let images = Tensor::cat(batch.views, 0);
        let Encoder::Vit(vit) = &self.encoder else {
            unreachable!("MaeConfig::build takes a transformer alone")
        };
        let [count, _, rows, columns] = images.dims();
        let masking = PatchMask {
            patch: vit.patch(),
            share: self.share,
        };
        let masks = (0..count).map(|image| {
            let draw = masking.draw(DrawKey {
                view: image as u64,
                ..key
            });
            let mask = masking.apply(rows, columns, &draw);
            mask.map(|mask| mask.into_raw_vec_and_offset().0)
        });
        let hidden: Vec<Vec<bool>> = masks.collect::<Result<_, _>>()?;
        if hidden[0].iter().all(|hidden| *hidden) {
            let rule = "small enough that a patch of the image stays visible";
            return Err(ParamError::new("share", self.share, rule).into());
        }
        let (seen, predicted) = self.reconstruct(vit, images.clone(), &hidden);
        let patches = hidden[0].len();
        let mask: Vec<f32> = hidden.concat().into_iter().map(f32::from).collect();
        let mask = TensorData::new(mask, [count, patches]);
        let mask = Tensor::from_data(mask, &images.device());
        Ok(Step {
            loss: mae(images, predicted, mask, vit.patch()),
            features: vec![seen],
            embeddings: Vec::new(),
        })
    }
}

impl Mae {
    /// The mean token of what is seen, `[image, feature]`, and every patch as drawn by the decoder,
    /// `[image, patch, value]`.
    fn reconstruct(
        &self,
        vit: &Vit,
        images: Tensor<4>,
        hidden: &[Vec<bool>],
    ) -> (Tensor<2>, Tensor<3>) {
        let device = images.device();
        let [count, _, rows, columns] = images.dims();
        let tokens = vit.patches(images);
        let [_, patches, features] = tokens.dims();
        let positions = hidden.iter().flatten().enumerate();
        let shown: Vec<i64> = positions
            .filter_map(|(position, hidden)| (!hidden).then_some(position as i64))
            .collect();
        let visible = shown.len() / count;
        let indices = |values: Vec<i64>| {
            let shape = [values.len()];
            Tensor::<1, Int>::from_data(TensorData::new(values, shape), &device)
        };
        let mut places = vec![shown.len() as i64; count * patches];
        for (place, position) in shown.iter().enumerate() {
            places[*position as usize] = place as i64;
        }
        let tokens = tokens
            .reshape([count * patches, features])
            .select(0, indices(shown))
            .reshape([count, visible, features]);
        let encoded = vit.encode(tokens);
        let seen = encoded.clone().narrow(1, 1, visible).mean_dim(1);

        let Decoder {
            embed,
            mask_token,
            blocks,
            norm,
            pixels,
        } = &self.decoder;
        let encoded = embed.forward(encoded);
        let [_, _, width] = encoded.dims();
        let class = encoded.clone().narrow(1, 0, 1);
        let drawn = encoded
            .narrow(1, 1, visible)
            .reshape([count * visible, width]);
        // Every hidden patch takes the row behind the visible ones.
        let drawn = Tensor::cat(vec![drawn, mask_token.val().reshape([1, width])], 0);
        let drawn = drawn
            .select(0, indices(places))
            .reshape([count, patches, width]);
        let grid = [rows / vit.patch(), columns / vit.patch()];
        let positions = sin_cos_positions(grid[0], grid[1], width);
        let drawn = drawn + Tensor::from_data(positions, &device);
        let all = Tensor::cat(vec![class, drawn], 1);
        let all = blocks.iter().fold(all, |all, block| block.forward(all));
        let predicted = pixels.forward(norm.forward(all)).narrow(1, 1, patches);
        (seen.reshape([count, features]), predicted)
    }
}

/// Mean squared error over the hidden patches, each normalised by its own mean and deviation.
///
/// # Shapes
/// `images` `[image, plane, row, column]`, `predicted` `[image, patch, value]`, `mask` `[image, patch]`, 1
/// where hidden; a patch's values go by row, column, plane.
pub(super) fn mae(
    images: Tensor<4>,
    predicted: Tensor<3>,
    mask: Tensor<2>,
    patch: usize,
) -> Tensor<1> {
    let [count, planes, rows, columns] = images.dims();
    let (down, across) = (rows / patch, columns / patch);
    let values = patch * patch * planes;
    let target = images
        .reshape([count, planes, down, patch, across, patch])
        .permute([0, 2, 4, 3, 5, 1])
        .reshape([count, down * across, values]);
    let centred = target.clone() - target.mean_dim(2);
    // Unbiased, as in the authors' code; a patch of one value has no variance.
    let variance = centred.clone().square().sum_dim(2) / (values - 1).max(1) as f64;
    let target = centred / (variance + 1e-6).sqrt();
    let error = (predicted - target).square().mean_dim(2);
    let hidden = mask.clone().sum();
    (error.reshape([count, down * across]) * mask).sum() / hidden
}
