//! Self-supervised representations on burn: encoders, methods, training and embedding.
//!
//! An [`encoder`] turns images into features, a [`methods`] entry joins it with what its loss needs,
//! [`train()`](train::train) optimises any method without knowing it by name, and [`FrozenEncoder`]
//! embeds images with the statistics of every depth of a trained encoder.
//!
//! # What this crate will not do
//! It reads no image and draws no augmentation: training takes views from a [`train::Views`].

pub mod collapse;
mod device;
mod embedder;
pub mod encoder;
mod error;
mod init;
pub mod methods;
mod optimizer;
pub mod probe;
pub mod train;
mod weights;

pub use burn::tensor::Device;
pub use device::{Backend, device};
pub use embedder::FrozenEncoder;
pub use error::SslError;
pub use optimizer::OptimizerConfig;
pub use weights::{load_encoder, save_encoder};
