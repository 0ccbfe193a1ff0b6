//! Reading against files that other programs wrote, and against files that nobody should write.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod corpus;
mod hostile;
mod region;
