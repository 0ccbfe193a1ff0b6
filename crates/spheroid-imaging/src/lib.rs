//! Tone-preserving reading, measuring and writing of 16-bit focal stacks.
//!
//! | question | answer |
//! |---|---|
//! | What is in these TIFF files? | [`read_stack`], [`inspect`] |
//! | How many tones does the sensor really give? | [`effective_depth`], [`ToneStatistics`] |
//! | Which plane is in focus? | [`sharpness`], [`sharpest_plane`] |
//! | What does the lamp do, and what the specimen? | [`flatten`], [`Background`] |
//! | Where is the spheroid, how large, round, rough, dark and grainy? | [`segment`], [`Morphometry`] |
//! | The same picture with fewer pixels? | [`resample_area`] |
//!
//! Decoding keeps type and value of every sample; intensities change only in functions whose name
//! says so ([`FocalStack::plane_f32`], [`flatten`], [`resample_area`], [`to_png`]).
//!
//! # What this crate will not do
//! It does not guess. A file that could be read in two ways, or only in part, is refused with its
//! name, the page and the reason; nothing is interpolated, inverted or converted on the way in.

mod depth;
mod error;
mod focus;
mod illumination;
mod metadata;
mod morphometry;
mod pixel_size;
mod read;
mod resample;
mod segment;
mod stack;
mod thumbnail;
mod tones;
mod write;

pub use depth::{Depth, Widening, effective_depth};
pub use error::ImagingError;
pub use focus::{sharpest_plane, sharpness};
pub use illumination::{Background, flatten};
pub use morphometry::{Micrometre, Morphometry, Pixel, Texture};
pub use pixel_size::PixelSize;
pub use read::{Limits, TiffInfo, inspect, read_stack};
pub use resample::{Window, resample_area};
pub use segment::{Segmentation, SegmentationFlag, segment};
pub use stack::{FocalStack, SampleType, Samples, Scale};
pub use thumbnail::to_png;
pub use tones::ToneStatistics;
pub use write::write_stack;
