//! What the ImageDescription of a file says about its planes.

mod imagej;
mod ome;
mod tifffile;

use std::{collections::BTreeMap, ops::Range};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::PixelSize;

/// What the planes of a stack differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Focus: Z of OME, slices of ImageJ.
    Plane,
    /// Channel: C of OME.
    Channel,
    /// Point in time: T of OME, frames of ImageJ.
    Frame,
}

/// The program whose way of describing a file was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    ImageJ,
    MetaMorph,
    Ome,
    Tifffile,
}

impl Dialect {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ImageJ => "ImageJ",
            Self::MetaMorph => "MetaMorph",
            Self::Ome => "OME",
            Self::Tifffile => "tifffile",
        }
    }
}

/// Where a page stands among the planes, channels and points in time, each from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Position {
    pub(crate) plane: usize,
    pub(crate) channel: usize,
    pub(crate) frame: usize,
}

/// Pages that follow one another in the order of the axes, but elsewhere than their numbers say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Run {
    pub(crate) pages: Range<u64>,
    /// Number that the first of them would have in the order of the axes.
    pub(crate) start: u64,
}

/// What a description declares.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Description {
    pub(crate) dialect: Dialect,
    /// Pages of the whole, at least 1.
    pub(crate) pages: u64,
    /// Axes and their lengths, the one that runs fastest from page to page first. Pages beyond their
    /// product belong to other images.
    pub(crate) axes: [(Axis, u64); 3],
    /// Runs of pages that are not in the order of the axes; of those that overlap the last one counts.
    pub(crate) placed: Vec<Run>,
    pub(crate) pixel_size: Option<PixelSize>,
    /// µm.
    pub(crate) plane_spacing: Option<f64>,
    /// Heights of planes, µm.
    pub(crate) heights: BTreeMap<Position, f64>,
}

impl Description {
    /// A description of planes, channels and frames that says no more than their order.
    fn of(dialect: Dialect, axes: [(Axis, u64); 3]) -> Result<Self, MetadataError> {
        let pages = axes
            .iter()
            .try_fold(1_u64, |product, &(_, length)| product.checked_mul(length))
            .filter(|&pages| pages > 0)
            .ok_or_else(|| MetadataError::new(dialect, "the lengths of its axes cannot be"))?;
        Ok(Self {
            dialect,
            pages,
            axes,
            placed: Vec::new(),
            pixel_size: None,
            plane_spacing: None,
            heights: BTreeMap::new(),
        })
    }

    /// Where page `page`, counted from 0, stands.
    pub(crate) fn position(&self, page: u64) -> Position {
        let run = self
            .placed
            .iter()
            .rev()
            .find(|run| run.pages.contains(&page));
        self.in_order(run.map_or(page, |run| run.start + (page - run.pages.start)))
    }

    /// Where page `page` stands by the order of the axes.
    fn in_order(&self, page: u64) -> Position {
        let mut position = Position::default();
        let mut rest = page;
        for (axis, length) in self.axes {
            let index = (rest % length) as usize;
            rest /= length;
            match axis {
                Axis::Plane => position.plane = index,
                Axis::Channel => position.channel = index,
                Axis::Frame => position.frame = index,
            }
        }
        position
    }
}

/// What a description is about, as the other tags of its page have it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageContext {
    pub(crate) rows: u64,
    pub(crate) columns: u64,
    pub(crate) samples_per_pixel: u64,
    pub(crate) resolution: Option<Resolution>,
}

/// The tags XResolution and YResolution, pixels a unit, and ResolutionUnit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Resolution {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) unit: u64,
}

impl Resolution {
    /// ResolutionUnit of pixels a centimetre.
    pub(crate) const CENTIMETRE: u16 = 3;

    /// The pixel size, where the resolution is a calibration: in centimetres, not in inches, which
    /// programs fill with what suits screens and printers.
    pub(crate) fn pixel_size(self) -> Option<PixelSize> {
        const MICROMETRES: f64 = 1e4;
        (self.unit == u64::from(Self::CENTIMETRE))
            .then(|| PixelSize::new(MICROMETRES / self.x, MICROMETRES / self.y).ok())
            .flatten()
    }
}

/// A description that claims to be of a known kind and is not sound.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("its {} description is not sound: {what}", dialect.name())]
pub(crate) struct MetadataError {
    dialect: Dialect,
    what: String,
}

impl MetadataError {
    fn new(dialect: Dialect, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { dialect, what }
    }
}

/// Reads an ImageDescription; `None` when it declares nothing about planes.
///
/// Numbers and order of planes must be right; a calibration that cannot be read is left out.
///
/// # Errors
/// When a description of ImageJ, OME or tifffile is damaged, or contradicts the page.
pub(crate) fn parse(text: &str, page: &PageContext) -> Result<Option<Description>, MetadataError> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with("ImageJ=") {
        imagej::parse(text, page)
    } else if text.starts_with('{') {
        tifffile::parse(text, page)
    } else if text.starts_with('<') && text.contains("openmicroscopy.org/") {
        ome::parse(text, page)
    } else {
        Ok(None)
    }
}

/// The axes, each with its letter and length, in the order of their letters; `None` unless each letter is
/// there once.
fn axes_by_letter<T: Copy>(letters: &str, axes: [(char, Axis, T); 3]) -> Option<[(Axis, T); 3]> {
    let of = |letter| axes.iter().find(|axis| axis.0 == letter);
    let found: Option<Vec<_>> = letters
        .chars()
        .map(|letter| of(letter).map(|&(_, axis, length)| (axis, length)))
        .collect();
    <[_; 3]>::try_from(found?)
        .ok()
        .filter(|[a, b, c]| a.0 != b.0 && b.0 != c.0 && a.0 != c.0)
}

/// What the number of entries of MetaMorph's table of planes (UIC2) declares.
pub(crate) fn of_metamorph(planes: u64) -> Description {
    let axes = [(Axis::Plane, planes), (Axis::Channel, 1), (Axis::Frame, 1)];
    Description::of(Dialect::MetaMorph, axes).expect("the product of one length is that length")
}

/// Micrometres in a unit of length, by its symbol or name.
fn micrometres(unit: &str) -> Option<f64> {
    match unit.trim() {
        // Micro sign, Greek mu, and how ImageJ writes the former.
        "µm" | "μm" | "\\u00B5m" | "um" | "micron" | "microns" | "micrometer" | "micrometre" => {
            Some(1.0)
        }
        "pm" => Some(1e-6),
        "Å" | "angstrom" => Some(1e-4),
        "nm" | "nanometer" | "nanometre" => Some(1e-3),
        "mm" | "millimeter" | "millimetre" => Some(1e3),
        "cm" | "centimeter" | "centimetre" => Some(1e4),
        "m" | "meter" | "metre" => Some(1e6),
        "in" | "inch" | "inches" => Some(25_400.0),
        _ => None,
    }
}

/// A length in µm that is finite and above zero.
fn length(value: f64, unit: &str) -> Option<f64> {
    let length = value * micrometres(unit)?;
    (length.is_finite() && length > 0.0).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) const PAGE: PageContext = PageContext {
        rows: 20,
        columns: 24,
        samples_per_pixel: 1,
        resolution: None,
    };

    #[test]
    fn free_text_declares_nothing() {
        for text in [
            "",
            "well B02, images=3",
            "shape: 3",
            "<Pixels SizeZ=\"3\"/>",
            "{",
            "{}",
        ] {
            assert_eq!(parse(text, &PAGE).unwrap(), None, "{text}");
        }
    }

    #[test]
    fn pages_run_along_the_first_axis_first() {
        use Axis::{Channel, Frame, Plane};
        let axes = [(Channel, 2), (Plane, 3), (Frame, 2)];
        let found = Description::of(Dialect::ImageJ, axes).unwrap();
        assert_eq!(found.pages, 12);
        let position = |plane, channel, frame| Position {
            plane,
            channel,
            frame,
        };
        assert_eq!(found.position(0), position(0, 0, 0));
        assert_eq!(found.position(3), position(1, 1, 0));
        assert_eq!(found.position(11), position(2, 1, 1));
    }

    #[test]
    fn centimetres_calibrate_and_inches_do_not() {
        let resolution = |unit| Resolution {
            x: 20_000.0,
            y: 10_000.0,
            unit,
        };
        assert_eq!(
            resolution(3).pixel_size(),
            Some(PixelSize { x: 0.5, y: 1.0 })
        );
        assert_eq!(resolution(2).pixel_size(), None);
        assert_eq!(resolution(1).pixel_size(), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(
            head in prop_oneof![
                Just("ImageJ=1\nimages="), Just("{\"shape\": ["),
                Just("<OME xmlns='http://www.openmicroscopy.org/Schemas/OME/2016-06'><Pixels "),
            ],
            text in ".{0,80}",
        ) {
            let _ = parse(&format!("{head}{text}"), &PAGE);
        }
    }
}
