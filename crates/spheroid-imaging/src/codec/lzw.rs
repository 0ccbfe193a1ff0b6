/// Codes are at most 12 bits wide.
const CODES: usize = 1 << 12;
const CLEAR: usize = 256;
const END: usize = 257;
const FIRST_FREE: usize = 258;
/// Strings up to this length are kept whole in the table.
const SHORT: usize = 8;

/// A string of the dictionary.
#[derive(Clone, Copy, Default)]
struct Entry {
    /// Its first bytes, the first of all in the lowest place.
    head: u64,
    /// Where the output holds it.
    start: u32,
    /// Number of bytes; 0 for the codes that are no strings.
    length: u32,
}

/// Decodes LZW as TIFF 6.0, section 13, has it: codes packed from the highest bit down, the width
/// growing one code early. Streams of the old bit order, which old versions of libtiff wrote, begin
/// with a byte that cannot begin others, and are decoded as they were meant.
///
/// Gives the number of bytes decoded, at most those of `output`; `None` for a code that cannot be.
///
/// A string of the dictionary was put out before, and so was the character behind it. It is thus kept
/// as a place in the output; short ones, which in photographs are nearly all, as 8 bytes beside.
pub(super) fn decode(input: &[u8], output: &mut [u8]) -> Option<usize> {
    match input {
        [0, second, ..] if second & 1 == 1 => decode_in(OldBits(Bits::new(input)), output),
        _ => decode_in(NewBits(Bits::new(input)), output),
    }
}

/// Bytes on their way to codes.
struct Bits<'a> {
    input: &'a [u8],
    /// Bits read but not used, and their number.
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            held: 0,
            count: 0,
        }
    }
}

/// The two orders in which codes are packed.
trait CodeReader {
    /// By how many codes the width grows before it must.
    const EARLY: usize;

    /// The next code; `None` at the end of the input.
    fn next(&mut self, width: u32) -> Option<usize>;
}

/// From the highest bit down; bits are held at the top.
struct NewBits<'a>(Bits<'a>);

impl CodeReader for NewBits<'_> {
    const EARLY: usize = 1;

    #[inline(always)]
    fn next(&mut self, width: u32) -> Option<usize> {
        let Bits { input, held, count } = &mut self.0;
        if *count < width {
            if let Some(bytes) = input.first_chunk::<8>() {
                *held |= u64::from_be_bytes(*bytes) >> *count;
                let taken = (63 - *count) / 8;
                *input = &input[taken as usize..];
                *count += taken * 8;
            } else {
                while *count <= 56 && !input.is_empty() {
                    *held |= u64::from(input[0]) << (56 - *count);
                    *input = &input[1..];
                    *count += 8;
                }
                if *count < width {
                    return None;
                }
            }
        }
        let code = *held >> (64 - width);
        *held <<= width;
        *count -= width;
        Some(code as usize)
    }
}

/// From the lowest bit up; bits are held at the bottom.
struct OldBits<'a>(Bits<'a>);

impl CodeReader for OldBits<'_> {
    const EARLY: usize = 0;

    fn next(&mut self, width: u32) -> Option<usize> {
        let Bits { input, held, count } = &mut self.0;
        while *count < width {
            let (&byte, rest) = input.split_first()?;
            *held |= u64::from(byte) << *count;
            *input = rest;
            *count += 8;
        }
        let code = *held & ((1 << width) - 1);
        *held >>= width;
        *count -= width;
        Some(code as usize)
    }
}

fn decode_in<R: CodeReader>(mut codes: R, output: &mut [u8]) -> Option<usize> {
    let mut table = [Entry::default(); CODES];
    for (literal, entry) in table.iter_mut().enumerate().take(CLEAR) {
        (entry.head, entry.length) = (literal as u64, 1);
    }
    let mut next = FIRST_FREE;
    let mut width = 9;
    let mut at = 0;
    // Behind a clear code comes a literal that adds nothing to the dictionary.
    let mut previous = Entry::default();
    while at < output.len() {
        let Some(code) = codes.next(width) else {
            return Some(at);
        };
        let mut entry = table[code];
        if code >= next || entry.length == 0 {
            match code {
                CLEAR => {
                    (next, width, previous) = (FIRST_FREE, 9, Entry::default());
                    continue;
                }
                END => return Some(at),
                // The string that is just being made: the previous one and its own first byte.
                _ if code == next && previous.length > 0 => {
                    entry = previous.and(previous.head as u8);
                }
                _ => return None,
            }
        }
        if previous.length > 0 && next < CODES {
            table[next] = previous.and(entry.head as u8);
            next += 1;
            if next + R::EARLY >= 1 << width && width < 12 {
                width += 1;
            }
        }

        let length = entry.length as usize;
        if length <= SHORT {
            if let Some(room) = output[at..].first_chunk_mut::<SHORT>() {
                *room = entry.head.to_le_bytes();
            } else {
                let room = &mut output[at..];
                let count = length.min(room.len());
                room[..count].copy_from_slice(&entry.head.to_le_bytes()[..count]);
            }
        } else {
            copy(output, entry.start as usize, at, length);
        }
        previous = Entry {
            start: u32::try_from(at).ok()?,
            ..entry
        };
        at += length;
    }
    Some(output.len())
}

impl Entry {
    /// The string with one more byte, which stands behind it in the output.
    #[inline(always)]
    fn and(self, byte: u8) -> Self {
        let length = self.length as usize;
        let tail = if length < SHORT {
            u64::from(byte) << (8 * length)
        } else {
            0
        };
        Self {
            head: self.head | tail,
            start: self.start,
            length: self.length + 1,
        }
    }
}

/// Copies `length` bytes from `start` to `at`, which may lie one byte short of the end of the source,
/// and no further than the output reaches.
#[inline]
fn copy(output: &mut [u8], start: usize, at: usize, length: usize) {
    const BLOCK: usize = 16;
    if start + length > at {
        // The string that is just being made ends with its own first byte.
        let length = length.min(output.len() - at);
        for offset in 0..length {
            output[at + offset] = output[start + offset];
        }
        return;
    }
    let mut done = 0;
    while done < length && at + done + BLOCK <= output.len() {
        let (source, target) = output.split_at_mut(at + done);
        let from = start + done;
        let Some(block) = source.get(from..from + BLOCK) else {
            break;
        };
        target[..BLOCK].copy_from_slice(block);
        done += BLOCK;
    }
    if done < length {
        let length = length.min(output.len() - at);
        output.copy_within(start + done..start + length, at + done);
    }
}

/// Encodes LZW as TIFF 6.0, section 13, has it, the dictionary being cleared when it is full.
pub(crate) struct Encoder {
    dictionary: Dictionary,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self {
            dictionary: Dictionary::new(),
        }
    }

    pub(super) fn encode(&mut self, bytes: &[u8]) -> Vec<u8> {
        /// The last code that an encoder may give away: with one more the width would have to grow to 13.
        const FULL: usize = CODES - 3;
        let dictionary = &mut self.dictionary;
        dictionary.clear();
        let mut out = CodeWriter::new(bytes.len());
        let (mut next, mut width) = (FIRST_FREE, 9);
        out.put(CLEAR, width);
        let mut string = None;
        for &byte in bytes {
            let Some(prefix) = string else {
                string = Some(usize::from(byte));
                continue;
            };
            match dictionary.find_or_insert(prefix, byte, next) {
                Some(longer) => string = Some(longer),
                None => {
                    out.put(prefix, width);
                    string = Some(usize::from(byte));
                    next += 1;
                    if next > FULL {
                        out.put(CLEAR, width);
                        dictionary.clear();
                        (next, width) = (FIRST_FREE, 9);
                    } else if next + 1 > 1 << width {
                        width += 1;
                    }
                }
            }
        }
        if let Some(string) = string {
            out.put(string, width);
            // The decoder adds a string here, too.
            if next + 2 > 1 << width && width < 12 {
                width += 1;
            }
        }
        out.put(END, width);
        out.finish()
    }
}

/// The strings of an encoder: from one and a byte behind it to the code of the longer one.
struct Dictionary {
    /// `prefix << 20 | byte << 12 | code`; 0 for none, as no string follows code 0 and byte 0 to code 0.
    places: Vec<u32>,
}

impl Dictionary {
    /// Four times the codes, so that places are seldom taken.
    const PLACES: usize = 4 * CODES;

    fn new() -> Self {
        Self {
            places: vec![0; Self::PLACES],
        }
    }

    fn clear(&mut self) {
        self.places.fill(0);
    }

    /// The code of the string, or `None` after it was given `next`.
    #[inline(always)]
    fn find_or_insert(&mut self, prefix: usize, byte: u8, next: usize) -> Option<usize> {
        let key = (prefix as u32) << 8 | u32::from(byte);
        // Fibonacci hashing.
        let mut at = (key.wrapping_mul(0x9E37_79B9) >> 18) as usize;
        loop {
            let place = &mut self.places[at % Self::PLACES];
            if *place == 0 {
                *place = key << 12 | next as u32;
                return None;
            }
            if *place >> 12 == key {
                return Some((*place & 0xFFF) as usize);
            }
            at += 1;
        }
    }
}

/// Codes on their way to bytes, from the highest bit down.
struct CodeWriter {
    bytes: Vec<u8>,
    /// Bits not yet written, at the bottom, and their number.
    held: u64,
    count: u32,
}

impl CodeWriter {
    fn new(length: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(length / 2 + 16),
            held: 0,
            count: 0,
        }
    }

    #[inline(always)]
    fn put(&mut self, code: usize, width: u32) {
        self.held = self.held << width | code as u64;
        self.count += width;
        if self.count >= 32 {
            self.count -= 32;
            let word = (self.held >> self.count) as u32;
            self.bytes.extend_from_slice(&word.to_be_bytes());
        }
    }

    fn finish(mut self) -> Vec<u8> {
        let rest = (self.held << (64 - self.count.max(1))).to_be_bytes();
        self.bytes
            .extend_from_slice(&rest[..self.count.div_ceil(8) as usize]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weezl::BitOrder;

    fn noise(length: usize, tones: u32) -> Vec<u8> {
        let mut state = 7_u32;
        let draw = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 16) % tones) as u8
        };
        (0..length).map(draw).collect()
    }

    fn new_stream(bytes: &[u8]) -> Vec<u8> {
        weezl::encode::Encoder::with_tiff_size_switch(BitOrder::Msb, 8)
            .encode(bytes)
            .unwrap()
    }

    #[test]
    fn streams_of_another_encoder_are_decoded() {
        for (length, tones) in [
            (0, 1),
            (1, 9),
            (5000, 1),
            (70_000, 2),
            (90_000, 256),
            (60_000, 7),
        ] {
            let bytes = noise(length, tones);
            let mut found = vec![0; length];
            assert_eq!(decode(&new_stream(&bytes), &mut found), Some(length));
            assert!(found == bytes, "{length} bytes of {tones} tones");
        }
    }

    #[test]
    fn streams_of_the_old_bit_order_are_decoded() {
        for (length, tones) in [(1, 9), (5000, 1), (70_000, 2), (90_000, 256)] {
            let bytes = noise(length, tones);
            let stream = weezl::encode::Encoder::new(BitOrder::Lsb, 8)
                .encode(&bytes)
                .unwrap();
            assert_eq!((stream[0], stream[1] & 1), (0, 1));
            let mut found = vec![0; length];
            assert_eq!(decode(&stream, &mut found), Some(length));
            assert!(found == bytes, "{length} bytes of {tones} tones");
        }
    }

    /// Codes of 9 bits, packed from the highest bit down.
    fn nine_bits(codes: &[u16]) -> Vec<u8> {
        let bits: Vec<u8> = codes
            .iter()
            .flat_map(|code| (0..9).rev().map(move |bit| (code >> bit & 1) as u8))
            .collect();
        let byte = |bits: &[u8]| (0..8).fold(0, |byte, at| byte << 1 | bits.get(at).unwrap_or(&0));
        bits.chunks(8).map(byte).collect()
    }

    #[test]
    fn the_string_that_is_just_being_made() {
        let stream = nine_bits(&[256, 7, 258, 259, 260, 257]);
        let mut found = [0; 10];
        assert_eq!(decode(&stream, &mut found), Some(10));
        assert_eq!(found, [7; 10]);
        // The same for strings longer than the table keeps whole.
        let codes: Vec<u16> = [256, 5].into_iter().chain(258..290).chain([257]).collect();
        let mut found = vec![0; 600];
        let count = 1 + (2..34).sum::<usize>();
        assert_eq!(decode(&nine_bits(&codes), &mut found), Some(count));
        assert!(found[..count].iter().all(|&byte| byte == 5));
    }

    #[test]
    fn the_example_of_the_specification() {
        let stream = nine_bits(&[256, 7, 258, 8, 8, 258, 6, 6, 257]);
        let mut found = [0; 9];
        assert_eq!(decode(&stream, &mut found), Some(9));
        assert_eq!(found, [7, 7, 7, 8, 8, 7, 7, 6, 6]);
    }

    #[test]
    fn codes_that_cannot_be_are_refused() {
        for codes in [&[256, 300][..], &[256, 258], &[300], &[256, 1, 259]] {
            assert_eq!(decode(&nine_bits(codes), &mut [0; 20]), None, "{codes:?}");
        }
        assert_eq!(
            decode(&nine_bits(&[256, 256, 9, 257]), &mut [0; 5]),
            Some(1)
        );
        assert_eq!(decode(&[], &mut [0; 5]), Some(0));
    }

    #[test]
    fn a_dictionary_that_is_full_is_used_on() {
        // An encoder that never clears: literals, each of which fills a place of the dictionary.
        let bytes = noise(6000, 256);
        let (mut bits, mut next, mut width) = (Vec::new(), 258, 9);
        let mut put = |code: u32, width: u32| {
            bits.extend((0..width).rev().map(|bit| code >> bit & 1));
        };
        put(256, 9);
        for (index, &byte) in bytes.iter().enumerate() {
            put(byte.into(), width);
            if index > 0 && next < 4096 {
                next += 1;
                if next + 1 >= 1 << width && width < 12 {
                    width += 1;
                }
            }
        }
        put(257, width);
        bits.resize(bits.len().div_ceil(8) * 8, 0);
        let stream: Vec<u8> = bits
            .chunks(8)
            .map(|bits| bits.iter().fold(0, |byte, &bit| byte << 1 | bit as u8))
            .collect();
        let mut found = vec![0; bytes.len()];
        assert_eq!(decode(&stream, &mut found), Some(bytes.len()));
        assert!(found == bytes);
    }

    /// Decodes with another decoder.
    fn decoded(stream: &[u8]) -> Vec<u8> {
        weezl::decode::Decoder::with_tiff_size_switch(BitOrder::Msb, 8)
            .decode(stream)
            .unwrap()
    }

    #[test]
    fn another_decoder_reads_what_was_encoded() {
        // Around every change of width and the clearing of the dictionary.
        let around = [
            254, 255, 256, 766, 767, 768, 1790, 1791, 1792, 3836, 3837, 3838, 3839, 3840,
        ];
        for length in around.into_iter().chain([0, 1, 2, 20_000]) {
            for tones in [1, 2, 7, 256] {
                let bytes = noise(length, tones);
                assert!(
                    decoded(&Encoder::new().encode(&bytes)) == bytes,
                    "{length} bytes of {tones} tones"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn encoded_pieces_are_read_by_both_decoders(
            pieces in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 1..40), 1_usize..60), 0..60,
            ),
        ) {
            let bytes: Vec<u8> = pieces.iter().flat_map(|(piece, n)| piece.repeat(*n)).collect();
            let stream = Encoder::new().encode(&bytes);
            prop_assert!(decoded(&stream) == bytes);
            let mut found = vec![0; bytes.len()];
            prop_assert_eq!(decode(&stream, &mut found), Some(bytes.len()));
            prop_assert!(found == bytes);
        }
    }
}
