use std::{ops::Range, path::Path};

use bytemuck::cast_slice_mut;
use ndarray::Array3;
use rayon::prelude::*;

use super::{Fault, Region, page::Page, source::Source};
use crate::{
    ImagingError, Sample,
    codec::{self, Compression, Predictor, packed},
};

/// A page to decode, and what of it.
#[derive(Debug, Clone)]
pub(crate) struct Job<'a> {
    pub(crate) path: &'a Path,
    pub(crate) source: &'a Source,
    pub(crate) page: &'a Page,
    pub(crate) wanted: Wanted,
}

/// The channels of a page that become planes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The only plane of a picture whose channels must be equal.
    Grey,
    /// One plane for each of these samples of a pixel.
    Samples(Vec<usize>),
}

impl Wanted {
    fn planes(&self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Samples(samples) => samples.len(),
        }
    }
}

/// Rows of a page that are decoded by one thread, all in the same row of chunks.
struct Band<'a, T> {
    job: &'a Job<'a>,
    rows: Range<usize>,
    /// Where the rows go, for each plane.
    out: Vec<&'a mut [T]>,
}

/// Room for what is decoded, kept from band to band.
struct Scratch<T> {
    stored: Vec<u8>,
    unpacked: Vec<u8>,
    samples: Vec<T>,
}

/// Bytes of a plainly stored page that one thread reads at once.
const PLAIN_BAND_BYTES: usize = 1 << 20;
/// Strips and tiles larger than this are decoded one after the other, to bound the memory.
const MAX_PARALLEL_CHUNK_BYTES: usize = 1 << 24;

/// Decodes the rows and columns of `region` of all planes of `jobs`; its planes are those of `jobs`.
///
/// Strips, rows of tiles and parts of plainly stored pages are decoded in parallel, each into its own
/// part of the result. Chunks that the region does not touch are not read.
pub(crate) fn decode<T: Sample>(
    jobs: &[Job<'_>],
    region: &Region,
) -> Result<Array3<T>, ImagingError> {
    let planes = jobs.iter().map(|job| job.wanted.planes()).sum();
    let shape = (planes, region.out_rows(), region.out_columns());
    let plane_length = shape.1 * shape.2;
    let mut samples = zeroed::<T>(planes * plane_length)
        .map_err(|fault| fault.in_page(jobs[0].path, jobs[0].page.number))?;

    let mut bands = Vec::new();
    let mut rest = samples.as_mut_slice();
    for job in jobs {
        let (planes, others) = rest.split_at_mut(job.wanted.planes() * plane_length);
        rest = others;
        let planes = planes.chunks_exact_mut(plane_length).collect();
        cut_into_bands(job, region, planes, &mut bands);
    }

    let large = |job: &Job<'_>| {
        let page = job.page;
        page.compression != Compression::None && page.chunk_bytes() > MAX_PARALLEL_CHUNK_BYTES
    };
    let first_error = if jobs.iter().any(large) {
        let mut scratch = Scratch::new();
        bands
            .into_iter()
            .find_map(|band| band.decode(region, &mut scratch).err())
    } else {
        bands
            .into_par_iter()
            .map_init(Scratch::new, |scratch, band| band.decode(region, scratch))
            .filter_map(Result::err)
            .find_first(|_| true)
    };
    if let Some(error) = first_error {
        return Err(error);
    }
    Ok(Array3::from_shape_vec(shape, samples).expect("as many samples as the shape has"))
}

/// `length` zeros, or an error where there is no memory.
fn zeroed<T: Sample>(length: usize) -> Result<Vec<T>, Fault> {
    bytemuck::allocation::try_zeroed_vec(length).map_err(|()| Fault::Memory {
        bytes: (length as u64).saturating_mul(size_of::<T>() as u64),
    })
}

fn cut_into_bands<'a, T>(
    job: &'a Job<'a>,
    region: &Region,
    mut planes: Vec<&'a mut [T]>,
    bands: &mut Vec<Band<'a, T>>,
) {
    let page = job.page;
    let band_rows = if page.compression == Compression::None && !page.tiled {
        (PLAIN_BAND_BYTES / page.chunk_row_bytes().max(1)).clamp(1, page.chunk_rows)
    } else {
        page.chunk_rows
    };
    let columns = region.out_columns();
    let mut row = region.rows.start;
    while row < region.rows.end {
        let strip = row / page.chunk_rows * page.chunk_rows;
        let end = (row + band_rows - (row - strip) % band_rows)
            .min(strip + page.chunk_rows)
            .min(region.rows.end);
        let count = region.rows_in(row..end).count();
        let out = planes
            .iter_mut()
            .map(|plane| {
                let (band, rest) = std::mem::take(plane).split_at_mut(count * columns);
                *plane = rest;
                band
            })
            .collect();
        if count > 0 {
            let rows = row..end;
            bands.push(Band { job, rows, out });
        }
        row = end;
    }
}

impl<T: Sample> Scratch<T> {
    fn new() -> Self {
        Self {
            stored: Vec::new(),
            unpacked: Vec::new(),
            samples: Vec::new(),
        }
    }
}

impl<T: Sample> Band<'_, T> {
    fn decode(mut self, region: &Region, scratch: &mut Scratch<T>) -> Result<(), ImagingError> {
        let Job { path, page, .. } = *self.job;
        self.decode_channels(region, scratch)
            .map_err(|fault| fault.in_page(path, page.number))
    }

    fn decode_channels(&mut self, region: &Region, scratch: &mut Scratch<T>) -> Result<(), Fault> {
        let page = self.job.page;
        let groups: Vec<usize> = match (&self.job.wanted, page.planar) {
            (_, false) => vec![0],
            (Wanted::Grey, true) => (0..page.channels).collect(),
            (Wanted::Samples(channels), true) => channels.clone(),
        };
        let across = page.chunks_across();
        let strip = self.rows.start / page.chunk_rows;
        let first = region.columns.start / page.chunk_columns;
        let last = (region.columns.end - 1) / page.chunk_columns;
        for group in groups {
            for tile in first..=last {
                let chunk = (group * page.chunks_down() + strip) * across + tile;
                if page.compression == Compression::None {
                    self.read_plain(region, scratch, group, chunk, tile)?;
                } else {
                    self.decompress(region, scratch, group, chunk, tile)?;
                }
            }
        }
        Ok(())
    }

    /// Whether rows of the file and of the result are the same, so that no copy is needed.
    fn direct(&self, region: &Region) -> bool {
        let page = self.job.page;
        !page.tiled
            && page.chunk_channels() == 1
            && matches!(self.job.wanted, Wanted::Samples(_))
            && !page.packed()
            && region.step == 1
            && region.columns == (0..page.columns)
    }

    /// Reads the rows of the band from a chunk that is stored as it is, and no others.
    fn read_plain(
        &mut self,
        region: &Region,
        scratch: &mut Scratch<T>,
        group: usize,
        chunk: usize,
        tile: usize,
    ) -> Result<(), Fault> {
        let Job { source, page, .. } = *self.job;
        let (offset, count) = page.chunks[chunk];
        let row_bytes = page.chunk_row_bytes();
        let expected = (page.stored_rows(chunk) * row_bytes) as u64;
        if count < expected {
            return Err(Fault::damaged(format!(
                "strip or tile {chunk} has {count} bytes, expected {expected}"
            )));
        }
        let at = |row: usize| {
            let within = (row % page.chunk_rows * row_bytes) as u64;
            offset.checked_add(within).ok_or(Fault::Truncated)
        };
        if self.direct(region) {
            let start = at(self.rows.start)?;
            let out = self.target(group);
            let bytes: &mut [u8] = cast_slice_mut(out);
            source.read_at(start, bytes)?;
            if page.bits_reversed {
                packed::reverse_bits(bytes);
            }
            Predictor::None.undo(bytes, row_bytes, 1, size_of::<T>(), page.byte_order);
            return Ok(());
        }

        let tile_columns = tile * page.chunk_columns..(tile + 1) * page.chunk_columns;
        let columns = if page.packed() {
            tile_columns
        } else {
            tile_columns.start.max(region.columns.start)..tile_columns.end.min(region.columns.end)
        };
        let pixel_bytes = size_of::<T>() * page.chunk_channels();
        let skipped = ((columns.start - tile * page.chunk_columns) * pixel_bytes) as u64;
        let samples = columns.len() * page.chunk_channels();
        resize(&mut scratch.samples, samples)?;
        for (out_row, row) in region.rows_in(self.rows.clone()).enumerate() {
            let start = at(row)?;
            if page.packed() {
                resize(&mut scratch.unpacked, row_bytes)?;
                source.read_at(start, &mut scratch.unpacked)?;
                if page.bits_reversed {
                    packed::reverse_bits(&mut scratch.unpacked);
                }
                unpack(page, &scratch.unpacked, 1, &mut scratch.samples);
            } else {
                let bytes: &mut [u8] = cast_slice_mut(&mut scratch.samples);
                let start = start.checked_add(skipped).ok_or(Fault::Truncated)?;
                source.read_at(start, bytes)?;
                if page.bits_reversed {
                    packed::reverse_bits(bytes);
                }
                let length = bytes.len();
                Predictor::None.undo(bytes, length, 1, size_of::<T>(), page.byte_order);
            }
            self.place(region, group, out_row, row, columns.start, &scratch.samples)?;
        }
        Ok(())
    }

    fn decompress(
        &mut self,
        region: &Region,
        scratch: &mut Scratch<T>,
        group: usize,
        chunk: usize,
        tile: usize,
    ) -> Result<(), Fault> {
        let Job { source, page, .. } = *self.job;
        let (offset, count) = page.chunks[chunk];
        if count == 0 {
            return Err(Fault::damaged(format!("strip or tile {chunk} is missing")));
        }
        if !source.holds(offset, count) {
            return Err(Fault::Truncated);
        }
        // No compression makes samples so much longer; what lies behind them is not needed.
        let most = 4 * page.chunk_bytes() as u64 + 4096;
        resize(&mut scratch.stored, count.min(most) as usize)?;
        source.read_at(offset, &mut scratch.stored)?;
        if page.bits_reversed {
            packed::reverse_bits(&mut scratch.stored);
        }

        let rows = page.stored_rows(chunk);
        let row_bytes = page.chunk_row_bytes();
        let channels = page.chunk_channels();
        let inflate = |stored: &[u8], bytes: &mut [u8]| {
            let found = codec::decompress(page.compression, stored, bytes)
                .map_err(|error| Fault::damaged(format!("strip or tile {chunk}: {error}")))?;
            if found == bytes.len() {
                return Ok(());
            }
            let expected = bytes.len();
            Err(Fault::damaged(format!(
                "strip or tile {chunk} holds {found} bytes, expected {expected}"
            )))
        };
        let finish = |bytes: &mut [u8]| {
            let size = size_of::<T>();
            page.predictor
                .undo(bytes, row_bytes, channels, size, page.byte_order);
        };

        if self.direct(region) && self.rows.len() == rows {
            let bytes: &mut [u8] = cast_slice_mut(self.target(group));
            inflate(&scratch.stored, bytes)?;
            finish(bytes);
            return Ok(());
        }
        resize(&mut scratch.samples, rows * page.chunk_columns * channels)?;
        if page.packed() {
            resize(&mut scratch.unpacked, rows * row_bytes)?;
            inflate(&scratch.stored, &mut scratch.unpacked)?;
            unpack(page, &scratch.unpacked, rows, &mut scratch.samples);
        } else {
            let bytes: &mut [u8] = cast_slice_mut(&mut scratch.samples);
            inflate(&scratch.stored, bytes)?;
            finish(bytes);
        }
        let width = page.chunk_columns * channels;
        for (out_row, row) in region.rows_in(self.rows.clone()).enumerate() {
            let start = row % page.chunk_rows * width;
            let samples = &scratch.samples[start..start + width];
            self.place(
                region,
                group,
                out_row,
                row,
                tile * page.chunk_columns,
                samples,
            )?;
        }
        Ok(())
    }

    /// The output of channel `group` of a page whose channels are stored apart, or of its only one.
    fn target(&mut self, group: usize) -> &mut [T] {
        let plane = match &self.job.wanted {
            Wanted::Samples(channels) if self.job.page.planar => channels
                .iter()
                .position(|&channel| channel == group)
                .expect("only wanted channels are decoded"),
            _ => 0,
        };
        self.out[plane]
    }

    /// Copies what the region takes of `row`, whose `samples` begin in column `first_column` and may
    /// lie beyond the page at the end.
    fn place(
        &mut self,
        region: &Region,
        group: usize,
        out_row: usize,
        row: usize,
        first_column: usize,
        samples: &[T],
    ) -> Result<(), Fault> {
        let page = self.job.page;
        let channels = page.chunk_channels();
        let end = (first_column + samples.len() / channels).min(region.columns.end);
        let mut columns = region.columns_in(first_column..end).peekable();
        let Some(&start) = columns.peek() else {
            return Ok(());
        };
        let out_start = (start - region.columns.start) / region.step;
        let out_start = out_row * region.out_columns() + out_start;
        let samples = &samples[(start - first_column) * channels..(end - first_column) * channels];
        let pixels = samples.chunks_exact(channels).step_by(region.step);

        if self.job.wanted == Wanted::Grey {
            let out = &mut self.out[0][out_start..];
            for ((pixel, out), column) in pixels.zip(out).zip(columns) {
                if group == 0 {
                    *out = pixel[0];
                }
                let same = |sample: &T| bytemuck::bytes_of(sample) == bytemuck::bytes_of(out);
                if !pixel.iter().all(same) {
                    let (row, column) = (row + 1, column + 1);
                    return Err(Fault::Colour { row, column });
                }
            }
            return Ok(());
        }
        if channels == 1 {
            let out = &mut self.target(group)[out_start..];
            if region.step == 1 {
                out[..samples.len()].copy_from_slice(samples);
            } else {
                out.iter_mut()
                    .zip(pixels)
                    .for_each(|(out, pixel)| *out = pixel[0]);
            }
            return Ok(());
        }
        let Wanted::Samples(wanted) = &self.job.wanted else {
            unreachable!("grey pictures were placed above")
        };
        for (out, &channel) in self.out.iter_mut().zip(wanted) {
            let out = &mut out[out_start..];
            let pixels = pixels.clone();
            out.iter_mut()
                .zip(pixels)
                .for_each(|(out, pixel)| *out = pixel[channel]);
        }
        Ok(())
    }
}

/// Widens `rows` rows of packed samples to the type that they have in memory.
fn unpack<T: Sample>(page: &Page, bytes: &[u8], rows: usize, samples: &mut [T]) {
    let width = page.chunk_columns * page.chunk_channels();
    let samples = cast_slice_mut(samples);
    packed::unpack(
        bytes,
        page.bits,
        page.byte_order,
        width,
        rows,
        page.chunk_row_bytes(),
        samples,
    );
}

/// Makes `items` of the given length, whatever they hold, or says that there is no memory.
fn resize<T: Sample>(items: &mut Vec<T>, length: usize) -> Result<(), Fault> {
    if items.capacity() < length {
        *items = zeroed(length)?;
    } else {
        items.resize(length, T::zeroed());
    }
    Ok(())
}
