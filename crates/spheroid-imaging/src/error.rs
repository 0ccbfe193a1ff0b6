use std::{error::Error, path::PathBuf};

use spheroid_core::{CoreError, ParamError};
use thiserror::Error;

use crate::{Region, SampleType};

/// Everything that can be wrong with an image, a file of images or the use of either.
///
/// Pages, rows and columns of files are counted from 1 in messages and from 0 in code, except that
/// `page` fields hold what the message shows.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImagingError {
    /// A setting is outside what is allowed.
    #[error(transparent)]
    Param(#[from] ParamError),

    /// A stack or an image without pixels.
    #[error("{planes} planes of {rows} × {columns} pixels: there must be at least one pixel")]
    Empty {
        /// Number of planes.
        planes: usize,
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        columns: usize,
    },
    /// An image that is too small for what was asked.
    #[error("{rows} × {columns} pixels are too few: {what} needs at least {least} × {least}")]
    TooSmall {
        /// What was asked.
        what: &'static str,
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        columns: usize,
        /// Number of rows and of columns that would do.
        least: usize,
    },
    /// Two images that should have one size have two.
    #[error("expected {expected_rows} × {expected_columns} pixels, got {rows} × {columns}")]
    Shape {
        /// Number of rows that the other input has.
        expected_rows: usize,
        /// Number of columns that the other input has.
        expected_columns: usize,
        /// Number of rows of this input.
        rows: usize,
        /// Number of columns of this input.
        columns: usize,
    },
    /// A plane that the stack does not have.
    #[error("no plane {plane} in a stack of {planes} (counted from 0)")]
    NoSuchPlane {
        /// The plane that was asked for, from 0.
        plane: usize,
        /// Number of planes.
        planes: usize,
    },
    /// A pixel that is NaN or infinite.
    #[error("pixel in row {row}, column {column} is {value}: every value must be finite")]
    NotFinite {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The value.
        value: f32,
    },
    /// A plane whose mean leaves a measure relative to it undefined.
    #[error("the mean intensity is {mean}: the measure needs one above 0")]
    NoIntensity {
        /// Mean of the plane.
        mean: f64,
    },
    /// A plane in which no bright background can be found.
    #[error("no bright background: the fitted background falls to {lowest} somewhere in the frame")]
    NoBackground {
        /// Smallest value of the fitted background.
        lowest: f64,
    },
    /// Measurements were asked of a well in which nothing was found.
    #[error("no spheroid to measure: the segmentation is empty")]
    NoSpheroid,
    /// Lengths were asked of pixels that are wider than high, or higher than wide.
    #[error(
        "pixels of {x} × {y} µm are not square: bring the plane to square pixels before it is \
         segmented"
    )]
    NotSquare {
        /// Distance of neighbouring columns, µm.
        x: f64,
        /// Distance of neighbouring rows, µm.
        y: f64,
    },
    /// A stack was asked for, but no file was given.
    #[error("a stack needs at least one file")]
    NoFiles,

    /// A file without a byte.
    #[error("{path}: the file is empty")]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// A file that does not begin as a TIFF does.
    #[error("{path}: not a TIFF file")]
    NotTiff {
        /// The file.
        path: PathBuf,
    },
    /// A file that ends before its content does.
    #[error("{path}, page {page}: the file is truncated, copy or export it again")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Page, from 1.
        page: usize,
    },
    /// A file that breaks the rules of its format.
    #[error("{path}, page {page}: damaged TIFF: {what}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Page, from 1.
        page: usize,
        /// What is wrong with it.
        what: String,
    },
    /// A file whose only pages are thumbnails and masks.
    #[error("{path}: holds thumbnails or masks only, no full-resolution page")]
    NoPlanes {
        /// The file.
        path: PathBuf,
    },
    /// A file with another number of pages than its description says.
    #[error(
        "{path}: its {metadata} description declares {declared} planes, but {found} are stored as \
         pages; export it again as one page a plane"
    )]
    PlaneCount {
        /// The file.
        path: PathBuf,
        /// Whose description: "ImageJ", "MetaMorph", "OME" or "tifffile".
        metadata: &'static str,
        /// Number of planes that the description declares.
        declared: u64,
        /// Number of pages that the file holds.
        found: usize,
    },
    /// One of several files holds more than one plane.
    #[error(
        "{path}: holds {found} planes, but a stack made of several files takes one plane from each"
    )]
    SeveralPlanes {
        /// The file.
        path: PathBuf,
        /// Number of planes in it.
        found: usize,
    },
    /// A page that differs in size from the first of its stack.
    #[error(
        "{path}, page {page}: {rows} × {columns} pixels, but the first plane of the stack has \
         {first_rows} × {first_columns}"
    )]
    UnlikeSize {
        /// The file.
        path: PathBuf,
        /// Page, from 1.
        page: usize,
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        columns: usize,
        /// Number of rows of the first plane.
        first_rows: usize,
        /// Number of columns of the first plane.
        first_columns: usize,
    },
    /// A page whose samples differ in type from those of the first page of its stack.
    #[error("{path}, page {page}: {found} samples, but the first plane of the stack has {first}")]
    UnlikeType {
        /// The file.
        path: PathBuf,
        /// Page, from 1.
        page: usize,
        /// Sample type of the page.
        found: SampleType,
        /// Sample type of the first plane.
        first: SampleType,
    },
    /// A page with another number of grey samples a pixel than the first page of its stack.
    #[error(
        "{path}, page {page}: {found} grey samples a pixel, but the first page of the stack has {first}"
    )]
    UnlikeSamples {
        /// The file.
        path: PathBuf,
        /// Page, from 1.
        page: usize,
        /// Samples of a pixel of the page.
        found: usize,
        /// Samples of a pixel of the first page.
        first: usize,
    },
    /// A page that stores brightness the other way round than the first page of its stack.
    #[error(
        "{path}, page {page}: black and white are swapped relative to the first plane of the stack"
    )]
    UnlikePolarity {
        /// The file.
        path: PathBuf,
        /// Page, from 1.
        page: usize,
    },
    /// Files with several channels or points in time, of which none was chosen.
    #[error(
        "{path}: holds {channels} channels and {frames} points in time of {planes} planes; select one \
         channel and one point in time, or export them to files of their own"
    )]
    Hyperstack {
        /// The first file.
        path: PathBuf,
        /// Number of planes of each.
        planes: usize,
        /// Number of channels.
        channels: usize,
        /// Number of points in time.
        frames: usize,
    },
    /// A channel or a point in time that a stack does not have.
    #[error(
        "{path}: no channel {channel} at point in time {frame}, counted from 0; it holds {channels} \
         channels and {frames} points in time"
    )]
    NoSuchChannel {
        /// The first file.
        path: PathBuf,
        /// The channel that was asked for, from 0.
        channel: usize,
        /// The point in time that was asked for, from 0.
        frame: usize,
        /// Number of channels.
        channels: usize,
        /// Number of points in time.
        frames: usize,
    },
    /// A region that is empty, without a step, or not within the stack.
    #[error(
        "{region:?} is no part of a stack of {planes} planes, {rows} rows and {columns} columns"
    )]
    Region {
        /// The region that was asked for.
        region: Region,
        /// Number of planes.
        planes: usize,
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        columns: usize,
    },
    /// An RGB page that is not grey.
    #[error(
        "{path}, page {page}: colour in row {row}, column {column}; export the camera's grey \
         values instead of an RGB rendering"
    )]
    Colour {
        /// The file.
        path: PathBuf,
        /// Page, from 1.
        page: usize,
        /// Row of the first pixel whose channels differ, from 1.
        row: usize,
        /// Its column, from 1.
        column: usize,
    },

    /// A page that may be sound but is of a kind that is not read.
    #[error("{path}, page {page}: {what} not supported; {hint}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Page, from 1.
        page: usize,
        /// What it is, with its verb.
        what: String,
        /// What would be read.
        hint: &'static str,
    },
    /// An image that PNG cannot hold.
    #[error("{rows} × {columns} pixels cannot be written as PNG")]
    Png {
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        columns: usize,
        /// What the encoder says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A stack that TIFF cannot hold.
    #[error("{path}: cannot be written as TIFF")]
    Encode {
        /// The file.
        path: PathBuf,
        /// What the encoder says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },

    /// A file that asks for more than the limits allow.
    #[error("{path}: needs {needed} {limit}, more than the limit of {allowed}")]
    Limits {
        /// The file.
        path: PathBuf,
        /// What is limited: "pixels a plane", "pages", "planes", "bytes" or "bytes a strip or tile".
        limit: &'static str,
        /// What the file asks for, or the count at which reading stopped.
        needed: u64,
        /// What is allowed.
        allowed: u64,
    },
    /// A stack that is within the limits, but for which there is no memory.
    #[error("{path}: no memory for {bytes} bytes; set `max_bytes` to what the machine has")]
    Memory {
        /// The file.
        path: PathBuf,
        /// Bytes that could not be had.
        bytes: u64,
    },
    /// A file could not be read.
    #[error("{path}: cannot {action}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: "open", "read".
        action: &'static str,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error(transparent)]
    Core(#[from] CoreError),
}
