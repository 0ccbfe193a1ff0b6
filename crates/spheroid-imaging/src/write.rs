use std::{
    borrow::Cow,
    io::{Seek, Write},
    num::TryFromIntError,
    path::Path,
};

use ndarray::Axis;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use spheroid_core::{CoreError, ParamError, atomic};
use tiff::{
    TiffError,
    encoder::{DirectoryEncoder, Rational, TiffEncoder, TiffKind, TiffValue},
    tags::{Tag, Type},
};

use crate::{
    Compression, FocalStack, ImagingError, PixelSize, SampleType,
    codec::{CodecError, Encoder, Predictor},
    metadata::{self, PageContext, Resolution},
    sample::with_samples,
};

/// Above this many bytes of samples the 32-bit offsets of classic TIFF may not suffice.
const CLASSIC_TIFF_BYTES: u64 = (1 << 32) - (1 << 24);
/// Bytes of a strip before compression: many enough for all cores, large enough to compress well.
const STRIP_BYTES: usize = 1 << 18;

/// Writes `stack` as uncompressed grey TIFF; short for the default [`TiffWriter`].
///
/// # Errors
/// As [`TiffWriter::write`].
///
/// # Example
/// ```
/// use ndarray::Array3;
/// use spheroid_imaging::{FocalStack, Limits, Samples, read_stack, write_stack};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("B02_d7.tif");
/// let stack = FocalStack::new(Samples::U16(Array3::from_elem((3, 20, 30), 0xAFFA)))?;
/// write_stack(&path, &stack)?;
/// assert_eq!(read_stack(&[path], &Limits::default())?, stack);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_stack(path: &Path, stack: &FocalStack) -> Result<(), ImagingError> {
    TiffWriter::default().write(path, stack)
}

/// How a focal stack is written: one page a plane, in strips of 256 KiB, samples unchanged.
///
/// # Example
/// ```
/// use ndarray::Array3;
/// use spheroid_imaging::{Compression, FocalStack, PixelSize, Samples, StackReader, TiffWriter};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("B02_d7.tif");
/// let stack = FocalStack::new(Samples::U16(Array3::zeros((3, 20, 30))))?
///     .with_pixel_size(Some(PixelSize::square(0.65)?));
/// let description = Some("plate P1, well B02, day 7".to_owned());
/// TiffWriter { compression: Compression::Zstd, description }.write(&path, &stack)?;
///
/// let reader = StackReader::open(&[path], &Default::default())?;
/// assert_eq!(reader.info().description.as_deref(), Some("plate P1, well B02, day 7"));
/// assert!((reader.info().pixel_size.ok_or("no pixel size")?.x - 0.65).abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TiffWriter {
    /// Compression of the samples; with a predictor where that helps.
    pub compression: Compression,
    /// ImageDescription of the first page. UTF-8, which most programs read, though TIFF asks for
    /// ASCII. OME-XML and the texts of ImageJ and tifffile must describe the stack that is written: its
    /// planes along one axis, and its pixel size where they have one.
    pub description: Option<String>,
}

impl TiffWriter {
    /// Writes `stack` to `path`.
    ///
    /// The file is either whole or not there: it is written beside `path` and renamed. Folders that
    /// are missing are created. Stacks of about 4 GiB and more become BigTIFF. A pixel size becomes
    /// XResolution and YResolution in pixels a centimetre, right to 1 in 10⁹, which tifffile and
    /// ImageJ read. The same stack gives the same bytes, whatever the number of threads.
    ///
    /// # Errors
    /// When the file cannot be written, the description contains NUL or describes another stack, or the
    /// pixel size is one that TIFF cannot hold.
    pub fn write(&self, path: &Path, stack: &FocalStack) -> Result<(), ImagingError> {
        if self
            .description
            .as_ref()
            .is_some_and(|text| text.contains('\0'))
        {
            return Err(
                ParamError::new("description", "a text with NUL", "text without NUL").into(),
            );
        }
        let resolution = stack.pixel_size().map(resolution).transpose()?;
        if let Some(text) = &self.description {
            check_description(text, stack, resolution)?;
        }
        let (planes, rows, columns) = stack.dim();
        let bytes = planes as u128
            * rows as u128
            * columns as u128
            * u128::from(stack.container_bits() / 8);
        // Noise grows by up to a half in LZW.
        let bytes = if self.compression == Compression::None {
            bytes
        } else {
            bytes * 2
        };
        atomic::write_file(path, |out| {
            if bytes < u128::from(CLASSIC_TIFF_BYTES) {
                let encoder = TiffEncoder::new(out);
                encoder
                    .map_err(Fault::from)
                    .and_then(|out| self.write_pages(out, stack, resolution))
            } else {
                let encoder = TiffEncoder::new_big(out);
                encoder
                    .map_err(Fault::from)
                    .and_then(|out| self.write_pages(out, stack, resolution))
            }
            .map_err(|fault| fault.of(path))
        })
    }

    fn write_pages<W: Write + Seek, K: TiffKind>(
        &self,
        mut encoder: TiffEncoder<W, K>,
        stack: &FocalStack,
        resolution: Option<[(u32, u32); 2]>,
    ) -> Result<(), Fault> {
        let (planes, rows, columns) = stack.dim();
        let (height, width) = (u32::try_from(rows)?, u32::try_from(columns)?);
        let sample_bytes = stack.container_bits() as usize / 8;
        let row_bytes = columns * sample_bytes;
        let strip_rows = (STRIP_BYTES / row_bytes).clamp(1, rows);
        let predictor = self.predictor(stack.sample_type());
        for plane in 0..planes {
            let samples: &[u8] = with_samples!(stack.samples(), array => {
                let plane = array.index_axis(Axis(0), plane);
                bytemuck::cast_slice(plane.to_slice().expect("a stack is in row-major order"))
            });
            let mut page = encoder.image_directory()?;
            let (offsets, counts) = if self.compression == Compression::None {
                let start = page.write_data(samples)?;
                let strips = samples.chunks(strip_rows * row_bytes).enumerate();
                let offset = |strip| start + (strip * strip_rows * row_bytes) as u64;
                strips
                    .map(|(strip, bytes)| (offset(strip), bytes.len() as u64))
                    .unzip()
            } else {
                self.write_strips(
                    &mut page,
                    samples,
                    strip_rows,
                    row_bytes,
                    (predictor, sample_bytes),
                )?
            };
            page.write_tag(Tag::ImageWidth, width)?;
            page.write_tag(Tag::ImageLength, height)?;
            page.write_tag(Tag::BitsPerSample, stack.container_bits() as u16)?;
            page.write_tag(Tag::Compression, self.compression.tag())?;
            page.write_tag(
                Tag::PhotometricInterpretation,
                u16::from(!stack.white_is_zero()),
            )?;
            page.write_tag(Tag::SamplesPerPixel, 1_u16)?;
            page.write_tag(Tag::SampleFormat, sample_format(stack.sample_type()))?;
            page.write_tag(Tag::RowsPerStrip, u32::try_from(strip_rows)?)?;
            if predictor != Predictor::None {
                page.write_tag(Tag::Predictor, predictor.tag())?;
            }
            write_table(&mut page, Tag::StripOffsets, offsets)?;
            write_table(&mut page, Tag::StripByteCounts, counts)?;
            if let Some([x, y]) = resolution {
                let rational = |(n, d)| Rational { n, d };
                page.write_tag(Tag::XResolution, rational(x))?;
                page.write_tag(Tag::YResolution, rational(y))?;
                page.write_tag(Tag::ResolutionUnit, Resolution::CENTIMETRE)?;
            }
            if let (Some(text), 0) = (&self.description, plane) {
                page.write_tag(Tag::ImageDescription, Text(text))?;
            }
            page.finish()?;
        }
        Ok(())
    }

    fn predictor(&self, sample_type: SampleType) -> Predictor {
        match (self.compression, sample_type) {
            (Compression::None | Compression::PackBits, _) => Predictor::None,
            (_, SampleType::F16 | SampleType::F32 | SampleType::F64) => Predictor::FloatingPoint,
            _ => Predictor::Horizontal,
        }
    }

    /// Compresses the strips of a plane side by side and writes them one after the other; gives their
    /// offsets and lengths.
    fn write_strips<W: Write + Seek, K: TiffKind>(
        &self,
        page: &mut DirectoryEncoder<'_, W, K>,
        samples: &[u8],
        strip_rows: usize,
        row_bytes: usize,
        (predictor, sample_bytes): (Predictor, usize),
    ) -> Result<(Vec<u64>, Vec<u64>), Fault> {
        // Words, so that samples of any type are aligned.
        let scratch = || {
            let words = vec![0_u64; (strip_rows * row_bytes).div_ceil(size_of::<u64>())];
            Ok((Encoder::new(self.compression)?, words))
        };
        let strip = |scratch: &mut Result<(Encoder, Vec<u64>), CodecError>, bytes: &[u8]| {
            let (encoder, words) = scratch.as_mut().map_err(|error| error.clone())?;
            if predictor == Predictor::None {
                return encoder.encode(bytes, row_bytes);
            }
            let differences = &mut bytemuck::cast_slice_mut(words)[..bytes.len()];
            differences.copy_from_slice(bytes);
            predictor.apply(differences, row_bytes, sample_bytes);
            encoder.encode(differences, row_bytes)
        };
        let strips: Result<Vec<Vec<u8>>, CodecError> = samples
            .par_chunks(strip_rows * row_bytes)
            .map_init(scratch, strip)
            .collect();
        let (mut offsets, mut counts) = (Vec::new(), Vec::new());
        for strip in strips? {
            offsets.push(page.write_data(strip.as_slice())?);
            counts.push(strip.len() as u64);
        }
        Ok((offsets, counts))
    }
}

/// Accepts texts that, read back, describe `stack`, and those that describe none.
fn check_description(
    text: &str,
    stack: &FocalStack,
    resolution: Option<[(u32, u32); 2]>,
) -> Result<(), ParamError> {
    let refuse = |got: String, rule| Err(ParamError::new("description", got, rule));
    let (planes, rows, columns) = stack.dim();
    let page = PageContext {
        rows: rows as u64,
        columns: columns as u64,
        samples_per_pixel: 1,
        resolution: resolution.map(|[x, y]| Resolution {
            x: f64::from(x.0) / f64::from(x.1),
            y: f64::from(y.0) / f64::from(y.1),
            unit: Resolution::CENTIMETRE.into(),
        }),
    };
    let described = match metadata::parse(text, &page) {
        Ok(Some(described)) => described,
        Ok(None) => return Ok(()),
        Err(error) => return refuse(error.to_string(), "one that can be read back"),
    };
    let lengths = described.axes.map(|(_, length)| length);
    let axes = lengths.into_iter().filter(|&length| length > 1).count();
    if described.pages != planes as u64 || axes > 1 || !described.placed.is_empty() {
        let got = format!("one of {lengths:?} planes, channels or frames");
        return refuse(got, "one of the planes of the stack, in their order");
    }
    let like = |a: PixelSize, b: PixelSize| {
        (a.x / b.x - 1.0).abs() < 1e-6 && (a.y / b.y - 1.0).abs() < 1e-6
    };
    match (described.pixel_size, stack.pixel_size()) {
        (None, _) => Ok(()),
        (Some(said), Some(size)) if like(said, size) => Ok(()),
        (Some(PixelSize { x, y }), _) => {
            let got = format!("one of pixels of {x} × {y} µm");
            refuse(got, "one of the pixel size of the stack")
        }
    }
}

/// Writes a table of offsets or lengths, which fit 32 bits unless the file is BigTIFF.
fn write_table<W: Write + Seek, K: TiffKind>(
    page: &mut DirectoryEncoder<'_, W, K>,
    tag: Tag,
    values: Vec<u64>,
) -> Result<(), Fault> {
    let narrow: Result<Vec<u32>, _> = values.iter().map(|&value| u32::try_from(value)).collect();
    match narrow {
        Ok(values) => page.write_tag(tag, values.as_slice())?,
        Err(_) => page.write_tag(tag, values.as_slice())?,
    }
    Ok(())
}

fn sample_format(sample_type: SampleType) -> u16 {
    match sample_type {
        SampleType::U8 | SampleType::U16 | SampleType::U32 => 1,
        SampleType::I8 | SampleType::I16 | SampleType::I32 => 2,
        SampleType::F16 | SampleType::F32 | SampleType::F64 => 3,
    }
}

/// Pixels a centimetre, as fractions.
fn resolution(size: PixelSize) -> Result<[(u32, u32); 2], ParamError> {
    const MICROMETRES: f64 = 1e4;
    let fraction = |size: f64| {
        fraction(MICROMETRES / size)
            .ok_or_else(|| ParamError::new("pixel size", size, "between 3 pm and 40 m"))
    };
    Ok([fraction(size.x)?, fraction(size.y)?])
}

/// The last convergent of the continued fraction of `value` that fits; `None` for what is not near
/// any fraction.
fn fraction(value: f64) -> Option<(u32, u32)> {
    let (mut before, mut last) = ((0_u64, 1_u64), (1_u64, 0_u64));
    let mut rest = value;
    for _ in 0..40 {
        let whole = rest.floor();
        if whole > f64::from(u32::MAX) {
            break;
        }
        let whole = whole as u64;
        let next = (whole * last.0 + before.0, whole * last.1 + before.1);
        if next.0.max(next.1) > u32::MAX.into() {
            break;
        }
        (before, last) = (last, next);
        if rest == rest.floor() {
            break;
        }
        rest = 1.0 / (rest - rest.floor());
    }
    let (numerator, denominator) = (u32::try_from(last.0).ok()?, u32::try_from(last.1).ok()?);
    let found = f64::from(numerator) / f64::from(denominator);
    ((found / value - 1.0).abs() < 1e-9).then_some((numerator, denominator))
}

/// Text with its closing NUL, in UTF-8.
struct Text<'a>(&'a str);

impl TiffValue for Text<'_> {
    const BYTE_LEN: u8 = 1;
    const FIELD_TYPE: Type = Type::ASCII;

    fn count(&self) -> usize {
        self.0.len() + 1
    }

    fn data(&self) -> Cow<'_, [u8]> {
        [self.0.as_bytes(), &[0]].concat().into()
    }
}

/// What can go wrong on the way to the file.
#[derive(Debug)]
enum Fault {
    Tiff(TiffError),
    Codec(CodecError),
}

impl From<TiffError> for Fault {
    fn from(error: TiffError) -> Self {
        Self::Tiff(error)
    }
}

impl From<CodecError> for Fault {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

impl From<TryFromIntError> for Fault {
    fn from(error: TryFromIntError) -> Self {
        Self::Tiff(error.into())
    }
}

impl Fault {
    fn of(self, path: &Path) -> ImagingError {
        let path = path.to_owned();
        match self {
            Self::Tiff(TiffError::IoError(source)) => CoreError::Io {
                path,
                action: "write",
                source,
            }
            .into(),
            Self::Tiff(source) => ImagingError::Encode {
                path,
                source: source.into(),
            },
            Self::Codec(source) => ImagingError::Encode {
                path,
                source: source.into(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Samples, StackReader, f16, read_stack};
    use ndarray::{Array, Array3};
    use proptest::prelude::*;

    fn round_trip(stack: &FocalStack) -> FocalStack {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stack.tif");
        write_stack(&path, stack).unwrap();
        read_stack(&[path], &Limits::default()).unwrap()
    }

    #[test]
    fn every_tone_survives() {
        let all = Array::from_iter(0..=u16::MAX)
            .into_shape_with_order((4, 128, 128))
            .unwrap();
        let stack = FocalStack::new(Samples::U16(all)).unwrap();
        assert_eq!(round_trip(&stack), stack);
        let all = Array::from_iter(0..=u8::MAX)
            .into_shape_with_order((1, 1, 256))
            .unwrap();
        let stack = FocalStack::new(Samples::U8(all)).unwrap();
        assert_eq!(round_trip(&stack), stack);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"x").unwrap();
        let stack = FocalStack::new(Samples::U8(Array3::zeros((1, 1, 1)))).unwrap();
        let error = write_stack(&file.join("below/stack.tif"), &stack).unwrap_err();
        assert!(
            matches!(error, ImagingError::Core(CoreError::Io { .. })),
            "{error:?}"
        );
        assert!(error.to_string().contains("stack.tif"), "{error}");
    }

    /// The same noise as samples of every type.
    fn stacks(shape: (usize, usize, usize)) -> Vec<FocalStack> {
        let mut state = 5_u64;
        let noise = Array3::from_shape_simple_fn(shape, || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            state >> 20
        });
        [
            Samples::U8(noise.mapv(|v| v as u8)),
            Samples::I8(noise.mapv(|v| v as i8)),
            Samples::U16(noise.mapv(|v| v as u16)),
            Samples::I16(noise.mapv(|v| v as i16)),
            Samples::U32(noise.mapv(|v| v as u32)),
            Samples::I32(noise.mapv(|v| v as i32)),
            Samples::F16(noise.mapv(|v| f16::from_f32(v as u16 as f32 / 7e4))),
            Samples::F32(noise.mapv(|v| v as i32 as f32 * 1e-3)),
            Samples::F64(noise.mapv(|v| v as f64 * 1e-3)),
        ]
        .map(|samples| FocalStack::new(samples).unwrap())
        .to_vec()
    }

    #[test]
    fn every_type_survives_every_compression() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stack.tif");
        // The second shape takes several strips.
        for shape in [(3, 5, 7), (2, 150, 1000)] {
            for stack in stacks(shape) {
                for compression in Compression::ALL {
                    let writer = TiffWriter {
                        compression,
                        description: None,
                    };
                    writer.write(&path, &stack).unwrap();
                    let reader =
                        StackReader::open(std::slice::from_ref(&path), &Limits::default()).unwrap();
                    assert_eq!(reader.info().compression, compression);
                    assert!(
                        reader.read().unwrap() == stack,
                        "{} {compression}",
                        stack.sample_type()
                    );
                }
            }
        }
    }

    #[test]
    fn another_decoder_reads_the_same() {
        use tiff::decoder::{Decoder, DecodingResult};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stack.tif");
        let mut read = 0;
        for stack in stacks((2, 150, 1000)) {
            for compression in [Compression::None, Compression::Lzw, Compression::Deflate] {
                let writer = TiffWriter {
                    compression,
                    description: Some("ö".into()),
                };
                writer.write(&path, &stack).unwrap();
                let mut decoder = Decoder::new(std::fs::File::open(&path).unwrap()).unwrap();
                for plane in 0..2 {
                    decoder.seek_to_image(plane).unwrap();
                    let plane = |expected: &[u8]| {
                        expected[plane * expected.len() / 2..][..expected.len() / 2].to_vec()
                    };
                    let expected = with_samples!(stack.samples(), array => {
                        plane(bytemuck::cast_slice(array.as_slice().unwrap()))
                    });
                    let found = decoder.read_image().unwrap();
                    let found: &[u8] = match &found {
                        DecodingResult::U8(found) => found,
                        DecodingResult::I8(found) => bytemuck::cast_slice(found),
                        DecodingResult::U16(found) => bytemuck::cast_slice(found),
                        DecodingResult::I16(found) => bytemuck::cast_slice(found),
                        DecodingResult::U32(found) => bytemuck::cast_slice(found),
                        DecodingResult::I32(found) => bytemuck::cast_slice(found),
                        DecodingResult::F16(found) => bytemuck::cast_slice(found),
                        DecodingResult::F32(found) => bytemuck::cast_slice(found),
                        DecodingResult::F64(found) => bytemuck::cast_slice(found),
                        other => panic!("{other:?}"),
                    };
                    assert!(found == expected, "{} {compression}", stack.sample_type());
                    read += 1;
                }
            }
        }
        assert_eq!(read, 9 * 3 * 2);
    }

    #[test]
    fn size_polarity_and_description_survive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stack.tif");
        for side in [0.65, 1.0 / 3.0, 4.322_949_445_628_333, 1e-3, 250.0] {
            let size = PixelSize::new(side, side * 1.1).unwrap();
            let stack = stacks((1, 2, 3))[2]
                .clone()
                .with_pixel_size(Some(size))
                .with_white_is_zero(true);
            let description = Some("12 µm below focus".to_owned());
            let compression = Compression::None;
            TiffWriter {
                compression,
                description: description.clone(),
            }
            .write(&path, &stack)
            .unwrap();
            let reader =
                StackReader::open(std::slice::from_ref(&path), &Limits::default()).unwrap();
            assert_eq!(reader.info().description, description);
            let found = reader.read().unwrap();
            assert!(found.white_is_zero());
            let found = found.pixel_size().unwrap();
            assert!((found.x / size.x - 1.0).abs() < 1e-9, "{found:?} {size:?}");
            assert!((found.y / size.y - 1.0).abs() < 1e-9, "{found:?} {size:?}");
        }
    }

    #[test]
    fn a_description_of_another_stack_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stack.tif");
        let plain = stacks((3, 5, 7))[2].clone();
        let calibrated = plain
            .clone()
            .with_pixel_size(Some(PixelSize::square(0.65).unwrap()));
        let ome = |sizes: &str| {
            format!(
                r#"<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><Pixels
                SizeX="7" SizeY="5" {sizes}/></Image></OME>"#
            )
        };
        let microns = "ImageJ=1.54f\nimages=3\nslices=3\nunit=micron\n".to_owned();
        let three = ome(r#"SizeZ="3" SizeC="1" SizeT="1""#);
        let sized =
            ome(r#"SizeZ="3" SizeC="1" SizeT="1" PhysicalSizeX="0.65" PhysicalSizeY="0.65""#);
        for (stack, description, sound) in [
            (
                &plain,
                "ImageJ=1.54f\nimages=3\nslices=3\n".to_owned(),
                true,
            ),
            (&plain, microns.clone(), true),
            // Its pixels would be counted in centimetres.
            (&calibrated, microns, false),
            (
                &plain,
                "ImageJ=1.54f\nimages=4\nslices=4\n".to_owned(),
                false,
            ),
            (
                &plain,
                "ImageJ=1.54f\nimages=3\nslices=2\n".to_owned(),
                false,
            ),
            (&plain, three.clone(), true),
            (&calibrated, three, true),
            (&calibrated, sized.clone(), true),
            (&plain, sized, false),
            (&plain, ome(r#"SizeZ="1" SizeC="1" SizeT="1""#), false),
            (&plain, r#"{"shape": [3, 5, 7]}"#.to_owned(), true),
            (&plain, r#"{"shape": [6, 5, 7]}"#.to_owned(), false),
            (&plain, "ImageJ and OME are programs".to_owned(), true),
        ] {
            let writer = TiffWriter {
                description: Some(description.clone()),
                ..TiffWriter::default()
            };
            match writer.write(&path, stack) {
                Ok(()) if sound => {
                    let found = read_stack(std::slice::from_ref(&path), &Limits::default());
                    assert_eq!(found.unwrap().samples(), stack.samples(), "{description}");
                }
                Err(ImagingError::Param(_)) if !sound => {}
                result => panic!("{description}: {result:?}"),
            }
        }
        // Six pages of two channels would have to be told apart.
        let six = stacks((6, 5, 7))[2].clone();
        let writer = TiffWriter {
            description: Some("ImageJ=1.54f\nimages=6\nchannels=2\nslices=3\n".to_owned()),
            ..TiffWriter::default()
        };
        assert!(matches!(
            writer.write(&path, &six),
            Err(ImagingError::Param(_))
        ));
    }

    #[test]
    fn what_tiff_cannot_hold_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stack.tif");
        let stack = &stacks((1, 2, 3))[0];
        let writer = TiffWriter {
            description: Some("a\0b".into()),
            ..TiffWriter::default()
        };
        assert!(matches!(
            writer.write(&path, stack),
            Err(ImagingError::Param(_))
        ));
        let tiny = stack
            .clone()
            .with_pixel_size(Some(PixelSize::square(1e-9).unwrap()));
        assert!(matches!(
            write_stack(&path, &tiny),
            Err(ImagingError::Param(_))
        ));
        assert!(!path.exists());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn reading_gives_back_what_was_written(
            (planes, rows, columns) in (1_usize..5, 1_usize..20, 1_usize..20),
            seed in any::<u16>(),
        ) {
            let samples = Array::from_shape_fn((planes, rows, columns), |(p, r, c)| {
                seed.wrapping_mul(31).wrapping_add((p * 7919 + r * 104_729 + c * 1299) as u16)
            });
            let stack = FocalStack::new(Samples::U16(samples)).unwrap();
            prop_assert_eq!(round_trip(&stack), stack);
        }
    }
}
