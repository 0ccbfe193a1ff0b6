use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, positive};

/// Width and height of a pixel in the specimen, in µm.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PixelSize {
    /// Distance of neighbouring columns, µm.
    pub x: f64,
    /// Distance of neighbouring rows, µm.
    pub y: f64,
}

impl PixelSize {
    /// A pixel of `x` by `y` µm.
    ///
    /// # Errors
    /// When either is not finite and above 0.
    pub fn new(x: f64, y: f64) -> Result<Self, ParamError> {
        Ok(Self {
            x: positive("pixel size x", x)?,
            y: positive("pixel size y", y)?,
        })
    }

    /// A square pixel of `side` µm.
    ///
    /// # Errors
    /// When `side` is not finite and above 0.
    pub fn square(side: f64) -> Result<Self, ParamError> {
        Self::new(side, side)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sizes_above_zero_are_taken() {
        assert_eq!(
            PixelSize::square(0.65).unwrap(),
            PixelSize { x: 0.65, y: 0.65 }
        );
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(PixelSize::new(bad, 1.0).is_err(), "{bad}");
            assert!(PixelSize::new(1.0, bad).is_err(), "{bad}");
        }
    }
}
