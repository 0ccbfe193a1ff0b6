mod decode;
mod directory;
mod page;
mod source;

use std::{
    collections::HashSet,
    io::{self, ErrorKind},
    ops::Range,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    FocalStack, ImagingError, PixelSize, Sample, SampleType,
    codec::Compression,
    metadata::{self, Axis, Description, Dialect, MetadataError, PageContext, Position},
    sample::with_sample_type,
};
use decode::{Job, Wanted};
use directory::{Directory, Header, tag};
use page::{Page, Role};
use source::Source;

/// What a file may ask for; checked before memory is taken.
///
/// The defaults let through 32 planes of 8192 × 8192 pixels with 16 bits. Beside the samples, a read
/// takes room for one strip or tile a thread, or for one that is larger than 16 MiB; about 100 bytes for
/// each of at most 2²⁰ strips and tiles; and what it takes to parse a description of up to 16 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Pixels of one plane; default 2²⁶ (8192 × 8192).
    pub max_pixels_per_plane: u64,
    /// Planes of all channels and points in time, and pages of the files, thumbnails included; default
    /// 256.
    pub max_planes: u64,
    /// Bytes of the samples of one stack, and of one strip or tile; default 4 GiB.
    pub max_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pixels_per_plane: 1 << 26,
            max_planes: 256,
            max_bytes: 1 << 32,
        }
    }
}

impl Limits {
    /// Strips and tiles of all pages of a stack, once for each sample of a pixel: those of 128 planes of
    /// 8192 rows in strips of one.
    const MAX_CHUNKS: u64 = 1 << 20;

    /// No limits: for files that are trusted. Memory that cannot be had is still an error.
    pub const fn none() -> Self {
        Self {
            max_pixels_per_plane: u64::MAX,
            max_planes: u64::MAX,
            max_bytes: u64::MAX,
        }
    }
}

/// What the files of a stack hold, told from their directories alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StackInfo {
    /// Number of planes that are read; thumbnails and masks are not counted.
    pub planes: usize,
    /// Number of rows of each.
    pub rows: usize,
    /// Number of columns of each.
    pub columns: usize,
    /// Type of the samples.
    pub sample_type: SampleType,
    /// Bits of a sample in the file; fewer than the type has where samples are packed.
    pub bits_per_sample: u32,
    /// How the samples are stored.
    pub compression: Compression,
    /// Whether small values are bright; see [`FocalStack::white_is_zero`].
    pub white_is_zero: bool,
    /// What the planes differ in: focus, channel or time. Focus where the files do not say.
    pub axis: Axis,
    /// Number of channels of the files, of which the stack is one.
    pub channels: usize,
    /// Number of points in time of the files, of which the stack is one.
    pub frames: usize,
    /// Width and height of a pixel, µm.
    pub pixel_size: Option<PixelSize>,
    /// Distance of neighbouring planes, µm.
    pub plane_spacing: Option<f64>,
    /// Height of each plane on the microscope's scale, µm; empty where the files do not say it of all.
    pub plane_positions: Vec<f64>,
    /// The ImageDescription of the first page.
    pub description: Option<String>,
}

/// A part of a stack: planes, rows and columns, and every how manieth row and column.
///
/// # Example
/// ```
/// use spheroid_imaging::Region;
///
/// let preview = Region { planes: 0..3, rows: 100..600, columns: 0..512, step: 4 };
/// assert_eq!(preview.dim(), (3, 125, 128));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Planes, from 0.
    pub planes: Range<usize>,
    /// Rows, from 0.
    pub rows: Range<usize>,
    /// Columns, from 0.
    pub columns: Range<usize>,
    /// Distance of neighbouring rows and columns of the result in the file; 1 takes them all.
    pub step: usize,
}

impl Region {
    /// Number of planes, rows and columns of what is read.
    pub fn dim(&self) -> (usize, usize, usize) {
        (self.planes.len(), self.out_rows(), self.out_columns())
    }

    fn out_rows(&self) -> usize {
        self.rows.len().div_ceil(self.step.max(1))
    }

    fn out_columns(&self) -> usize {
        self.columns.len().div_ceil(self.step.max(1))
    }

    /// The rows of the region among `rows`.
    fn rows_in(&self, rows: Range<usize>) -> impl Iterator<Item = usize> + use<> {
        steps_in(&self.rows, rows, self.step)
    }

    /// The columns of the region among `columns`.
    fn columns_in(&self, columns: Range<usize>) -> impl Iterator<Item = usize> + use<> {
        steps_in(&self.columns, columns, self.step)
    }

    fn check(&self, (planes, rows, columns): (usize, usize, usize)) -> Result<(), ImagingError> {
        let within = |range: &Range<usize>, length| range.start < range.end && range.end <= length;
        if self.step > 0
            && within(&self.planes, planes)
            && within(&self.rows, rows)
            && within(&self.columns, columns)
        {
            return Ok(());
        }
        Err(ImagingError::Region {
            region: self.clone(),
            planes,
            rows,
            columns,
        })
    }
}

/// Those of every `step`th position of `whole` that lie in `part`.
fn steps_in(
    whole: &Range<usize>,
    part: Range<usize>,
    step: usize,
) -> impl Iterator<Item = usize> + use<> {
    let skipped = part.start.saturating_sub(whole.start).div_ceil(step);
    let start = whole.start.saturating_add(skipped.saturating_mul(step));
    (start..part.end.min(whole.end)).step_by(step)
}

/// Reads the focal stack that `files` hold: either one file whose pages are the planes, or one file
/// for each plane, in order. Short for [`StackReader::open`] and [`StackReader::read`].
///
/// # Errors
/// As those.
pub fn read_stack(files: &[PathBuf], limits: &Limits) -> Result<FocalStack, ImagingError> {
    StackReader::open(files, limits)?.read()
}

/// The open files of a focal stack, their directories read and checked, their pixels not yet.
///
/// # What is read
/// Values are those that are stored, in the type in which they are stored.
///
/// | | |
/// |---|---|
/// | samples | unsigned integers of 2 to 32 bits (packed ones such as 12-bit widened to the next of 8, 16, 32 without a change of value), signed integers of 8, 16, 32 bits, floating point of 16, 32, 64 bits |
/// | pixels | grey; several grey samples a pixel, which become planes; RGB whose three channels are equal in every pixel, which becomes the grey that it shows; black or white is zero |
/// | storage | strips or tiles, samples of a pixel together or apart, either byte order, either bit order, classic or BigTIFF |
/// | compression | none, LZW (also of the old bit order), Deflate, PackBits, Zstandard; horizontal and floating-point predictor |
/// | planes | pages; the planes that ImageJ, MetaMorph and tifffile store behind one directory ("truncated", STK); one file a plane. Pages marked as thumbnail or mask are passed over. |
/// | descriptions | OME-XML, ImageJ, tifffile: number and order of the planes, pixel size, spacing and position of the planes |
///
/// Where the files hold several channels or points in time beside several planes, [`select`] picks
/// those of one; where only one of the three numbers is above 1, it is that of the planes.
///
/// # What is refused, by name
/// What would otherwise be read in part or changed: files with fewer or more pages than their
/// description declares, or with two in the place of one plane; colour, palettes, transparency, samples
/// that differ in width; pages of several planes (ImageDepth above 1); PackBits with a predictor, which
/// programs read in two ways; and every compression that is not named above (JPEG, JPEG 2000, JPEG XL,
/// JPEG XR, WebP, PNG, LERC, LZMA, CCITT).
///
/// [`select`]: Self::select
///
/// # Example
/// ```
/// use ndarray::Array3;
/// use spheroid_imaging::{FocalStack, Limits, Region, Samples, StackReader, write_stack};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("B02_d7.tif");
/// write_stack(&path, &FocalStack::new(Samples::U16(Array3::from_elem((3, 20, 30), 0xAFFA)))?)?;
///
/// let reader = StackReader::open(&[path], &Limits::default())?;
/// assert_eq!((reader.info().planes, reader.info().rows), (3, 20));
/// let corner = Region { planes: 1..2, rows: 0..5, columns: 0..8, step: 1 };
/// assert_eq!(reader.read_region(&corner)?.dim(), (1, 5, 8));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct StackReader {
    files: Vec<TiffFile>,
    /// The planes of all files, in the order of the pages.
    planes: Vec<Plane>,
    /// The planes that are read, by position in `planes`, in the order in which they are read;
    /// `None` where the caller has to choose.
    selected: Option<Vec<usize>>,
    info: StackInfo,
    max_bytes: u64,
}

/// Where a plane is, and which.
#[derive(Debug, Clone, Copy)]
struct Plane {
    file: usize,
    page: usize,
    /// Sample of the pixels; `None` for the grey that equal channels show.
    sample: Option<usize>,
    position: Position,
}

impl StackReader {
    /// Opens the files of a stack: one file whose pages are the planes, or one file for each plane,
    /// in order.
    ///
    /// # Errors
    /// This returns an error when:
    /// * there is no file, or a file is missing, empty, no TIFF, or its directories are damaged;
    /// * a page is of a kind that is not read;
    /// * pages differ in size or type, or their number is not what the file declares;
    /// * one of several files holds more than one plane;
    /// * the stack is larger than `limits`.
    pub fn open(files: &[PathBuf], limits: &Limits) -> Result<Self, ImagingError> {
        let mut count = Count::default();
        let open = |path: &PathBuf| TiffFile::open(path, Source::open(path)?, limits, &mut count);
        let files: Result<Vec<TiffFile>, ImagingError> = files.iter().map(open).collect();
        Self::of(files?, limits)
    }

    /// Reads a stack from a file in memory; `name` stands for its path in messages.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(
        name: impl Into<PathBuf>,
        bytes: Vec<u8>,
        limits: &Limits,
    ) -> Result<Self, ImagingError> {
        let file = TiffFile::open(
            &name.into(),
            Source::Memory(bytes),
            limits,
            &mut Count::default(),
        )?;
        Self::of(vec![file], limits)
    }

    fn of(files: Vec<TiffFile>, limits: &Limits) -> Result<Self, ImagingError> {
        let first = files.first().ok_or(ImagingError::NoFiles)?;
        let total: usize = files.iter().map(|file| file.pages.len()).sum();
        for file in &files {
            file.check_count(total)?;
            let found = file.pages.len();
            if files.len() > 1 && found > 1 {
                let path = file.path.clone();
                return Err(ImagingError::SeveralPlanes { path, found });
            }
            file.check_alike(first)?;
        }
        let planes = find_planes(&files);
        if planes.len() as u64 > limits.max_planes {
            return Err(
                Fault::too_many("planes", planes.len() as u64, limits).in_page(&first.path, 1)
            );
        }
        let page = &first.pages[0];
        let described = first.described.as_ref();
        let mut info = StackInfo {
            planes: 0,
            rows: page.rows,
            columns: page.columns,
            sample_type: page.sample_type,
            bits_per_sample: page.bits,
            compression: page.compression,
            white_is_zero: page.white_is_zero,
            axis: Axis::Plane,
            channels: extent(&planes, |position| position.channel),
            frames: extent(&planes, |position| position.frame),
            pixel_size: first.pixel_size,
            plane_spacing: described.and_then(|described| described.plane_spacing),
            plane_positions: Vec::new(),
            description: first.description.clone(),
        };
        let depth = extent(&planes, |position| position.plane);
        let selected = match (depth, info.channels, info.frames) {
            (_, 1, 1) => Some(Axis::Plane),
            (1, _, 1) => Some(Axis::Channel),
            (1, 1, _) => Some(Axis::Frame),
            _ => None,
        }
        .map(|axis| {
            info.axis = axis;
            (0..planes.len()).collect()
        });
        if info.axis == Axis::Channel {
            info.channels = 1;
        } else if info.axis == Axis::Frame {
            info.frames = 1;
        }
        info.planes = selected.as_ref().map_or(depth, Vec::len);
        let mut reader = Self {
            files,
            planes,
            selected,
            info,
            max_bytes: limits.max_bytes,
        };
        reader.sort_selected();
        Ok(reader)
    }

    /// What the files hold.
    pub fn info(&self) -> &StackInfo {
        &self.info
    }

    /// The planes of one channel at one point in time, both counted from 0, of files with several.
    ///
    /// # Errors
    /// When there is no such channel or point in time.
    pub fn select(mut self, channel: usize, frame: usize) -> Result<Self, ImagingError> {
        let StackInfo {
            channels, frames, ..
        } = self.info;
        if channel >= channels || frame >= frames {
            return Err(ImagingError::NoSuchChannel {
                path: self.files[0].path.clone(),
                channel,
                frame,
                channels,
                frames,
            });
        }
        if channels > 1 || frames > 1 {
            let of =
                |plane: &Plane| (plane.position.channel, plane.position.frame) == (channel, frame);
            let selected: Vec<usize> = (0..self.planes.len())
                .filter(|&at| of(&self.planes[at]))
                .collect();
            self.info.planes = selected.len();
            self.selected = Some(selected);
            self.sort_selected();
        }
        Ok(self)
    }

    /// Reads all planes.
    ///
    /// # Errors
    /// This returns an error when:
    /// * the files hold several channels or points in time beside several planes, and none was
    ///   [selected](Self::select);
    /// * the samples are damaged or truncated, or an RGB pixel is not grey;
    /// * the stack is larger than the limits, or than memory.
    pub fn read(&self) -> Result<FocalStack, ImagingError> {
        let StackInfo {
            planes,
            rows,
            columns,
            ..
        } = self.info;
        self.read_region(&Region {
            planes: 0..planes,
            rows: 0..rows,
            columns: 0..columns,
            step: 1,
        })
    }

    /// Reads a part of the stack, decoding only the strips and tiles that it touches.
    ///
    /// The pixel size of the result is that of its pixels, `step` times as large.
    ///
    /// # Errors
    /// As [`read`](Self::read), and when the region is empty or reaches beyond the stack.
    pub fn read_region(&self, region: &Region) -> Result<FocalStack, ImagingError> {
        let StackInfo {
            planes,
            rows,
            columns,
            channels,
            frames,
            sample_type,
            ..
        } = self.info;
        let path = || self.files[0].path.clone();
        let Some(selected) = &self.selected else {
            return Err(ImagingError::Hyperstack {
                path: path(),
                planes,
                channels,
                frames,
            });
        };
        region.check((planes, rows, columns))?;
        let (out_planes, out_rows, out_columns) = region.dim();
        let bytes = [
            out_planes,
            out_rows,
            out_columns,
            sample_type.bits() as usize / 8,
        ]
        .into_iter()
        .fold(1_u128, |product, n| product.saturating_mul(n as u128));
        // No object can be larger than `isize::MAX`, whatever the caller allows.
        let allowed = self.max_bytes.min(isize::MAX as u64);
        if bytes > u128::from(allowed) {
            return Err(ImagingError::Limits {
                path: path(),
                limit: "bytes",
                needed: u64::try_from(bytes).unwrap_or(u64::MAX),
                allowed,
            });
        }
        let jobs = self.jobs(&selected[region.planes.clone()]);
        let samples = with_sample_type!(sample_type, T => T::wrap(decode::decode(&jobs, region)?));
        let step = region.step as f64;
        let pixel_size = self.info.pixel_size.map(|PixelSize { x, y }| PixelSize {
            x: x * step,
            y: y * step,
        });
        Ok(FocalStack::new(samples)?
            .with_pixel_size(pixel_size)
            .with_white_is_zero(self.info.white_is_zero))
    }

    /// One job for each page, in the order of the planes.
    fn jobs(&self, planes: &[usize]) -> Vec<Job<'_>> {
        let mut jobs: Vec<Job<'_>> = Vec::new();
        let mut last = None;
        for &at in planes {
            let Plane {
                file, page, sample, ..
            } = self.planes[at];
            match (jobs.last_mut().map(|job| &mut job.wanted), sample) {
                (Some(Wanted::Samples(samples)), Some(sample)) if last == Some((file, page)) => {
                    samples.push(sample);
                }
                (_, sample) => jobs.push(Job {
                    path: &self.files[file].path,
                    source: &self.files[file].source,
                    page: &self.files[file].pages[page],
                    wanted: sample.map_or(Wanted::Grey, |sample| Wanted::Samples(vec![sample])),
                }),
            }
            last = Some((file, page));
        }
        jobs
    }

    /// Brings the selected planes into the order of their axis.
    fn sort_selected(&mut self) {
        let Self {
            files,
            planes,
            selected: Some(selected),
            info,
            ..
        } = self
        else {
            return;
        };
        selected.sort_by_key(|&at| {
            let Position {
                plane,
                channel,
                frame,
            } = planes[at].position;
            (plane, channel, frame)
        });
        // A description of several files does not tell which of its planes this file holds.
        let several = files.len() > 1;
        let height = |&at: &usize| {
            let Plane { file, page, .. } = planes[at];
            let described = files[file].described.as_ref()?;
            let place = files[file].position(page);
            let told = !several || described.pages == 1;
            described.heights.get(&place).copied().filter(|_| told)
        };
        let heights: Option<Vec<f64>> = selected.iter().map(height).collect();
        info.plane_positions = heights.unwrap_or_default();
    }
}

/// All planes of all files, in the order of the pages.
fn find_planes(files: &[TiffFile]) -> Vec<Plane> {
    let mut planes = Vec::new();
    let several = files.len() > 1;
    for (index, file) in files.iter().enumerate() {
        for (number, page) in file.pages.iter().enumerate() {
            let place = if several {
                Position {
                    plane: index,
                    ..Position::default()
                }
            } else {
                file.position(number)
            };
            let samples = page.planes();
            for sample in 0..samples {
                planes.push(Plane {
                    file: index,
                    page: number,
                    sample: (!page.rgb).then_some(sample),
                    position: Position {
                        channel: place.channel * samples + sample,
                        ..place
                    },
                });
            }
        }
    }
    planes
}

/// One more than the greatest index.
fn extent(planes: &[Plane], index: impl Fn(&Position) -> usize) -> usize {
    planes
        .iter()
        .map(|plane| index(&plane.position) + 1)
        .max()
        .unwrap_or(0)
}

/// What the files of a stack hold so far.
#[derive(Default)]
struct Count {
    /// Directories, thumbnails included.
    pages: u64,
    /// Strips and tiles.
    chunks: u64,
}

/// An open file and those of its pages that are planes.
#[derive(Debug)]
struct TiffFile {
    path: PathBuf,
    source: Source,
    /// At least one.
    pages: Vec<Page>,
    /// What the first description says that declares planes.
    described: Option<Description>,
    /// The description of the first page.
    description: Option<String>,
    pixel_size: Option<PixelSize>,
}

impl TiffFile {
    /// Walks the directories of the file; `count` counts those of the whole stack.
    fn open(
        path: &Path,
        source: Source,
        limits: &Limits,
        count: &mut Count,
    ) -> Result<Self, ImagingError> {
        let path = path.to_owned();
        if source.length() == 0 {
            return Err(ImagingError::EmptyFile { path });
        }
        let header = Header::read(&source).map_err(|fault| fault.in_page(&path, 1))?;
        let Some(header) = header else {
            return Err(ImagingError::NotTiff { path });
        };
        let mut file = Self {
            path,
            source,
            pages: Vec::new(),
            described: None,
            description: None,
            pixel_size: None,
        };
        let mut seen = HashSet::new();
        let mut offset = header.first;
        for number in 1.. {
            count.pages += 1;
            let next = if count.pages > limits.max_planes {
                Err(Fault::too_many("pages", count.pages, limits))
            } else if !seen.insert(offset) {
                Err(Fault::damaged(
                    "the directories go round in a circle".into(),
                ))
            } else {
                file.take_up(&header, offset, number, limits, count)
            };
            offset = next.map_err(|fault| fault.in_page(&file.path, number))?;
            if offset == 0 {
                break;
            }
        }
        if file.pages.is_empty() {
            return Err(ImagingError::NoPlanes { path: file.path });
        }
        file.unfold(limits)
            .map_err(|fault| fault.in_page(&file.path, 1))?;
        Ok(file)
    }

    /// Reads the directory at `offset`, keeps its page if that is a plane, and tells where the next
    /// directory is.
    fn take_up(
        &mut self,
        header: &Header,
        offset: u64,
        number: usize,
        limits: &Limits,
        count: &mut Count,
    ) -> Result<u64, Fault> {
        const MAX_DESCRIPTION_BYTES: u64 = 1 << 24;
        let source = &self.source;
        let directory = Directory::read(source, header, offset)?;
        if let Role::ThumbnailOrMask = Role::of(source, &directory)? {
            return Ok(directory.next);
        }
        let most_chunks = Limits::MAX_CHUNKS - count.chunks;
        let page = Page::of(
            source,
            &directory,
            header.byte_order,
            number,
            limits,
            most_chunks,
        )?;
        count.chunks += (page.chunks.len() * page.chunk_channels()) as u64;
        if self.described.is_none() {
            let text = directory.text(source, tag::IMAGE_DESCRIPTION, MAX_DESCRIPTION_BYTES)?;
            let resolution = page::resolution(source, &directory)?;
            let context = PageContext {
                rows: page.rows as u64,
                columns: page.columns as u64,
                samples_per_pixel: page.channels as u64,
                resolution,
            };
            if let Some(text) = &text {
                self.described = metadata::parse(text, &context)?;
            }
            let planes = directory.count(tag::UIC2);
            if self.described.is_none() && planes > 1 {
                self.described = Some(metadata::of_metamorph(planes));
            }
            if self.pages.is_empty() {
                let described = self.described.as_ref().and_then(|text| text.pixel_size);
                self.pixel_size = described.or_else(|| resolution?.pixel_size());
                self.description = text;
            }
        }
        self.pages.push(page);
        Ok(directory.next)
    }

    /// Where page `index` of the pages that are planes stands by the description; in the order of the
    /// pages where there is none.
    fn position(&self, index: usize) -> Position {
        match &self.described {
            // OME-XML numbers all directories, thumbnails included.
            Some(described) if !described.placed.is_empty() => {
                described.position(self.pages[index].number as u64 - 1)
            }
            Some(described) => described.position(index as u64),
            None => Position {
                plane: index,
                ..Position::default()
            },
        }
    }

    /// Finds the planes that ImageJ, MetaMorph and tifffile store one behind the other after those of
    /// the only directory.
    fn unfold(&mut self, limits: &Limits) -> Result<(), Fault> {
        let (Some(described), [page]) = (&self.described, self.pages.as_slice()) else {
            return Ok(());
        };
        let declared = described.pages;
        let (Dialect::ImageJ | Dialect::MetaMorph | Dialect::Tifffile, Some(first)) =
            (described.dialect, page.in_one_piece())
        else {
            return Ok(());
        };
        let bytes = first.stored_bytes();
        let whole = declared
            .checked_mul(bytes)
            .is_some_and(|bytes| self.source.holds(first.chunks[0].0, bytes));
        if declared < 2 || !whole {
            return Ok(());
        }
        if declared > limits.max_planes {
            return Err(Fault::too_many("pages", declared, limits));
        }
        let planes = (0..declared).map(|plane| first.shifted(plane * bytes));
        self.pages = planes.collect::<Option<_>>().ok_or(Fault::Truncated)?;
        Ok(())
    }

    /// Holds the number of pages and their places against what the description declares; `total` is
    /// the number of all files of the stack, over which an OME image may spread.
    fn check_count(&self, total: usize) -> Result<(), ImagingError> {
        let Some(described) = &self.described else {
            return Ok(());
        };
        let found = self.pages.len() as u64;
        let declared = described.pages;
        let sound = match described.dialect {
            Dialect::ImageJ | Dialect::MetaMorph => declared == found,
            Dialect::Ome => declared == found || declared == total as u64,
            // Of planes that were appended one by one, each describes itself.
            Dialect::Tifffile => declared == found || declared == 1,
        };
        if !sound {
            return Err(ImagingError::PlaneCount {
                path: self.path.clone(),
                metadata: described.dialect.name(),
                declared,
                found: self.pages.len(),
            });
        }
        let mut seen = HashSet::new();
        let twice = (0..self.pages.len()).find(|&page| !seen.insert(self.position(page)));
        if let Some(page) = twice.filter(|_| declared == found) {
            let what = format!(
                "its {} description puts two pages in the place of one plane",
                described.dialect.name()
            );
            return Err(Fault::damaged(what).in_page(&self.path, self.pages[page].number));
        }
        Ok(())
    }

    /// Holds all pages against the first page of the stack.
    fn check_alike(&self, first: &Self) -> Result<(), ImagingError> {
        let first = &first.pages[0];
        for page in &self.pages {
            let (path, number) = (self.path.clone(), page.number);
            if (page.rows, page.columns) != (first.rows, first.columns) {
                return Err(ImagingError::UnlikeSize {
                    path,
                    page: number,
                    rows: page.rows,
                    columns: page.columns,
                    first_rows: first.rows,
                    first_columns: first.columns,
                });
            }
            if page.sample_type != first.sample_type {
                let (found, first) = (page.sample_type, first.sample_type);
                return Err(ImagingError::UnlikeType {
                    path,
                    page: number,
                    found,
                    first,
                });
            }
            if page.planes() != first.planes() {
                let (found, first) = (page.planes(), first.planes());
                return Err(ImagingError::UnlikeSamples {
                    path,
                    page: number,
                    found,
                    first,
                });
            }
            if page.white_is_zero != first.white_is_zero {
                return Err(ImagingError::UnlikePolarity { path, page: number });
            }
        }
        Ok(())
    }
}

/// What is wrong with a page, before it is said which.
#[derive(Debug)]
enum Fault {
    Truncated,
    Damaged(String),
    Unsupported {
        what: String,
        hint: &'static str,
    },
    Limit {
        limit: &'static str,
        needed: u64,
        allowed: u64,
    },
    Memory {
        bytes: u64,
    },
    /// Row and column from 1.
    Colour {
        row: usize,
        column: usize,
    },
    Description(MetadataError),
    Io(io::Error),
}

impl Fault {
    fn damaged(what: String) -> Self {
        Self::Damaged(what)
    }

    fn unsupported(what: String, hint: &'static str) -> Self {
        Self::Unsupported { what, hint }
    }

    /// More of `limit`, "pages" or "planes", than [`Limits::max_planes`].
    fn too_many(limit: &'static str, needed: u64, limits: &Limits) -> Self {
        Self::Limit {
            limit,
            needed,
            allowed: limits.max_planes,
        }
    }

    fn in_page(self, path: &Path, page: usize) -> ImagingError {
        let path = path.to_owned();
        match self {
            Self::Truncated => ImagingError::Truncated { path, page },
            Self::Damaged(what) => ImagingError::Format { path, page, what },
            Self::Unsupported { what, hint } => ImagingError::Unsupported {
                path,
                page,
                what,
                hint,
            },
            Self::Limit {
                limit,
                needed,
                allowed,
            } => ImagingError::Limits {
                path,
                limit,
                needed,
                allowed,
            },
            Self::Memory { bytes } => ImagingError::Memory { path, bytes },
            Self::Colour { row, column } => ImagingError::Colour {
                path,
                page,
                row,
                column,
            },
            Self::Description(error) => ImagingError::Format {
                path,
                page,
                what: error.to_string(),
            },
            Self::Io(source) => ImagingError::Io {
                path,
                action: "read",
                source,
            },
        }
    }
}

impl From<MetadataError> for Fault {
    fn from(error: MetadataError) -> Self {
        Self::Description(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::UnexpectedEof {
            Self::Truncated
        } else {
            Self::Io(error)
        }
    }
}
