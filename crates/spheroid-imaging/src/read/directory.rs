use super::{Fault, source::Source};
use crate::codec::ByteOrder;

/// Where directories begin and how their numbers are stored.
///
/// # Source
/// *TIFF Revision 6.0*, Adobe 1992, section 2; BigTIFF as libtiff 4 writes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) byte_order: ByteOrder,
    /// BigTIFF: offsets and counts of 64 bits.
    big: bool,
    /// Offset of the first directory; 0 for none.
    pub(crate) first: u64,
}

/// An image file directory: its tags, and where the next directory is.
#[derive(Debug)]
pub(crate) struct Directory {
    byte_order: ByteOrder,
    entries: Vec<Entry>,
    /// Offset of the next directory; 0 for none.
    pub(crate) next: u64,
}

#[derive(Debug)]
struct Entry {
    tag: u16,
    kind: u16,
    count: u64,
    place: Place,
}

/// Where the values of an entry are.
#[derive(Debug)]
enum Place {
    Here([u8; 8]),
    At(u64),
}

/// The tags that are read.
pub(crate) mod tag {
    pub(crate) const NEW_SUBFILE_TYPE: u16 = 254;
    pub(crate) const SUBFILE_TYPE: u16 = 255;
    pub(crate) const IMAGE_WIDTH: u16 = 256;
    pub(crate) const IMAGE_LENGTH: u16 = 257;
    pub(crate) const BITS_PER_SAMPLE: u16 = 258;
    pub(crate) const COMPRESSION: u16 = 259;
    pub(crate) const PHOTOMETRIC: u16 = 262;
    pub(crate) const FILL_ORDER: u16 = 266;
    pub(crate) const IMAGE_DESCRIPTION: u16 = 270;
    pub(crate) const STRIP_OFFSETS: u16 = 273;
    pub(crate) const SAMPLES_PER_PIXEL: u16 = 277;
    pub(crate) const ROWS_PER_STRIP: u16 = 278;
    pub(crate) const STRIP_BYTE_COUNTS: u16 = 279;
    pub(crate) const X_RESOLUTION: u16 = 282;
    pub(crate) const Y_RESOLUTION: u16 = 283;
    pub(crate) const PLANAR_CONFIGURATION: u16 = 284;
    pub(crate) const RESOLUTION_UNIT: u16 = 296;
    pub(crate) const PREDICTOR: u16 = 317;
    pub(crate) const TILE_WIDTH: u16 = 322;
    pub(crate) const TILE_LENGTH: u16 = 323;
    pub(crate) const TILE_OFFSETS: u16 = 324;
    pub(crate) const TILE_BYTE_COUNTS: u16 = 325;
    pub(crate) const EXTRA_SAMPLES: u16 = 338;
    pub(crate) const IMAGE_DEPTH: u16 = 32_997;
    pub(crate) const TILE_DEPTH: u16 = 32_998;
    /// MetaMorph's table of planes, which has as many entries as there are planes.
    pub(crate) const UIC2: u16 = 33_629;
    pub(crate) const SAMPLE_FORMAT: u16 = 339;
}

impl Header {
    /// Reads the first 8 bytes, or 16 of a BigTIFF; `None` when the file does not begin as TIFF.
    pub(crate) fn read(source: &Source) -> Result<Option<Self>, Fault> {
        let mut bytes = [0; 16];
        let classic = 8.min(source.length()) as usize;
        source.read_at(0, &mut bytes[..classic])?;
        let byte_order = match &bytes[..2] {
            b"II" => ByteOrder::LittleEndian,
            b"MM" => ByteOrder::BigEndian,
            _ => return Ok(None),
        };
        let big = match unsigned(byte_order, &bytes[2..4]) {
            42 => false,
            43 => true,
            _ => return Ok(None),
        };
        if big {
            source.read_at(0, &mut bytes)?;
            if unsigned(byte_order, &bytes[4..6]) != 8 {
                return Ok(None);
            }
        } else if classic < 8 {
            return Err(Fault::Truncated);
        }
        let first = unsigned(byte_order, if big { &bytes[8..16] } else { &bytes[4..8] });
        Ok(Some(Self {
            byte_order,
            big,
            first,
        }))
    }
}

impl Directory {
    /// Most tags that a directory may have; writers use some twenty.
    const MAX_ENTRIES: u64 = 4096;

    /// Reads the directory at `offset`.
    pub(crate) fn read(source: &Source, header: &Header, offset: u64) -> Result<Self, Fault> {
        let &Header {
            byte_order, big, ..
        } = header;
        let (count_bytes, offset_bytes, entry_bytes) = if big { (8, 8, 20) } else { (2, 4, 12) };
        let mut count = [0; 8];
        let count = &mut count[..count_bytes];
        source.read_at(offset, count)?;
        let count = unsigned(byte_order, count);
        if count == 0 || count > Self::MAX_ENTRIES {
            let most = Self::MAX_ENTRIES;
            return Err(Fault::damaged(format!(
                "a directory of {count} tags, expected 1 to {most}"
            )));
        }
        let mut bytes = vec![0; count as usize * entry_bytes + offset_bytes];
        source.read_at(offset + count_bytes as u64, &mut bytes)?;
        let (table, next) = bytes.split_at(count as usize * entry_bytes);
        let entry = |bytes: &[u8]| {
            let (head, value) = bytes.split_at(4 + offset_bytes);
            let count = unsigned(byte_order, &head[4..]);
            let kind = unsigned(byte_order, &head[2..4]) as u16;
            let in_place = size_of_kind(kind)
                .and_then(|size| size.checked_mul(count))
                .is_some_and(|size| size <= offset_bytes as u64);
            let place = if in_place {
                let mut here = [0; 8];
                here[..offset_bytes].copy_from_slice(value);
                Place::Here(here)
            } else {
                Place::At(unsigned(byte_order, value))
            };
            Entry {
                tag: unsigned(byte_order, &head[..2]) as u16,
                kind,
                count,
                place,
            }
        };
        Ok(Self {
            byte_order,
            entries: table.chunks_exact(entry_bytes).map(entry).collect(),
            next: unsigned(byte_order, next),
        })
    }

    pub(crate) fn has(&self, tag: u16) -> bool {
        self.entry(tag).is_some()
    }

    /// How many values `tag` has; 0 where it is missing.
    pub(crate) fn count(&self, tag: u16) -> u64 {
        self.entry(tag).map_or(0, |entry| entry.count)
    }

    /// The first value of an unsigned `tag`.
    pub(crate) fn first(&self, source: &Source, tag: u16) -> Result<Option<u64>, Fault> {
        Ok(self
            .unsigned(source, tag, 1)?
            .and_then(|values| values.first().copied()))
    }

    /// The first values of an unsigned `tag`, at most `most` of them.
    pub(crate) fn unsigned(
        &self,
        source: &Source,
        tag: u16,
        most: u64,
    ) -> Result<Option<Vec<u64>>, Fault> {
        const KINDS: [u16; 6] = [1, 3, 4, 13, 16, 18];
        let Some(entry) = self.entry(tag) else {
            return Ok(None);
        };
        if !KINDS.contains(&entry.kind) {
            let kind = entry.kind;
            return Err(Fault::damaged(format!(
                "tag {tag} has type {kind}, expected unsigned integers"
            )));
        }
        let (bytes, size) = self.bytes(source, entry, most)?;
        let values = bytes
            .chunks_exact(size)
            .map(|value| unsigned(self.byte_order, value));
        Ok(Some(values.collect()))
    }

    /// The first value of a rational `tag`; `None` also for what is no positive number.
    pub(crate) fn rational(&self, source: &Source, tag: u16) -> Result<Option<f64>, Fault> {
        const RATIONAL: u16 = 5;
        let Some(entry) = self.entry(tag).filter(|entry| entry.kind == RATIONAL) else {
            return Ok(None);
        };
        let (bytes, _) = self.bytes(source, entry, 1)?;
        let Some((numerator, denominator)) = bytes.split_at_checked(4) else {
            return Ok(None);
        };
        let [numerator, denominator] =
            [numerator, denominator].map(|part| unsigned(self.byte_order, part) as f64);
        let value = numerator / denominator;
        Ok((value.is_finite() && value > 0.0).then_some(value))
    }

    /// The text of `tag` up to its first NUL, at most `most` bytes; what is not UTF-8 is replaced.
    pub(crate) fn text(
        &self,
        source: &Source,
        tag: u16,
        most: u64,
    ) -> Result<Option<String>, Fault> {
        const TEXT_KINDS: [u16; 3] = [1, 2, 7];
        let Some(entry) = self
            .entry(tag)
            .filter(|entry| TEXT_KINDS.contains(&entry.kind))
        else {
            return Ok(None);
        };
        if entry.count > most {
            let count = entry.count;
            return Err(Fault::damaged(format!(
                "tag {tag} holds {count} bytes of text, more than {most}"
            )));
        }
        let (bytes, _) = self.bytes(source, entry, most)?;
        let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(Some(String::from_utf8_lossy(text).into_owned()))
    }

    fn entry(&self, tag: u16) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }

    /// The bytes of the first values of `entry`, and the size of one. Nothing is allocated that the
    /// file does not hold.
    fn bytes(&self, source: &Source, entry: &Entry, most: u64) -> Result<(Vec<u8>, usize), Fault> {
        let size = size_of_kind(entry.kind)
            .ok_or_else(|| Fault::damaged(format!("tag {} has no known type", entry.tag)))?;
        let wanted = entry.count.min(most).saturating_mul(size);
        let bytes = match entry.place {
            Place::Here(bytes) => bytes[..wanted as usize].to_vec(),
            Place::At(offset) => {
                if !source.holds(offset, wanted) {
                    return Err(Fault::Truncated);
                }
                let mut bytes = vec![0; wanted as usize];
                source.read_at(offset, &mut bytes)?;
                bytes
            }
        };
        Ok((bytes, size as usize))
    }
}

/// Bytes of a value of the field types of TIFF 6.0 and BigTIFF.
fn size_of_kind(kind: u16) -> Option<u64> {
    match kind {
        1 | 2 | 6 | 7 => Some(1),
        3 | 8 => Some(2),
        4 | 9 | 11 | 13 => Some(4),
        5 | 10 | 12 | 16..=18 => Some(8),
        _ => None,
    }
}

/// The unsigned number in up to 8 bytes.
fn unsigned(byte_order: ByteOrder, bytes: &[u8]) -> u64 {
    let digit = |number: u64, &byte: &u8| number << 8 | u64::from(byte);
    match byte_order {
        ByteOrder::LittleEndian => bytes.iter().rev().fold(0, digit),
        ByteOrder::BigEndian => bytes.iter().fold(0, digit),
    }
}
