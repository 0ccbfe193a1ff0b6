//! Transforms that choose among focal planes.

mod plane_dropout;
mod plane_sampling;

pub use plane_dropout::{PlaneDropout, PlaneDropoutDraw};
pub use plane_sampling::{PlaneSampling, PlaneSamplingDraw};
