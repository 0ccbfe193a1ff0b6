use super::{
    Fault, Limits,
    directory::{Directory, tag},
    source::Source,
};
use crate::{
    SampleType,
    codec::{ByteOrder, Compression, Predictor},
    metadata::Resolution,
};

/// One page of a file that can be read whole and unchanged: where its samples are, and in what form.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// Position in the file, from 1.
    pub(crate) number: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Type that the samples have in memory.
    pub(crate) sample_type: SampleType,
    /// Bits of a sample in the file, which may be fewer.
    pub(crate) bits: u32,
    /// Samples of a pixel.
    pub(crate) channels: usize,
    /// Whether the channels are those of a colour picture.
    pub(crate) rgb: bool,
    /// Whether each channel has chunks of its own.
    pub(crate) planar: bool,
    pub(crate) white_is_zero: bool,
    pub(crate) byte_order: ByteOrder,
    pub(crate) compression: Compression,
    pub(crate) predictor: Predictor,
    /// Whether the bits of each byte are stored from the lowest up.
    pub(crate) bits_reversed: bool,
    /// Size of a chunk, which is a strip or a tile. The last strip may have fewer rows, tiles never.
    pub(crate) chunk_rows: usize,
    pub(crate) chunk_columns: usize,
    pub(crate) tiled: bool,
    /// Offset and length of each chunk; by channel where planar, then by row, then by column.
    pub(crate) chunks: Vec<(u64, u64)>,
}

/// What a directory is for.
pub(crate) enum Role {
    Plane,
    ThumbnailOrMask,
}

impl Role {
    pub(crate) fn of(source: &Source, directory: &Directory) -> Result<Self, Fault> {
        const REDUCED: u64 = 1;
        const MASK: u64 = 4;
        /// Of the older tag: reduced resolution.
        const OLD_REDUCED: u64 = 2;
        let kind = directory.first(source, tag::NEW_SUBFILE_TYPE)?.unwrap_or(0);
        let old_kind = directory.first(source, tag::SUBFILE_TYPE)?.unwrap_or(0);
        Ok(if kind & (REDUCED | MASK) != 0 || old_kind == OLD_REDUCED {
            Self::ThumbnailOrMask
        } else {
            Self::Plane
        })
    }
}

const TYPES: &str = "export unsigned, signed or floating-point grey of 2 to 32 bits, or float64";
const CODES: &str = "export it plain or with LZW, Deflate, PackBits or Zstandard compression";

impl Page {
    /// Interprets the directory of page `number`, counted from 1, which may have `most_chunks` strips or
    /// tiles.
    pub(crate) fn of(
        source: &Source,
        directory: &Directory,
        byte_order: ByteOrder,
        number: usize,
        limits: &Limits,
        most_chunks: u64,
    ) -> Result<Self, Fault> {
        let first = |tag| directory.first(source, tag);
        let side = |tag, name: &str| match first(tag)? {
            Some(side @ 1..=0xFFFF_FFFF) => Ok(side),
            Some(side) => Err(Fault::damaged(format!("{name} is {side}"))),
            None => Err(Fault::damaged(format!("{name} is missing"))),
        };
        let columns = side(tag::IMAGE_WIDTH, "ImageWidth")?;
        let rows = side(tag::IMAGE_LENGTH, "ImageLength")?;
        // The product of two 32-bit numbers.
        let pixels = rows * columns;
        if pixels > limits.max_pixels_per_plane {
            return Err(Fault::Limit {
                limit: "pixels a plane",
                needed: pixels,
                allowed: limits.max_pixels_per_plane,
            });
        }

        for (tag, name) in [
            (tag::IMAGE_DEPTH, "ImageDepth"),
            (tag::TILE_DEPTH, "TileDepth"),
        ] {
            if let Some(depth) = first(tag)?.filter(|&depth| depth > 1) {
                let what = format!("a page of {depth} planes ({name}) is");
                return Err(Fault::unsupported(what, "export one page a plane"));
            }
        }
        let code = first(tag::COMPRESSION)?.unwrap_or(1);
        let compression = Compression::from_tag(code).ok_or_else(|| {
            let name = match code {
                2..=4 => "CCITT fax",
                6 | 7 => "JPEG",
                9 | 10 => "JBIG",
                32_809 => "ThunderScan",
                34_676 | 34_677 => "SGI Log",
                34_712 | 33_003..=33_005 => "JPEG 2000",
                34_887 => "LERC",
                34_925 => "LZMA",
                34_933 => "PNG",
                34_934 | 22_610 => "JPEG XR",
                50_001 => "WebP",
                50_002 | 52_546 => "JPEG XL",
                _ => "unknown",
            };
            Fault::unsupported(format!("{name} compression (code {code}) is"), CODES)
        })?;
        let (channels, rgb, white_is_zero) = pixel_layout(source, directory)?;
        let (sample_type, bits) = sample_layout(source, directory, channels)?;

        let code = first(tag::PREDICTOR)?.unwrap_or(1);
        let packed = bits != sample_type.bits();
        let floating = matches!(
            sample_type,
            SampleType::F16 | SampleType::F32 | SampleType::F64
        );
        let predictor = match Predictor::from_tag(code) {
            // Without compression the tag has no meaning, as libtiff and others have it.
            _ if compression == Compression::None => Predictor::None,
            Some(Predictor::None) => Predictor::None,
            // libtiff passes over the tag, tifffile does not.
            Some(_) if compression == Compression::PackBits => {
                let what = "a predictor with PackBits compression is".to_owned();
                return Err(Fault::unsupported(what, "export it without predictor"));
            }
            Some(Predictor::Horizontal) if !packed => Predictor::Horizontal,
            Some(Predictor::FloatingPoint) if floating => Predictor::FloatingPoint,
            Some(_) => {
                let what = format!("predictor {code} on {bits}-bit {sample_type} samples is");
                return Err(Fault::unsupported(what, "export it without predictor"));
            }
            None => {
                let what = format!("predictor {code} is");
                return Err(Fault::unsupported(what, "export it without predictor"));
            }
        };
        let planar = channels > 1
            && match first(tag::PLANAR_CONFIGURATION)?.unwrap_or(1) {
                1 => false,
                2 => true,
                n => return Err(Fault::damaged(format!("PlanarConfiguration is {n}"))),
            };
        let bits_reversed = match first(tag::FILL_ORDER)?.unwrap_or(1) {
            1 => false,
            2 => true,
            n => return Err(Fault::damaged(format!("FillOrder is {n}"))),
        };

        let mut page = Self {
            number,
            rows: usize_of(rows)?,
            columns: usize_of(columns)?,
            sample_type,
            bits,
            channels,
            rgb,
            planar,
            white_is_zero,
            byte_order,
            compression,
            predictor,
            bits_reversed,
            chunk_rows: 0,
            chunk_columns: 0,
            tiled: directory.has(tag::TILE_WIDTH) || directory.has(tag::TILE_OFFSETS),
            chunks: Vec::new(),
        };
        page.find_chunks(source, directory, limits, most_chunks)?;
        Ok(page)
    }

    fn find_chunks(
        &mut self,
        source: &Source,
        directory: &Directory,
        limits: &Limits,
        most_chunks: u64,
    ) -> Result<(), Fault> {
        let (offsets, counts) = if self.tiled {
            let side = |tag, name: &str| match directory.first(source, tag)? {
                Some(side @ 1..=0xFFFF_FFFF) => usize_of(side),
                side => Err(Fault::damaged(format!(
                    "{name} is {}",
                    side.unwrap_or_default()
                ))),
            };
            self.chunk_columns = side(tag::TILE_WIDTH, "TileWidth")?;
            self.chunk_rows = side(tag::TILE_LENGTH, "TileLength")?;
            // Old writers keep the tables of tiles under the tags of strips.
            if directory.has(tag::TILE_OFFSETS) {
                (tag::TILE_OFFSETS, tag::TILE_BYTE_COUNTS)
            } else {
                (tag::STRIP_OFFSETS, tag::STRIP_BYTE_COUNTS)
            }
        } else {
            let rows = directory
                .first(source, tag::ROWS_PER_STRIP)?
                .filter(|&rows| rows > 0)
                .map_or(self.rows, |rows| {
                    usize::try_from(rows).unwrap_or(usize::MAX).min(self.rows)
                });
            self.chunk_columns = self.columns;
            self.chunk_rows = rows;
            (tag::STRIP_OFFSETS, tag::STRIP_BYTE_COUNTS)
        };
        let sample_bytes = self.sample_type.bits() as usize / 8;
        let chunk_bytes = [
            self.chunk_rows,
            self.chunk_columns,
            self.chunk_channels(),
            sample_bytes,
        ]
        .into_iter()
        .try_fold(1_usize, |product, n| product.checked_mul(n))
        .filter(|&bytes| isize::try_from(bytes).is_ok());
        if chunk_bytes.is_none_or(|bytes| bytes as u64 > limits.max_bytes.max(1 << 16)) {
            return Err(Fault::Limit {
                limit: "bytes a strip or tile",
                needed: chunk_bytes.map_or(u64::MAX, |bytes| bytes as u64),
                allowed: limits.max_bytes,
            });
        }

        let product = |sides: &[usize]| {
            let sides = sides.iter().map(|&n| n as u64);
            sides.fold(1_u64, u64::saturating_mul)
        };
        let (down, across) = (self.chunks_down(), self.chunks_across());
        let expected = product(&[down, across, self.channel_groups()]);
        // Every sample of a pixel counts: what is kept of a strip grows with them.
        if product(&[down, across, self.channels]) > most_chunks {
            let most = Limits::MAX_CHUNKS;
            return Err(Fault::damaged(format!(
                "the stack has more than {most} strips and tiles"
            )));
        }
        // Tiles reach beyond the page, but not so far that decoding them takes no end.
        let covered = product(&[down, self.chunk_rows, across, self.chunk_columns]);
        let pixels = product(&[self.rows, self.columns]);
        if covered > pixels.saturating_mul(4).saturating_add(1 << 24) {
            return Err(Fault::damaged(format!(
                "its tiles cover {covered} pixels, and the page has {pixels}"
            )));
        }
        let table = |tag, name: &str| {
            let values = directory
                .unsigned(source, tag, expected)?
                .ok_or_else(|| Fault::damaged(format!("{name} is missing")))?;
            if (values.len() as u64) < expected {
                let found = values.len();
                return Err(Fault::damaged(format!(
                    "{name} has {found} entries, expected {expected}"
                )));
            }
            Ok(values)
        };
        let offsets = table(offsets, "the table of offsets")?;
        // Old writers leave the lengths out where they follow from the size.
        let counts = if directory.has(counts) {
            table(counts, "the table of byte counts")?
        } else if self.compression == Compression::None {
            let length = |chunk| self.stored_rows(chunk) * self.chunk_row_bytes();
            (0..offsets.len())
                .map(|chunk| length(chunk) as u64)
                .collect()
        } else {
            return Err(Fault::damaged("the table of byte counts is missing".into()));
        };
        self.chunks = offsets.into_iter().zip(counts).collect();
        Ok(())
    }

    /// The same page with one strip for all rows, or one a channel where these are apart, if its
    /// samples are stored plainly and without a gap.
    pub(crate) fn in_one_piece(&self) -> Option<Self> {
        if self.compression != Compression::None || self.tiled {
            return None;
        }
        let start = self.chunks.first()?.0;
        let mut end = start;
        for (chunk, &(offset, _)) in self.chunks.iter().enumerate() {
            if offset != end {
                return None;
            }
            end = end.checked_add((self.stored_rows(chunk) * self.chunk_row_bytes()) as u64)?;
        }
        let groups = self.channel_groups() as u64;
        let bytes = (end - start) / groups;
        Some(Self {
            chunk_rows: self.rows,
            chunks: (0..groups)
                .map(|group| (start + group * bytes, bytes))
                .collect(),
            ..self.clone()
        })
    }

    /// Bytes of all strips and tiles in the file.
    pub(crate) fn stored_bytes(&self) -> u64 {
        let counts = self.chunks.iter().map(|&(_, count)| count);
        counts.fold(0, u64::saturating_add)
    }

    /// The page whose samples lie `offset` bytes further on: the next plane of a stack that has one
    /// directory for all planes.
    pub(crate) fn shifted(&self, offset: u64) -> Option<Self> {
        let shift = |&(at, count): &(u64, u64)| Some((at.checked_add(offset)?, count));
        Some(Self {
            chunks: self.chunks.iter().map(shift).collect::<Option<_>>()?,
            ..self.clone()
        })
    }

    /// Number of planes that the page becomes: one for a grey picture in RGB, else one a sample.
    pub(crate) fn planes(&self) -> usize {
        if self.rgb { 1 } else { self.channels }
    }

    pub(crate) fn chunks_across(&self) -> usize {
        self.columns.div_ceil(self.chunk_columns)
    }

    pub(crate) fn chunks_down(&self) -> usize {
        self.rows.div_ceil(self.chunk_rows)
    }

    /// How many times the page is stored, once for each channel where these are apart.
    fn channel_groups(&self) -> usize {
        if self.planar { self.channels } else { 1 }
    }

    /// Samples of a pixel within a chunk.
    pub(crate) fn chunk_channels(&self) -> usize {
        if self.planar { 1 } else { self.channels }
    }

    /// Whether samples in the file are narrower than in memory.
    pub(crate) fn packed(&self) -> bool {
        self.bits != self.sample_type.bits()
    }

    /// Bytes of a row of a chunk in the file, rows being padded to whole bytes.
    pub(crate) fn chunk_row_bytes(&self) -> usize {
        self.packed_row_bytes(self.chunk_columns)
            .expect("checked when the page was read")
    }

    /// Bytes of the samples of a chunk in memory.
    pub(crate) fn chunk_bytes(&self) -> usize {
        let samples = self.chunk_rows * self.chunk_columns * self.chunk_channels();
        samples * (self.sample_type.bits() as usize / 8)
    }

    fn packed_row_bytes(&self, columns: usize) -> Option<usize> {
        let bits = columns
            .checked_mul(self.chunk_channels())?
            .checked_mul(self.bits as usize)?;
        Some(bits.div_ceil(8))
    }

    /// Number of rows that chunk `index` of the table holds.
    pub(crate) fn stored_rows(&self, index: usize) -> usize {
        if self.tiled {
            return self.chunk_rows;
        }
        let row = index % self.chunks_down() * self.chunk_rows;
        self.chunk_rows.min(self.rows - row)
    }
}

/// Number of samples of a pixel, whether they are a colour, and whether 0 is white.
fn pixel_layout(source: &Source, directory: &Directory) -> Result<(usize, bool, bool), Fault> {
    const MAX_CHANNELS: u64 = 256;
    const GREY: &str = "export grey, or RGB whose channels are equal";
    let channels = directory
        .first(source, tag::SAMPLES_PER_PIXEL)?
        .unwrap_or(1);
    if !(1..=MAX_CHANNELS).contains(&channels) {
        let what = format!("SamplesPerPixel is {channels}, expected 1 to {MAX_CHANNELS}");
        return Err(Fault::damaged(what));
    }
    const ASSOCIATED_ALPHA: u64 = 1;
    const UNASSOCIATED_ALPHA: u64 = 2;
    let extra = directory
        .unsigned(source, tag::EXTRA_SAMPLES, channels)?
        .unwrap_or_default();
    if extra
        .iter()
        .any(|&kind| kind == ASSOCIATED_ALPHA || kind == UNASSOCIATED_ALPHA)
    {
        let what = format!("{channels} samples a pixel with transparency are");
        return Err(Fault::unsupported(what, GREY));
    }
    let photometric = directory.first(source, tag::PHOTOMETRIC)?;
    let name = match photometric {
        Some(0) => return Ok((channels as usize, false, true)),
        Some(1) | None => return Ok((channels as usize, false, false)),
        Some(2) if channels == 3 => return Ok((3, true, false)),
        Some(2) => "RGB",
        Some(3) => "palette",
        Some(4) => "mask",
        Some(5) => "CMYK",
        Some(6) => "YCbCr",
        Some(8..=10) => "CIE L*a*b*",
        Some(32_803) => "colour filter array",
        Some(32_844 | 32_845) => "LogLuv",
        Some(_) => "unknown",
    };
    let what = format!("{name} pixels with {channels} samples are");
    Err(Fault::unsupported(what, GREY))
}

/// Type of the samples in memory and their bits in the file.
fn sample_layout(
    source: &Source,
    directory: &Directory,
    channels: usize,
) -> Result<(SampleType, u32), Fault> {
    let of_all = |tag, default, name: &str| -> Result<u64, Fault> {
        let Some(values) = directory.unsigned(source, tag, channels as u64)? else {
            return Ok(default);
        };
        match values.split_first() {
            Some((&first, others)) if others.iter().all(|&other| other == first) => Ok(first),
            _ => {
                let what = format!("{name} that differs between the samples of a pixel is");
                Err(Fault::unsupported(what, TYPES))
            }
        }
    };
    let bits = of_all(tag::BITS_PER_SAMPLE, 1, "BitsPerSample")?;
    let format = of_all(tag::SAMPLE_FORMAT, 1, "SampleFormat")?;
    // An untyped sample (format 4) is read as an unsigned one, as libtiff does.
    let sample_type = match (format, bits) {
        (1 | 4, 2..=8) => SampleType::U8,
        (1 | 4, 9..=16) => SampleType::U16,
        (1 | 4, 17..=32) => SampleType::U32,
        (2, 8) => SampleType::I8,
        (2, 16) => SampleType::I16,
        (2, 32) => SampleType::I32,
        (3, 16) => SampleType::F16,
        (3, 32) => SampleType::F32,
        (3, 64) => SampleType::F64,
        _ => {
            let name = match format {
                1 => "unsigned integer",
                2 => "signed integer",
                3 => "floating-point",
                4 => "untyped",
                5 | 6 => "complex",
                _ => "unknown",
            };
            let what = format!("{bits}-bit {name} samples are");
            return Err(Fault::unsupported(what, TYPES));
        }
    };
    Ok((sample_type, bits as u32))
}

/// The tags XResolution, YResolution and ResolutionUnit.
pub(crate) fn resolution(
    source: &Source,
    directory: &Directory,
) -> Result<Option<Resolution>, Fault> {
    let x = directory.rational(source, tag::X_RESOLUTION)?;
    let y = directory.rational(source, tag::Y_RESOLUTION)?;
    let unit = directory.first(source, tag::RESOLUTION_UNIT)?.unwrap_or(2);
    Ok(x.zip(y).map(|(x, y)| Resolution { x, y, unit }))
}

fn usize_of(number: u64) -> Result<usize, Fault> {
    usize::try_from(number)
        .map_err(|_| Fault::damaged(format!("{number} is more than this machine can address")))
}
