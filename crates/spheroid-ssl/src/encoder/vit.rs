use burn::{
    module::{Initializer, Module, Param},
    nn::{
        LayerNorm, LayerNormConfig, Linear,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{
        Device, Tensor, TensorData,
        activation::{gelu, softmax},
    },
};
use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;

use super::{bounded, number_behind, size};
use crate::init::linear;

/// Settings of a [`Vit`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VitConfig {
    /// Input planes.
    pub planes: usize,
    /// Side of a patch in pixels; it divides both sides of every image.
    pub patch: usize,
    /// Features of a token; a multiple of `heads` and of 4.
    pub width: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Patches a side for which positions are learned; images of other sizes get them resampled.
    pub grid: usize,
}

impl VitConfig {
    /// Twelve blocks with a head for every 64 features, patches of 16 px and positions of 14 × 14 patches:
    /// width 192 is ViT-tiny, 384 ViT-small.
    pub fn new(planes: usize, width: usize) -> Self {
        Self {
            planes,
            patch: 16,
            width,
            depth: 12,
            heads: (width / 64).max(1),
            grid: 14,
        }
    }

    pub(super) fn build(&self, device: &Device) -> Result<Vit, ParamError> {
        let Self {
            planes,
            patch,
            width,
            depth,
            heads,
            grid,
        } = *self;
        size("planes", planes)?;
        size("patch", patch)?;
        size("width", width)?;
        size("depth", depth)?;
        size("heads", heads)?;
        size("grid", grid)?;
        bounded("width", width, &[width, 12, depth])?;
        bounded("grid", grid, &[grid, width])?;
        bounded("patch", patch, &[patch, planes, width])?;
        if !width.is_multiple_of(4) || !width.is_multiple_of(heads) {
            let rule = "a multiple of 4 and of the number of heads";
            return Err(ParamError::new("width", width, rule));
        }
        let positions = Tensor::from_data(sin_cos_positions(grid, grid, width), device);
        // The class token gets its start from `draw_weights`.
        let class = Tensor::<3>::zeros([1, 1, width], device);
        Ok(Vit {
            cls_token: Param::from_tensor(class.clone()),
            pos_embed: Param::from_tensor(Tensor::cat(vec![class, positions], 1)),
            patch_embed: PatchEmbed {
                proj: Conv2dConfig::new([planes, width], [patch, patch])
                    .with_stride([patch, patch])
                    .with_initializer(Initializer::Zeros)
                    .init(device),
            },
            blocks: TransformerBlock::several(depth, width, heads, device),
            norm: layer_norm(width, device),
        })
    }
}

/// Vision transformer with pre-norm blocks and a class token, laid out and named as timm's and as the
/// checkpoints of DINO and MAE.
///
/// Positions are learned; they start as the sines and cosines of MAE. An image with another number of
/// patches gets them resampled bilinearly.
///
/// # Source
/// Dosovitskiy et al. 2020, "An Image is Worth 16x16 Words", arXiv 2010.11929; He et al. 2021, "Masked
/// Autoencoders Are Scalable Vision Learners", arXiv 2111.06377 (start of the positions).
#[derive(Module, Debug)]
pub struct Vit {
    cls_token: Param<Tensor<3>>,
    pos_embed: Param<Tensor<3>>,
    patch_embed: PatchEmbed,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
}

#[derive(Module, Debug)]
struct PatchEmbed {
    proj: Conv2d,
}

impl Vit {
    /// Patches as tokens with their positions, row-major, without the class token.
    ///
    /// # Shapes
    /// Output `[batch, patch, width]`.
    pub(crate) fn patches(&self, images: Tensor<4>) -> Tensor<3> {
        let map = self.patch_embed.proj.forward(images);
        let [batch, width, rows, columns] = map.dims();
        let tokens = map.reshape([batch, width, rows * columns]).swap_dims(1, 2);
        tokens + self.positions(rows, columns)
    }

    /// Positions of `rows` × `columns` patches, `[1, patch, width]`.
    fn positions(&self, rows: usize, columns: usize) -> Tensor<3> {
        let positions = self.pos_embed.val();
        let [_, tokens, width] = positions.dims();
        let grid = (tokens - 1).isqrt();
        let positions = positions.narrow(1, 1, tokens - 1);
        if (rows, columns) == (grid, grid) {
            return positions;
        }
        let weights = bilinear(grid, rows, columns);
        let weights = Tensor::<2>::from_data(weights, &positions.device());
        weights
            .matmul(positions.reshape([tokens - 1, width]))
            .reshape([1, rows * columns, width])
    }

    /// Puts the class token in front of `tokens`.
    fn with_class(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [batch, _, width] = tokens.dims();
        let position = self.pos_embed.val().narrow(1, 0, 1);
        let class = (self.cls_token.val() + position).expand([batch, 1, width]);
        Tensor::cat(vec![class, tokens], 1)
    }

    /// Tokens of any of the patches through all blocks and the last norm; the class token is first.
    ///
    /// # Shapes
    /// `patches` `[batch, patch, width]`; output `[batch, 1 + patch, width]`.
    pub(crate) fn encode(&self, patches: Tensor<3>) -> Tensor<3> {
        let tokens = self.with_class(patches);
        let tokens = self
            .blocks
            .iter()
            .fold(tokens, |tokens, block| block.forward(tokens));
        self.norm.forward(tokens)
    }

    pub(super) fn class_token(&self, images: Tensor<4>) -> Tensor<2> {
        let tokens = self.encode(self.patches(images));
        let [batch, _, width] = tokens.dims();
        tokens.narrow(1, 0, 1).reshape([batch, width])
    }

    pub(super) fn depths(&self, images: Tensor<4>) -> Vec<Tensor<4>> {
        let [batch, _, rows, columns] = images.dims();
        let (rows, columns) = (rows / self.patch(), columns / self.patch());
        let mut tokens = self.with_class(self.patches(images));
        let [_, count, width] = tokens.dims();
        let maps = self.blocks.iter().map(|block| {
            tokens = block.forward(tokens.clone());
            let patches = tokens.clone().narrow(1, 1, count - 1);
            patches
                .swap_dims(1, 2)
                .reshape([batch, width, rows, columns])
        });
        maps.collect()
    }

    /// What makes the tokens belongs to the first block, the last norm to the last.
    pub(super) fn depth_of(&self, path: &[&str]) -> usize {
        match number_behind(path, "blocks") {
            Some(block) => block,
            None if path.contains(&"norm") => self.blocks.len() - 1,
            None => 0,
        }
    }

    pub(super) fn channels(&self) -> Vec<usize> {
        let [_, _, width] = self.cls_token.val().dims();
        vec![width; self.blocks.len()]
    }

    pub(super) fn planes(&self) -> usize {
        let [_, planes, _, _] = self.patch_embed.proj.weight.val().dims();
        planes
    }

    /// Side of a patch in pixels.
    pub(crate) fn patch(&self) -> usize {
        let [_, _, patch, _] = self.patch_embed.proj.weight.val().dims();
        patch
    }
}

/// Attention and a perceptron, each behind a norm and around which the input is added back.
#[derive(Module, Debug)]
pub(crate) struct TransformerBlock {
    norm1: LayerNorm,
    attn: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
}

#[derive(Module, Debug)]
struct Attention {
    qkv: Linear,
    proj: Linear,
    heads: usize,
}

#[derive(Module, Debug)]
struct Mlp {
    fc1: Linear,
    fc2: Linear,
}

impl TransformerBlock {
    pub(crate) fn several(depth: usize, width: usize, heads: usize, device: &Device) -> Vec<Self> {
        let block = |_| Self {
            norm1: layer_norm(width, device),
            attn: Attention {
                qkv: linear(width, 3 * width, device),
                proj: linear(width, width, device),
                heads,
            },
            norm2: layer_norm(width, device),
            mlp: Mlp {
                fc1: linear(width, 4 * width, device),
                fc2: linear(4 * width, width, device),
            },
        };
        (0..depth).map(block).collect()
    }

    /// # Shapes
    /// Input and output `[batch, token, width]`.
    pub(crate) fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let attended = self.attn.forward(self.norm1.forward(tokens.clone()));
        let tokens = tokens + attended;
        let hidden = gelu(self.mlp.fc1.forward(self.norm2.forward(tokens.clone())));
        tokens + self.mlp.fc2.forward(hidden)
    }
}

impl Attention {
    fn forward(&self, tokens: Tensor<3>) -> Tensor<3> {
        let [batch, count, width] = tokens.dims();
        let features = width / self.heads;
        let all = self
            .qkv
            .forward(tokens)
            .reshape([batch, count, 3 * self.heads, features])
            .swap_dims(1, 2); // [batch, 3 · head, token, feature]
        let part = |index: usize| all.clone().narrow(1, index * self.heads, self.heads);
        let [query, key, value] = [part(0), part(1), part(2)];
        let weights = softmax(
            query.matmul(key.swap_dims(2, 3)) / (features as f64).sqrt(),
            3,
        );
        let mixed = weights.matmul(value).swap_dims(1, 2);
        self.proj.forward(mixed.reshape([batch, count, width]))
    }
}

/// Layer norm with the ε of timm, DINO and MAE.
pub(crate) fn layer_norm(width: usize, device: &Device) -> LayerNorm {
    LayerNormConfig::new(width).with_epsilon(1e-6).init(device)
}

/// Sines and cosines of row and column at `width` / 4 frequencies, `[1, rows · columns, width]`.
pub(crate) fn sin_cos_positions(rows: usize, columns: usize, width: usize) -> TensorData {
    let frequencies = width / 4;
    let mut values = Vec::with_capacity(rows * columns * width);
    for row in 0..rows {
        for column in 0..columns {
            // As in MAE, the column comes first.
            for position in [column, row] {
                let angle =
                    move |k: usize| position as f64 / 10_000f64.powf(k as f64 / frequencies as f64);
                values.extend((0..frequencies).map(|k| angle(k).sin() as f32));
                values.extend((0..frequencies).map(|k| angle(k).cos() as f32));
            }
        }
    }
    TensorData::new(values, [1, rows * columns, width])
}

/// Weights of bilinear interpolation from a square grid, `[rows · columns, grid²]`; pixel centres lie at
/// halves and edges are repeated, as PyTorch's `interpolate` without `align_corners`.
fn bilinear(grid: usize, rows: usize, columns: usize) -> TensorData {
    let neighbours = |index: usize, count: usize| {
        let at = (index as f64 + 0.5) * grid as f64 / count as f64 - 0.5;
        let at = at.clamp(0.0, (grid - 1) as f64);
        let low = at as usize;
        let share = (at - low as f64) as f32;
        [(low, 1.0 - share), ((low + 1).min(grid - 1), share)]
    };
    let mut weights = vec![0.0f32; rows * columns * grid * grid];
    for row in 0..rows {
        for column in 0..columns {
            let target = &mut weights[(row * columns + column) * grid * grid..][..grid * grid];
            for (r, row_weight) in neighbours(row, rows) {
                for (c, column_weight) in neighbours(column, columns) {
                    target[r * grid + c] += row_weight * column_weight;
                }
            }
        }
    }
    TensorData::new(weights, [rows * columns, grid * grid])
}
