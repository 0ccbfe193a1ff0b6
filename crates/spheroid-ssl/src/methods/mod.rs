//! Self-supervised methods: an encoder, what its loss needs, and the loss.
//!
//! Contrastive methods ([`SimClr`], [`Triplet`]) compare with other images of the batch and want many;
//! [`VicReg`], [`BarlowTwins`], [`SimSiam`], [`Byol`] and [`Dino`] need none. [`Mae`] draws what it cannot
//! see. [`SupCon`], [`ConVirt`], [`Supervised`] and [`Regression`] learn from labels, so what they say of a
//! treatment they were told.

mod barlow_twins;
mod byol;
mod convirt;
mod dino;
mod head;
mod mae;
mod momentum;
mod regression;
mod simclr;
mod simsiam;
mod supcon;
mod supervised;
#[cfg(test)]
mod tests;
mod triplet;
mod vicreg;

use burn::{module::Module, tensor::Tensor};
use serde::{Deserialize, Serialize};
use spheroid_core::{DrawKey, ParamError};

pub use barlow_twins::{BarlowTwins, BarlowTwinsConfig};
pub use byol::{Byol, ByolConfig};
pub use convirt::{ConVirt, ConVirtConfig};
pub use dino::{Dino, DinoConfig};
pub use head::{HeadConfig, ProjectionHead};
pub use mae::{Mae, MaeConfig};
pub use regression::{Regression, RegressionConfig};
pub use simclr::{SimClr, SimClrConfig};
pub use simsiam::{SimSiam, SimSiamConfig};
pub use supcon::{SupCon, SupConMethodConfig};
pub use supervised::{Supervised, SupervisedConfig};
#[cfg(test)]
pub(crate) use tests::smallest;
pub use triplet::{Triplet, TripletConfig};
pub use vicreg::{VicReg, VicRegConfig};

use crate::{SslError, encoder::Encoder};

/// Something that can be trained on views of images.
pub trait Method: Module {
    /// Whether it is told labels or descriptions, so that what its features say of them is no independent
    /// evidence.
    const LEARNS_FROM_LABELS: bool = false;

    /// The encoder that is used after training.
    fn encoder(&self) -> &Encoder;

    /// The loss of a batch.
    ///
    /// # Errors
    /// When the batch is not what the method works on.
    fn step(&self, batch: Batch) -> Result<Step, SslError>;

    /// What changes after the optimiser has stepped, such as a network that follows another; `progress`
    /// through the training goes from 0 to 1.
    fn after_step(self, progress: f64) -> Self {
        let _ = progress;
        self
    }
}

/// What a method learns from in one step.
#[derive(Debug, Clone)]
pub struct Batch {
    /// One tensor a view, each `[image, plane, row, column]` with the same images in the same order.
    pub views: Vec<Tensor<4>>,
    /// One label an image, for methods that learn from them.
    pub labels: Option<Vec<usize>>,
    /// What was done to every image's well, `[image, feature]`, for methods that learn from it.
    pub descriptions: Option<Tensor<2>>,
    /// Fixes what the method draws itself.
    pub key: DrawKey,
}

impl Batch {
    /// Number of images, when there are enough of them and of views.
    fn images(&self, method: &'static str, images: usize, views: usize) -> Result<usize, SslError> {
        let found = self.views.len();
        let refuse = |what, found, needed| SslError::Batch {
            method,
            what,
            found,
            needed,
        };
        if found < views.max(1) {
            return Err(refuse("views of an image", found, views));
        }
        let [count, ..] = self.views[0].dims();
        if count < images {
            return Err(refuse("images", count, images));
        }
        if let Some(other) = self.views.iter().find(|view| view.dims()[0] != count) {
            let rule = "as many images in every view";
            return Err(ParamError::new("views", other.dims()[0], rule).into());
        }
        Ok(count)
    }

    /// As [`images`](Self::images) for methods that compare exactly two views.
    fn pair(&self, method: &'static str, images: usize) -> Result<usize, SslError> {
        if self.views.len() > 2 {
            return Err(SslError::TooManyViews {
                method,
                found: self.views.len(),
            });
        }
        self.images(method, images, 2)
    }

    fn labels(&self, method: &'static str) -> Result<&[usize], SslError> {
        let what = "labels";
        let labels = self
            .labels
            .as_deref()
            .ok_or(SslError::NothingToLearnFrom { method, what })?;
        if labels.len() != self.views[0].dims()[0] {
            return Err(ParamError::new("labels", labels.len(), "one for each image").into());
        }
        Ok(labels)
    }

    /// Descriptions of `features` numbers.
    fn descriptions(&self, method: &'static str, features: usize) -> Result<Tensor<2>, SslError> {
        let what = "descriptions of the treatments";
        let descriptions = self
            .descriptions
            .clone()
            .ok_or(SslError::NothingToLearnFrom { method, what })?;
        if descriptions.dims() != [self.views[0].dims()[0], features] {
            let rule = "one for each image, of as many numbers as the method was built for";
            let got = format!("{:?}", descriptions.dims());
            return Err(ParamError::new("descriptions", got, rule).into());
        }
        Ok(descriptions)
    }
}

/// What a method made of a batch.
#[derive(Debug, Clone)]
pub struct Step {
    /// Mean loss, `[1]`.
    pub loss: Tensor<1>,
    /// What the encoder made of every view, `[image, feature]`.
    pub features: Vec<Tensor<2>>,
    /// What the loss compared of every view, `[image, feature]`; empty when it compares no views.
    pub embeddings: Vec<Tensor<2>>,
}

/// Sizes of what a method may learn from beside the images; 0 where there is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Targets {
    /// Number of different labels.
    pub classes: usize,
    /// Features of a description.
    pub description: usize,
}

/// Writes the list of methods once: name on the command line, module and settings.
macro_rules! methods {
    ($($name:literal => $method:ident($config:ident)),+ $(,)?) => {
        /// Settings of any method, by its name.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "method")]
        pub enum MethodConfig {
            $(#[doc = concat!("Settings of [`", stringify!($method), "`].")]
            #[serde(rename = $name)]
            $method($config),)+
        }

        /// Any method.
        #[derive(Module, Debug)]
        #[expect(clippy::large_enum_variant, reason = "one is made, and its weights lie elsewhere")]
        pub enum AnyMethod {
            $(#[doc = concat!("[`", stringify!($method), "`].")]
            $method($method),)+
        }

        impl MethodConfig {
            /// Names understood by [`by_name`](Self::by_name).
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The method of that name with its default settings.
            ///
            /// # Errors
            /// When there is none.
            pub fn by_name(name: &str) -> Result<Self, SslError> {
                match name {
                    $($name => Ok(Self::$method($config::default())),)+
                    _ => Err(SslError::Unknown {
                        what: "method",
                        name: name.to_owned(),
                        known: Self::NAMES.join(", "),
                    }),
                }
            }

            /// Name of the method.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$method(_) => $name,)+
                }
            }

            /// Whether the method is told labels or descriptions.
            pub fn learns_from_labels(&self) -> bool {
                match self {
                    $(Self::$method(_) => $method::LEARNS_FROM_LABELS,)+
                }
            }

            /// Joins `encoder`, which has not been trained here yet, with heads whose weights are drawn
            /// from `seed`.
            ///
            /// # Errors
            /// When a setting is outside what is allowed, the encoder is not one that the method can
            /// train, or `targets` lacks what it learns from.
            pub fn build(
                &self,
                encoder: Encoder,
                targets: &Targets,
                seed: u64,
            ) -> Result<AnyMethod, SslError> {
                match self {
                    $(Self::$method(config) => {
                        Ok(AnyMethod::$method(config.build(encoder, targets, seed)?))
                    })+
                }
            }
        }

        impl Method for AnyMethod {
            fn encoder(&self) -> &Encoder {
                match self {
                    $(Self::$method(method) => method.encoder(),)+
                }
            }

            fn step(&self, batch: Batch) -> Result<Step, SslError> {
                match self {
                    $(Self::$method(method) => method.step(batch),)+
                }
            }

            fn after_step(self, progress: f64) -> Self {
                match self {
                    $(Self::$method(method) => Self::$method(method.after_step(progress)),)+
                }
            }
        }
    };
}

methods! {
    "simclr" => SimClr(SimClrConfig),
    "vicreg" => VicReg(VicRegConfig),
    "barlow-twins" => BarlowTwins(BarlowTwinsConfig),
    "byol" => Byol(ByolConfig),
    "simsiam" => SimSiam(SimSiamConfig),
    "dino" => Dino(DinoConfig),
    "mae" => Mae(MaeConfig),
    "triplet" => Triplet(TripletConfig),
    "supcon" => SupCon(SupConMethodConfig),
    "convirt" => ConVirt(ConVirtConfig),
    "supervised" => Supervised(SupervisedConfig),
    "regression" => Regression(RegressionConfig),
}

/// Features of every view, `[image, feature]` each.
///
/// Neighbouring views of one size go through the encoder together, so that batch norm sees one
/// distribution. The papers of SimSiam, BYOL, Barlow Twins and VICReg encode one view after the other.
fn encode(encoder: &Encoder, views: &[Tensor<4>]) -> Vec<Tensor<2>> {
    let runs = views.chunk_by(|a, b| a.dims() == b.dims());
    let features = runs.flat_map(|run| {
        let [images, ..] = run[0].dims();
        let features = encoder.forward(Tensor::cat(run.to_vec(), 0));
        features.split(images, 0)
    });
    features.collect()
}
