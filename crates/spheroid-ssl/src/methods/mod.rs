//! Self-supervised methods: an encoder, what its loss needs, and the loss.

mod head;
mod simclr;
mod vicreg;

use burn::{module::Module, tensor::Tensor};
use serde::{Deserialize, Serialize};

pub use head::ProjectionHead;
pub use simclr::{SimClr, SimClrConfig};
pub use vicreg::{VicReg, VicRegConfig};

use crate::{SslError, encoder::Encoder};

/// Something that can be trained on views of images without labels.
pub trait Method: Module {
    /// The encoder that is being trained.
    fn encoder(&self) -> &Encoder;

    /// Mean loss of a batch.
    ///
    /// # Shapes
    /// `views`: one tensor a view, each `[batch, plane, row, column]` with the same images in the
    /// same order; output `[1]`.
    ///
    /// # Errors
    /// When the number of views or images is not what the method works on.
    fn loss(&self, views: Vec<Tensor<4>>) -> Result<Tensor<1>, SslError>;
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

            /// Joins `encoder` with a head whose weights are drawn from `seed`.
            ///
            /// # Errors
            /// When a setting is outside what is allowed.
            pub fn build(&self, encoder: Encoder, seed: u64) -> Result<AnyMethod, SslError> {
                match self {
                    $(Self::$method(config) => Ok(AnyMethod::$method(config.build(encoder, seed)?)),)+
                }
            }
        }

        impl Method for AnyMethod {
            fn encoder(&self) -> &Encoder {
                match self {
                    $(Self::$method(method) => method.encoder(),)+
                }
            }

            fn loss(&self, views: Vec<Tensor<4>>) -> Result<Tensor<1>, SslError> {
                match self {
                    $(Self::$method(method) => method.loss(views),)+
                }
            }
        }
    };
}

methods! {
    "simclr" => SimClr(SimClrConfig),
    "vicreg" => VicReg(VicRegConfig),
}

/// The two views of one batch as `[2 · batch, plane, row, column]`, first views first.
///
/// Both go through the encoder together, so that batch norm sees one distribution.
fn stack_two(views: Vec<Tensor<4>>) -> Result<Tensor<4>, SslError> {
    let count = views.len();
    let Ok([first, second]) = <[_; 2]>::try_from(views) else {
        return Err(spheroid_core::ParamError::new("views", count, "2 for this method").into());
    };
    Ok(Tensor::cat(vec![first, second], 0))
}
