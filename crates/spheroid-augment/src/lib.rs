//! Augmentation of focal stacks that leaves alone what a drug changes.
//!
//! Every transform draws its parameters apart from applying them ([`spheroid_core::Augment`]), so a
//! draw can be logged as JSON, replayed and applied alike to all planes. [`SpheroidPolicy`] composes
//! them into the views that the project trains on: focus, lamp, position and orientation vary; size,
//! outline, darkness and grain stay.
//!
//! Stacks are `f32`, `[plane, row, column]`, relative to the background (about 1 where there is no
//! tissue). Planes are never mixed as if they were colours.

mod affine;
mod defocus;
mod error;
mod gain;
mod noise;
mod plane;
mod policy;

pub use affine::{Affine, AffineConfig, AffineDraw};
pub use defocus::{Defocus, DefocusConfig, DefocusDraw};
pub use error::AugmentError;
pub use gain::{Gain, GainConfig, GainDraw};
pub use noise::{ReadNoise, ReadNoiseConfig, ReadNoiseDraw};
pub use plane::{PlaneChoice, PlaneDraw};
pub use policy::{SpheroidDraw, SpheroidPolicy, SpheroidPolicyConfig};
