//! What the tests of `spheroid` share: fixtures that cannot be missed and the tolerance policy.
//!
//! Not published; everything panics with a sentence, because a test is what calls it.

#![allow(
    clippy::unwrap_used,
    reason = "called by tests alone, which are to panic"
)]

pub mod conformance;
mod fixture;
mod gradient;
mod random;
mod tolerance;

pub use fixture::{fixture_path, json_fixture};
pub use gradient::central_difference;
pub use random::normal;
pub use tolerance::{Tolerance, assert_close};
