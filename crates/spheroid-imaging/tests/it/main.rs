//! Reading against files that other programs wrote, and against files that nobody should write.

mod corpus;
mod hostile;
