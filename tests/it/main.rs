//! Runs the example programs on a tiny plate: what they write, and what they refuse.
//!
//! The programs must be built first; `cargo test --release` does so, and for this binary alone
//! `cargo build --release --examples && cargo test --release --test it`.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

mod command_line;
mod doses;
mod files;
mod images;
mod inspect;
mod job;
mod probe;
mod resume;
mod stages;
mod support;
mod tables;
mod tone_audit;
mod warnings;
mod weights;
