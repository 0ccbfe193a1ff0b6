use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, within};

/// How a microscope shows spheroids of a cell line: the same for all images of a plate.
///
/// Lengths count in cells or, where it says so, in shorter image sides.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Optics {
    /// Brightness of the empty field, of full scale, 0.05 to 0.9. Default 0.6.
    pub background: f64,
    /// Width of the sharpest image, in cells, 0 to 2. Default 0.12.
    pub sharpest: f64,
    /// Width of the defocus one plane away, in cells, 0 to 4. Default 0.4.
    pub defocus: f64,
    /// Strength of the phase contrast one plane away, 0 to 2. Default 0.35.
    pub phase: f64,
    /// Electrons of a pixel that reads full scale, 100 to 1,000,000: the fewer, the more noise. Default 10,000.
    pub full_well: f64,
    /// Diameter of a cell, in shorter image sides, 0.003 to 0.05. Default 0.013.
    pub cell: f64,
    /// Factor on the diameter of spheroids, 0.3 to 1.05. Default 1.
    pub size: f64,
    /// Optical depth through the middle of a spheroid 0.34 shorter image sides wide, 0.1 to 5. Default 1.05.
    pub depth: f64,
    /// Standard deviation of the grain of a spheroid without a drug, as a share of its density, 0 to 0.6. Default 0.22.
    pub grain: f64,
}

impl Default for Optics {
    fn default() -> Self {
        Self {
            background: 0.6,
            sharpest: 0.12,
            defocus: 0.4,
            phase: 0.35,
            full_well: 10_000.0,
            cell: 0.013,
            size: 1.0,
            depth: 1.05,
            grain: 0.22,
        }
    }
}

impl Optics {
    pub(crate) fn check(self) -> Result<(), ParamError> {
        for (name, value, least, most, rule) in [
            ("background", self.background, 0.05, 0.9, "from 0.05 to 0.9"),
            ("sharpest", self.sharpest, 0.0, 2.0, "from 0 to 2"),
            ("defocus", self.defocus, 0.0, 4.0, "from 0 to 4"),
            ("phase", self.phase, 0.0, 2.0, "from 0 to 2"),
            (
                "full_well",
                self.full_well,
                100.0,
                1e6,
                "from 100 to 1,000,000",
            ),
            ("cell", self.cell, 0.003, 0.05, "from 0.003 to 0.05"),
            ("size", self.size, 0.3, 1.05, "from 0.3 to 1.05"),
            ("depth", self.depth, 0.1, 5.0, "from 0.1 to 5"),
            ("grain", self.grain, 0.0, 0.6, "from 0 to 0.6"),
        ] {
            within(name, value, least, most, rule)?;
        }
        Ok(())
    }
}
