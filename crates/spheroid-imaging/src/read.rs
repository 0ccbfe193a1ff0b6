use std::{
    fs::File,
    io::{self, BufReader},
    path::{Path, PathBuf},
};

use ndarray::Array3;
use serde::{Deserialize, Serialize};
use tiff::{
    TiffError, TiffFormatError,
    decoder::Decoder,
    tags::{CompressionMethod, PhotometricInterpretation, PlanarConfiguration, SampleFormat, Tag},
};

use crate::{FocalStack, ImagingError, SampleType, Samples, metadata::Declared};

/// What a file may ask for; checked before memory is taken.
///
/// The defaults let through 32 planes of 8192 × 8192 pixels with 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Pixels of one plane; default 2²⁶ (8192 × 8192).
    pub max_pixels_per_plane: u64,
    /// Pages of all files of a stack, thumbnails included; default 256.
    pub max_planes: u64,
    /// Bytes of the samples of one stack; default 4 GiB.
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
    /// No limits: for files that are trusted. Memory that cannot be had is still an error.
    pub const fn none() -> Self {
        Self {
            max_pixels_per_plane: u64::MAX,
            max_planes: u64::MAX,
            max_bytes: u64::MAX,
        }
    }
}

/// What a TIFF file holds, told from its directories alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TiffInfo {
    /// Number of pages that are planes; thumbnails and masks are not counted.
    pub pages: usize,
    /// Number of rows of each.
    pub rows: usize,
    /// Number of columns of each.
    pub columns: usize,
    /// Type of the samples.
    pub sample_type: SampleType,
}

/// Reads the focal stack that `files` hold: either one file whose pages are the planes, or one file
/// for each plane, in order.
///
/// Values are those that are stored. Read are 8- and 16-bit unsigned grey samples of either byte
/// order, in strips or tiles, classic or BigTIFF, stored plain or with LZW, Deflate or PackBits,
/// with or without horizontal differencing. RGB pages whose three channels are equal in every
/// pixel are read as the grey that they show. Pages marked as thumbnail or mask are passed over.
/// Pages become planes in the order of the file, whatever axis a description gives them.
///
/// Everything else is refused by name, above all what would otherwise be read in part or changed:
/// files with fewer or more pages than their ImageJ, OME or tifffile description declares, samples
/// in separate planar storage, and photometric interpretation "white is zero", of which nobody can
/// tell whether the values were inverted or only their display.
///
/// # Errors
/// This returns an error when:
/// * there is no file, or a file is missing, empty, no TIFF, damaged or truncated;
/// * a page is of a kind that is not read, or is in colour;
/// * pages differ in size or type, or their number is not what the file declares;
/// * one of several files holds more than one plane;
/// * the stack is larger than `limits`.
pub fn read_stack(files: &[PathBuf], limits: &Limits) -> Result<FocalStack, ImagingError> {
    let mut survey = Survey::of(files, limits)?;
    match survey.sample_type {
        SampleType::U8 => survey.decode(Samples::U8, |bytes| bytes[0]),
        SampleType::U16 => survey.decode(Samples::U16, |bytes| {
            u16::from_ne_bytes([bytes[0], bytes[1]])
        }),
        _ => unimplemented!(),
    }
}

/// Tells what `file` holds without decoding a pixel.
///
/// # Errors
/// As [`read_stack`], except for what shows only in the pixels: colour and truncated data.
pub fn inspect(file: &Path, limits: &Limits) -> Result<TiffInfo, ImagingError> {
    let survey = Survey::of(&[file.to_owned()], limits)?;
    let Survey {
        rows,
        columns,
        sample_type,
        ..
    } = survey;
    Ok(TiffInfo {
        pages: survey.planes(),
        rows,
        columns,
        sample_type,
    })
}

/// All planes of a stack, found and checked but not yet decoded.
struct Survey {
    sources: Vec<Source>,
    rows: usize,
    columns: usize,
    sample_type: SampleType,
}

/// An open file and its planes.
struct Source {
    path: PathBuf,
    decoder: Decoder<BufReader<File>>,
    planes: Vec<Page>,
    declared: Vec<(usize, Declared)>,
}

/// One page that is a plane.
#[derive(Debug, Clone, Copy)]
struct Page {
    /// Position in the chain of directories, from 0.
    index: usize,
    rows: usize,
    columns: usize,
    sample_type: SampleType,
    channels: usize,
}

impl Survey {
    fn of(files: &[PathBuf], limits: &Limits) -> Result<Self, ImagingError> {
        let mut sources = Vec::new();
        let mut pages = 0;
        for path in files {
            sources.push(Source::open(path, limits, &mut pages)?);
        }
        let first = *sources
            .first()
            .and_then(|source| source.planes.first())
            .ok_or(ImagingError::NoFiles)?;
        let Page {
            rows,
            columns,
            sample_type,
            ..
        } = first;
        let survey = Self {
            sources,
            rows,
            columns,
            sample_type,
        };
        survey.check_counts()?;
        survey.check_alike(&first)?;
        survey.check_bytes(limits)?;
        Ok(survey)
    }

    fn planes(&self) -> usize {
        self.sources.iter().map(|source| source.planes.len()).sum()
    }

    /// Holds the number of pages against what the descriptions declare.
    fn check_counts(&self) -> Result<(), ImagingError> {
        let total = self.planes();
        for source in &self.sources {
            let found = source.planes.len();
            for &(plane, declaration) in &source.declared {
                let (metadata, declared, sound) = match declaration {
                    Declared::ImageJ(n) => ("ImageJ", n, n == found as u64),
                    Declared::Ome(n) => ("OME", n, n == found as u64 || n == total as u64),
                    Declared::Tifffile(n) => ("tifffile", n, n <= (found - plane) as u64),
                };
                if !sound {
                    let path = source.path.clone();
                    return Err(ImagingError::PlaneCount {
                        path,
                        metadata,
                        declared,
                        found,
                    });
                }
            }
            if self.sources.len() > 1 && found > 1 {
                return Err(ImagingError::SeveralPlanes {
                    path: source.path.clone(),
                    found,
                });
            }
        }
        Ok(())
    }

    fn check_alike(&self, first: &Page) -> Result<(), ImagingError> {
        for source in &self.sources {
            for plane in &source.planes {
                let (path, page) = (source.path.clone(), plane.index + 1);
                if (plane.rows, plane.columns) != (first.rows, first.columns) {
                    return Err(ImagingError::UnlikeSize {
                        path,
                        page,
                        rows: plane.rows,
                        columns: plane.columns,
                        first_rows: first.rows,
                        first_columns: first.columns,
                    });
                }
                if plane.sample_type != first.sample_type {
                    let (found, first) = (plane.sample_type, first.sample_type);
                    return Err(ImagingError::UnlikeType {
                        path,
                        page,
                        found,
                        first,
                    });
                }
            }
        }
        Ok(())
    }

    fn check_bytes(&self, limits: &Limits) -> Result<(), ImagingError> {
        let samples = self.planes() as u128 * self.rows as u128 * self.columns as u128;
        let bytes = samples * u128::from(self.sample_type.bits() / 8);
        // No object can be larger than `isize::MAX`, whatever the caller allows.
        let allowed = limits.max_bytes.min(isize::MAX as u64);
        if bytes <= u128::from(allowed) {
            return Ok(());
        }
        let needed = u64::try_from(bytes).unwrap_or(u64::MAX);
        Err(self.sources[0].limit("bytes", needed, allowed))
    }

    /// Decodes all planes; `sample` makes one of its bytes in native order.
    fn decode<T: Copy>(
        &mut self,
        wrap: fn(Array3<T>) -> Samples,
        sample: impl Fn(&[u8]) -> T + Copy,
    ) -> Result<FocalStack, ImagingError> {
        let shape = (self.planes(), self.rows, self.columns);
        let mut samples = Vec::new();
        self.sources[0].reserve(&mut samples, shape.0 * shape.1 * shape.2)?;
        let mut page = Vec::new();
        for source in &mut self.sources {
            source.decode_into(&mut samples, &mut page, sample)?;
        }
        let samples =
            Array3::from_shape_vec(shape, samples).expect("each page gave rows × columns samples");
        FocalStack::new(wrap(samples))
    }
}

impl Source {
    /// Walks the directories of the file at `path`; `pages` counts those of the whole stack.
    fn open(path: &Path, limits: &Limits, pages: &mut u64) -> Result<Self, ImagingError> {
        let io = |action| {
            move |source| ImagingError::Io {
                path: path.to_owned(),
                action,
                source,
            }
        };
        let file = File::open(path).map_err(io("open"))?;
        let metadata = file.metadata().map_err(io("open"))?;
        if metadata.is_dir() {
            return Err(io("read")(io::ErrorKind::IsADirectory.into()));
        }
        if metadata.len() == 0 {
            return Err(ImagingError::EmptyFile {
                path: path.to_owned(),
            });
        }
        // For the decoder, limits of what it allocates itself, which is the tags; a strip or tile is
        // decoded as it is read, whatever its length.
        let mut tags_only = tiff::decoder::Limits::default();
        tags_only.decoding_buffer_size = 1 << 26;
        tags_only.intermediate_buffer_size = usize::MAX;
        let decoder = Decoder::new(BufReader::new(file))
            .map_err(|error| open_error(path, error))?
            .with_limits(tags_only);
        let mut source = Self {
            path: path.to_owned(),
            decoder,
            planes: Vec::new(),
            declared: Vec::new(),
        };
        for index in 0.. {
            *pages += 1;
            if *pages > limits.max_planes {
                return Err(source.limit("pages", *pages, limits.max_planes));
            }
            source.survey_page(index, limits)?;
            if !source.decoder.more_images() {
                break;
            }
            source
                .decoder
                .next_image()
                .map_err(|error| page_error(path, index + 2, error))?;
        }
        if source.planes.is_empty() {
            return Err(ImagingError::NoPlanes {
                path: path.to_owned(),
            });
        }
        Ok(source)
    }

    fn limit(&self, limit: &'static str, needed: u64, allowed: u64) -> ImagingError {
        ImagingError::Limits {
            path: self.path.clone(),
            limit,
            needed,
            allowed,
        }
    }

    /// Checks the page that the decoder stands at and takes it up unless it is a thumbnail or mask.
    fn survey_page(&mut self, index: usize, limits: &Limits) -> Result<(), ImagingError> {
        if self.is_thumbnail_or_mask(index)? {
            return Ok(());
        }
        let (width, height) = self.decoder.dimensions().map_err(self.error_in(index))?;
        let pixels = u64::from(width) * u64::from(height);
        if pixels > limits.max_pixels_per_plane {
            return Err(self.limit("pixels a plane", pixels, limits.max_pixels_per_plane));
        }
        let (sample_type, channels) = self.sample_layout(index)?;
        if let Some(text) = self.description(index)? {
            let declared = Declared::parse(
                &text,
                pixels.saturating_mul(channels as u64),
                channels as u64,
            );
            self.declared
                .extend(declared.map(|declared| (self.planes.len(), declared)));
        }
        let (rows, columns) = (height as usize, width as usize);
        self.planes.push(Page {
            index,
            rows,
            columns,
            sample_type,
            channels,
        });
        Ok(())
    }

    fn is_thumbnail_or_mask(&mut self, index: usize) -> Result<bool, ImagingError> {
        const REDUCED: u64 = 1;
        const MASK: u64 = 4;
        /// Of the older tag: reduced resolution.
        const OLD_REDUCED: u64 = 2;
        let kind = self.tag(index, Tag::NewSubfileType)?.unwrap_or(0);
        let old_kind = self.tag(index, Tag::SubfileType)?.unwrap_or(0);
        Ok(kind & (REDUCED | MASK) != 0 || old_kind == OLD_REDUCED)
    }

    /// Type of the samples and their number in a pixel, 1 or 3, of a page that can be read whole
    /// and unchanged.
    fn sample_layout(&mut self, index: usize) -> Result<(SampleType, usize), ImagingError> {
        const GREY: &str = "export 8- or 16-bit unsigned grey";
        const CODES: &str = "export it plain or with LZW, Deflate or PackBits compression";
        let refuse = |source: &Self, what: String, hint| {
            let path = source.path.clone();
            Err(ImagingError::Unsupported {
                path,
                page: index + 1,
                what,
                hint,
            })
        };

        let channels = self.tag(index, Tag::SamplesPerPixel)?.unwrap_or(1);
        let photometric = self
            .tag(index, Tag::PhotometricInterpretation)?
            .unwrap_or(1);
        let photometric = u16::try_from(photometric)
            .ok()
            .and_then(PhotometricInterpretation::from_u16);
        let channels = match (photometric, channels) {
            (Some(PhotometricInterpretation::BlackIsZero), 1) => 1,
            (Some(PhotometricInterpretation::RGB), 3) => 3,
            (Some(PhotometricInterpretation::WhiteIsZero), _) => {
                let hint = "invert the values if dark pixels are stored as large numbers, and \
                            save as black is zero";
                return refuse(
                    self,
                    "photometric interpretation WhiteIsZero is".into(),
                    hint,
                );
            }
            (Some(kind), n) => {
                return refuse(self, format!("{kind:?} pixels with {n} samples are"), GREY);
            }
            (None, _) => return refuse(self, "this photometric interpretation is".into(), GREY),
        };

        let planar = self.tag(index, Tag::PlanarConfiguration)?.unwrap_or(1);
        if planar != u64::from(PlanarConfiguration::Chunky.to_u16()) && channels > 1 {
            let hint = "if the samples are focal planes, save each as a page of its own";
            return refuse(self, "separate planar storage of samples is".into(), hint);
        }

        // The decoder has checked that all samples of a pixel have one format and one width.
        let format = self.first_of(index, Tag::SampleFormat)?.unwrap_or(1);
        let bits = self.first_of(index, Tag::BitsPerSample)?.unwrap_or(1);
        let sample_type = match (format, bits) {
            (1, 8) => SampleType::U8,
            (1, 16) => SampleType::U16,
            (format, bits) => {
                let format = u16::try_from(format).ok().and_then(SampleFormat::from_u16);
                let name = match format {
                    Some(SampleFormat::Uint) => "unsigned integer",
                    Some(SampleFormat::Int) => "signed integer",
                    Some(SampleFormat::IEEEFP) => "floating-point",
                    _ => "untyped",
                };
                return refuse(self, format!("{bits}-bit {name} samples are"), GREY);
            }
        };

        let code = self.tag(index, Tag::Compression)?.unwrap_or(1);
        let method = u16::try_from(code)
            .ok()
            .map(CompressionMethod::from_u16_exhaustive);
        match method {
            Some(
                CompressionMethod::None
                | CompressionMethod::LZW
                | CompressionMethod::Deflate
                | CompressionMethod::OldDeflate
                | CompressionMethod::PackBits,
            ) => Ok((sample_type, channels)),
            Some(CompressionMethod::Unknown(_)) | None => {
                refuse(self, format!("compression {code} is"), CODES)
            }
            Some(method) => refuse(self, format!("{method:?} compression is"), CODES),
        }
    }

    /// The ImageDescription, or as much of it as a sane one may hold.
    fn description(&mut self, index: usize) -> Result<Option<String>, ImagingError> {
        const MAX_BYTES: u64 = 1 << 24;
        let error = self.error_in(index);
        let mut ifd = self.decoder.image_ifd();
        let Some(entry) = ifd.find_entry(Tag::ImageDescription) else {
            return Ok(None);
        };
        let mut bytes = vec![0; entry.count().min(MAX_BYTES) as usize];
        ifd.find_tag_bytes(Tag::ImageDescription, &mut bytes, 0)
            .map_err(error)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn tag(&mut self, index: usize, tag: Tag) -> Result<Option<u64>, ImagingError> {
        self.decoder
            .find_tag_unsigned(tag)
            .map_err(self.error_in(index))
    }

    fn first_of(&mut self, index: usize, tag: Tag) -> Result<Option<u64>, ImagingError> {
        let values = self
            .decoder
            .find_tag_unsigned_vec(tag)
            .map_err(self.error_in(index))?;
        Ok(values.and_then(|values| values.first().copied()))
    }

    /// Turns an error of the decoder about page `index` into one that names the file.
    fn error_in(&self, index: usize) -> impl FnOnce(TiffError) -> ImagingError + use<> {
        let path = self.path.clone();
        move |error| page_error(&path, index + 1, error)
    }

    /// Appends the samples of all planes; `bytes` is room for a page.
    fn decode_into<T: Copy>(
        &mut self,
        samples: &mut Vec<T>,
        bytes: &mut Vec<u8>,
        sample: impl Fn(&[u8]) -> T + Copy,
    ) -> Result<(), ImagingError> {
        let size = size_of::<T>();
        for &Page {
            index,
            rows,
            columns,
            channels,
            ..
        } in &self.planes
        {
            let page = index + 1;
            let length = (rows * columns * size).saturating_mul(channels);
            self.reserve(bytes, length.saturating_sub(bytes.len()))?;
            bytes.resize(length, 0);
            self.decoder
                .seek_to_image(index)
                .and_then(|()| self.decoder.read_image_bytes(bytes))
                .map_err(|error| page_error(&self.path, page, error))?;
            let pixels = bytes.chunks_exact(size * channels);
            if channels == 1 {
                samples.extend(pixels.map(sample));
                continue;
            }
            for (position, pixel) in pixels.enumerate() {
                let (first, others) = pixel.split_at(size);
                if others.chunks_exact(size).any(|other| other != first) {
                    let (row, column) = (position / columns + 1, position % columns + 1);
                    return Err(ImagingError::Colour {
                        path: self.path.clone(),
                        page,
                        row,
                        column,
                    });
                }
                samples.push(sample(first));
            }
        }
        Ok(())
    }

    /// Makes room for `more` items, or says that there is none.
    fn reserve<T>(&self, items: &mut Vec<T>, more: usize) -> Result<(), ImagingError> {
        let bytes = more.saturating_mul(size_of::<T>()) as u64;
        items
            .try_reserve_exact(more)
            .map_err(|_| ImagingError::Memory {
                path: self.path.clone(),
                bytes,
            })
    }
}

fn open_error(path: &Path, error: TiffError) -> ImagingError {
    match error {
        TiffError::FormatError(
            TiffFormatError::TiffSignatureNotFound | TiffFormatError::TiffSignatureInvalid,
        ) => ImagingError::NotTiff {
            path: path.to_owned(),
        },
        error => page_error(path, 1, error),
    }
}

fn page_error(path: &Path, page: usize, error: TiffError) -> ImagingError {
    let path = path.to_owned();
    match error {
        TiffError::IoError(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
            ImagingError::Truncated { path, page }
        }
        TiffError::IoError(source) if source.raw_os_error().is_some() => ImagingError::Io {
            path,
            action: "read",
            source,
        },
        TiffError::UnsupportedError(what) => ImagingError::Unsupported {
            path,
            page,
            what: format!("the page is of a kind ({what}) that is"),
            hint: "export 8- or 16-bit unsigned grey",
        },
        error => ImagingError::Format {
            path,
            page,
            source: error.into(),
        },
    }
}
