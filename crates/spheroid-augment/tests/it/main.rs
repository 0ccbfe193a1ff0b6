//! What holds for every transform.

#![expect(clippy::unwrap_used, reason = "an error must stop the test")]

mod budget;
mod transforms;
