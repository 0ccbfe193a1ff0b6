//! Tone-preserving reading, measuring and writing of 16-bit focal stacks.
//!
//! | question | answer |
//! |---|---|
//! | What is in these TIFF files? | [`read_stack`], [`StackReader`] |
//! | How many tones does the sensor really give? | [`effective_depth`], [`Histogram`], [`ToneRetention`] |
//! | Which plane is in focus? | [`FocusMeasure`], [`sharpest_plane`], [`focus_stack`] |
//! | What does the lamp do, and what the specimen? | [`flatten`], [`Background`] |
//! | Where is the spheroid, how large, round, rough, dark and grainy? | [`segment`], [`Morphometry`] |
//! | How far is a pixel from the spheroid? | [`squared_distances`] |
//! | The same picture with fewer pixels? | [`resample_area`] |
//!
//! Decoding keeps type and value of every sample; intensities change only in functions whose name
//! says so ([`FocalStack::plane_f32`], [`flatten`], [`resample_area`], [`to_png`]).
//!
//! # What this crate will not do
//! It does not guess. A file that could be read in two ways, or only in part, is refused with its
//! name, the page and the reason; nothing is interpolated, inverted or converted on the way in.

mod cache;
mod codec;
mod depth;
mod distance;
mod error;
mod focus;
mod focus_stacking;
mod illumination;
mod metadata;
mod morphometry;
mod pixel_size;
mod read;
mod resample;
mod sample;
mod segment;
mod stack;
mod threshold;
mod thumbnail;
mod tones;
mod write;

pub use cache::{CacheStatistics, CachedStack, StackCache};
pub use codec::Compression;
pub use depth::{Depth, Widening, effective_depth};
pub use distance::squared_distances;
pub use error::ImagingError;
pub use focus::{FocusMeasure, focus_profile, sharpest_of, sharpest_plane};
pub use focus_stacking::{FocusStacked, focus_stack};
pub use illumination::{Background, flatten};
pub use metadata::Axis;
pub use morphometry::{Micrometre, Morphometry, Pixel, Texture};
pub use pixel_size::PixelSize;
pub use read::{Limits, Region, StackInfo, StackReader, read_stack};
pub use resample::{Window, resample_area};
pub use sample::{Sample, SampleType, Samples};
pub use segment::{Component, Segmentation, SegmentationFlag, Segmenter, segment};
pub use stack::{FocalStack, Scale};
pub use threshold::Threshold;
pub use thumbnail::to_png;
pub use tones::{Histogram, ToneRetention, ToneStatistics};
pub use write::{TiffWriter, write_stack};

/// 16-bit floating point, the sample type of [`Samples::F16`].
pub use half::f16;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
