//! Self-supervised representations on burn: encoders, methods, training, embedding and probes.
//!
//! An [`encoder`] turns images into features, a [`methods`] entry joins it with what its loss needs,
//! [`train()`](train::train) optimises any method without knowing it by name and measures every epoch for
//! [`collapse`], [`FrozenEncoder`] embeds images with a trained encoder, and a [`probe`] asks what a simple
//! classifier can read out of the features.
//!
//! # What this crate will not do
//! It reads no image and draws no augmentation: training takes views from a [`train::Views`]. The patches that a
//! masked autoencoder does not see are the one thing that a method draws itself.
//!
//! # Example
//! ```
//! use ndarray::Array3;
//! use spheroid_core::Embed;
//! use spheroid_ssl::{
//!     Device, FrozenEncoder,
//!     encoder::{EncoderConfig, Pooling},
//!     methods::{Method, MethodConfig, Targets},
//!     train::{TrainConfig, Views, train},
//! };
//!
//! /// Eight images, each a tone; a view adds a little to it.
//! struct Tones;
//!
//! impl Views for Tones {
//!     type Error = std::convert::Infallible;
//!
//!     fn len(&self) -> usize {
//!         8
//!     }
//!
//!     fn views(&self, seed: u64, epoch: u64, item: usize) -> Result<Vec<Array3<f32>>, Self::Error> {
//!         let change = (seed + 3 * epoch) % 5;
//!         let view = |more: u64| {
//!             let tone = 0.1 * item as f32 + 0.001 * (change + more) as f32;
//!             Array3::from_shape_fn((1, 16, 16), |(_, row, _)| tone * row as f32)
//!         };
//!         Ok(vec![view(0), view(1)])
//!     }
//! }
//!
//! let device = Device::flex();
//! let encoder = EncoderConfig::by_name("resnet10-w4", 1)?.build(1, &device)?;
//! let method = MethodConfig::by_name("vicreg")?.build(encoder, &Targets::default(), 1)?;
//! let mut config = TrainConfig::new(2, 1);
//! config.batch = 8;
//! let trained = train(method, &Tones, &config, &device, None, |_| Ok(()))?;
//! assert_eq!(trained.epochs.len(), 2);
//!
//! let frozen = FrozenEncoder::new(trained.method.encoder(), Pooling::ALL, &device);
//! let features = frozen.embed(&Tones.views(1, 0, 3)?)?;
//! assert_eq!(features.dim(), (2, 2 * (4 + 4 + 8 + 16 + 32)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod collapse;
mod device;
mod embedder;
pub mod encoder;
mod error;
mod init;
pub mod methods;
mod optimizer;
mod pretrained;
pub mod probe;
pub mod train;
mod weights;

pub use burn::tensor::Device;
pub use device::{Backend, device};
pub use embedder::FrozenEncoder;
pub use error::SslError;
pub use optimizer::{Optimizer, OptimizerConfig};
pub use pretrained::{AdaptedPlanes, LoadedWeights, load_pretrained};
pub use weights::{load_encoder, save_encoder};
