//! Batch norm in training, together with what follows it in a residual network.

#[cfg(feature = "flex")]
mod flex;
#[cfg(test)]
mod tests;

use burn::tensor::{Tensor, activation::relu, module};

/// What becomes of normalised maps.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is made a layer; a box would only allocate"
)]
pub enum Then {
    /// They stay as they are.
    Nothing,
    /// ReLU.
    Relu,
    /// ReLU with nothing above 6.
    Relu6,
    /// These maps, of the same shape, are added, then ReLU.
    AddRelu(Tensor<4>),
}

impl Then {
    /// Does it to `maps`, as tensor operations.
    pub fn apply(self, maps: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Nothing => maps,
            Self::Relu => relu(maps),
            Self::Relu6 => maps.clamp(0.0, 6.0),
            Self::AddRelu(shortcut) => relu(maps + shortcut),
        }
    }
}

/// Multiplies every channel of `maps` `[image, channel, row, column]` by its `scale` `[channel]`, adds its `shift`
/// `[channel]` and does what `then` says: batch norm with statistics that stand still.
///
/// On the Flex backend and without gradients it is one pass, in the memory of `maps` when nobody else holds them.
///
/// # Panics
/// When shapes do not fit each other.
pub fn scale_and_shift(
    maps: Tensor<4>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    then: Then,
) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if flex::takes(&maps, &scale, &shift, &then) && !maps.device().is_autodiff() {
        return flex::scale_and_shift(maps, scale, shift, then);
    }
    let channels = [1, maps.dims()[1], 1, 1];
    then.apply(maps * scale.reshape(channels) + shift.reshape(channels))
}

/// What [`batch_norm`] gives back.
#[derive(Debug)]
pub struct BatchNormed {
    /// The maps, `[image, channel, row, column]`.
    pub maps: Tensor<4>,
    /// Mean of every channel over the batch, without gradient.
    pub mean: Tensor<1>,
    /// Variance of every channel over the batch, divided by the number of values, without gradient.
    pub variance: Tensor<1>,
}

/// Normalises every channel of `maps` `[image, channel, row, column]` over the batch, multiplies it by `gamma`
/// `[channel]`, adds `beta` `[channel]` and does what `then` says.
///
/// On the Flex backend a channel stays in the cache from the statistics to the result, and in the same way
/// backwards. Other backends run what burn has for them.
///
/// # Source
/// Ioffe, Szegedy 2015, "Batch Normalization", arXiv 1502.03167, algorithm 1.
///
/// # Panics
/// When shapes do not fit each other.
pub fn batch_norm(
    maps: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    then: Then,
) -> BatchNormed {
    #[cfg(feature = "flex")]
    if flex::takes(&maps, &gamma, &beta, &then) {
        return flex::batch_norm(maps, gamma, beta, epsilon, then);
    }
    let result = module::batch_norm_train(maps, gamma, beta, epsilon);
    BatchNormed {
        maps: then.apply(result.output),
        mean: result.mean.detach(),
        variance: result.variance.detach(),
    }
}
