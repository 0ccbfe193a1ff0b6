use serde::{Deserialize, Serialize};

/// Lengths in pixels of the plane; written `"px"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Pixel {
    /// The one unit there is.
    #[serde(rename = "px")]
    Px,
}

/// Lengths in µm; written `"um"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Micrometre {
    /// The one unit there is.
    #[serde(rename = "um")]
    Um,
}
