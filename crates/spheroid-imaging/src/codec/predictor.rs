use bytemuck::{Pod, cast_slice_mut};

use super::ByteOrder;

/// What was done to the samples of a strip or tile to make them compress better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Predictor {
    /// Nothing.
    None,
    /// Each sample was replaced by its difference to the left neighbour (TIFF 6.0, section 14).
    Horizontal,
    /// The bytes of a row were sorted by significance, then differenced (Adobe Photoshop TIFF
    /// Technical Note 3).
    FloatingPoint,
}

/// A sample as differencing sees it: a number that wraps around.
trait Word: Pod {
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn swapped(self) -> Self;
}

macro_rules! word {
    ($($word:ty)*) => {$(
        impl Word for $word {
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            fn swapped(self) -> Self {
                self.swap_bytes()
            }
        }
    )*};
}

word!(u8 u16 u32 u64);

impl Predictor {
    pub(crate) fn from_tag(code: u64) -> Option<Self> {
        match code {
            1 => Some(Self::None),
            2 => Some(Self::Horizontal),
            3 => Some(Self::FloatingPoint),
            _ => None,
        }
    }

    pub(crate) fn tag(self) -> u16 {
        match self {
            Self::None => 1,
            Self::Horizontal => 2,
            Self::FloatingPoint => 3,
        }
    }

    /// Turns rows of `row_bytes` from what a file holds into samples in the order of this machine.
    ///
    /// `bytes` must be aligned for the samples; their sizes are 1, 2, 4 and 8.
    pub(crate) fn undo(
        self,
        bytes: &mut [u8],
        row_bytes: usize,
        channels: usize,
        sample_bytes: usize,
        order: ByteOrder,
    ) {
        match (self, sample_bytes) {
            (Self::FloatingPoint, _) => {
                let mut row = vec![0; row_bytes];
                for bytes in bytes.chunks_exact_mut(row_bytes) {
                    accumulate::<u8>(bytes, channels);
                    row.copy_from_slice(bytes);
                    join(&row, bytes, sample_bytes);
                }
            }
            (_, 1) => self.undo_words::<u8>(bytes, row_bytes, channels, order),
            (_, 2) => self.undo_words::<u16>(bytes, row_bytes, channels, order),
            (_, 4) => self.undo_words::<u32>(bytes, row_bytes, channels, order),
            (_, _) => self.undo_words::<u64>(bytes, row_bytes, channels, order),
        }
    }

    fn undo_words<T: Word>(
        self,
        bytes: &mut [u8],
        row_bytes: usize,
        channels: usize,
        order: ByteOrder,
    ) {
        let words: &mut [T] = cast_slice_mut(bytes);
        if order != ByteOrder::NATIVE && size_of::<T>() > 1 {
            words.iter_mut().for_each(|word| *word = word.swapped());
        }
        if self == Self::Horizontal {
            for row in words.chunks_exact_mut(row_bytes / size_of::<T>()) {
                accumulate(row, channels);
            }
        }
    }

    /// The inverse of [`undo`](Self::undo) for samples of one channel, into a file in the order of this
    /// machine.
    pub(crate) fn apply(self, bytes: &mut [u8], row_bytes: usize, sample_bytes: usize) {
        match (self, sample_bytes) {
            (Self::FloatingPoint, _) => {
                let mut row = vec![0; row_bytes];
                for bytes in bytes.chunks_exact_mut(row_bytes) {
                    split(bytes, &mut row, sample_bytes);
                    bytes.copy_from_slice(&row);
                    difference::<u8>(bytes);
                }
            }
            (_, 1) => self.apply_words::<u8>(bytes, row_bytes),
            (_, 2) => self.apply_words::<u16>(bytes, row_bytes),
            (_, 4) => self.apply_words::<u32>(bytes, row_bytes),
            (_, _) => self.apply_words::<u64>(bytes, row_bytes),
        }
    }

    fn apply_words<T: Word>(self, bytes: &mut [u8], row_bytes: usize) {
        let words: &mut [T] = cast_slice_mut(bytes);
        if self == Self::Horizontal {
            for row in words.chunks_exact_mut(row_bytes / size_of::<T>()) {
                difference(row);
            }
        }
    }
}

fn accumulate<T: Word>(row: &mut [T], channels: usize) {
    if channels == 1 {
        let Some((&mut first, rest)) = row.split_first_mut() else {
            return;
        };
        let mut sum = first;
        for word in rest {
            sum = sum.plus(*word);
            *word = sum;
        }
        return;
    }
    for at in channels..row.len() {
        row[at] = row[at].plus(row[at - channels]);
    }
}

fn difference<T: Word>(row: &mut [T]) {
    for at in (1..row.len()).rev() {
        row[at] = row[at].minus(row[at - 1]);
    }
}

/// From bytes by significance, the greatest first, to samples.
fn join(sorted: &[u8], samples: &mut [u8], sample_bytes: usize) {
    let count = sorted.len() / sample_bytes;
    for (at, sample) in samples.chunks_exact_mut(sample_bytes).enumerate() {
        for (significance, byte) in sample.iter_mut().enumerate() {
            let place = match ByteOrder::NATIVE {
                ByteOrder::LittleEndian => sample_bytes - 1 - significance,
                ByteOrder::BigEndian => significance,
            };
            *byte = sorted[place * count + at];
        }
    }
}

/// The inverse of [`join`].
fn split(samples: &[u8], sorted: &mut [u8], sample_bytes: usize) {
    let count = sorted.len() / sample_bytes;
    for (at, sample) in samples.chunks_exact(sample_bytes).enumerate() {
        for (significance, &byte) in sample.iter().enumerate() {
            let place = match ByteOrder::NATIVE {
                ByteOrder::LittleEndian => sample_bytes - 1 - significance,
                ByteOrder::BigEndian => significance,
            };
            sorted[place * count + at] = byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn differences_add_up_by_channel_and_byte_order() {
        let mut bytes = [1, 2, 255, 1, 0, 255];
        Predictor::Horizontal.undo(&mut bytes, 3, 1, 1, ByteOrder::NATIVE);
        assert_eq!(bytes, [1, 3, 2, 1, 1, 0]);
        let mut bytes = [1, 10, 1, 1, 255, 255];
        Predictor::Horizontal.undo(&mut bytes, 6, 2, 1, ByteOrder::NATIVE);
        assert_eq!(bytes, [1, 10, 2, 11, 1, 10]);
        let mut words = [0x0102_u16, 0x0001, 0xFFFF].map(u16::to_be);
        let bytes = cast_slice_mut(&mut words);
        Predictor::Horizontal.undo(bytes, 6, 1, 2, ByteOrder::BigEndian);
        assert_eq!(words, [0x0102, 0x0103, 0x0102]);
    }

    #[test]
    fn floating_point_bytes_are_sorted_by_significance() {
        let mut row = [1.0_f32, -2.5];
        let bytes: &mut [u8] = cast_slice_mut(&mut row);
        Predictor::FloatingPoint.apply(bytes, 8, 4);
        // 3F 80 00 00 and C0 20 00 00, sorted and differenced.
        assert_eq!(bytes, [0x3F, 0x81, 0xC0, 0xA0, 0xE0, 0x00, 0x00, 0x00]);
        Predictor::FloatingPoint.undo(bytes, 8, 1, 4, ByteOrder::BigEndian);
        assert_eq!(row, [1.0, -2.5]);
    }

    proptest! {
        #[test]
        fn undoing_gives_back_the_samples(words in prop::collection::vec(any::<u64>(), 1..20)) {
            for predictor in [Predictor::None, Predictor::Horizontal, Predictor::FloatingPoint] {
                for sample_bytes in [1, 2, 4, 8] {
                    let mut found = [words.clone(), words.clone()].concat();
                    let row_bytes = 8 * words.len();
                    let bytes: &mut [u8] = cast_slice_mut(&mut found);
                    predictor.apply(bytes, row_bytes, sample_bytes);
                    predictor.undo(bytes, row_bytes, 1, sample_bytes, ByteOrder::NATIVE);
                    prop_assert_eq!(&found[..words.len()], &words[..]);
                    prop_assert_eq!(&found[words.len()..], &words[..]);
                }
            }
        }
    }
}
