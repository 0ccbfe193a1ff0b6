use bytemuck::cast_slice_mut;

use super::ByteOrder;

/// Widens samples of `bits` bits to bytes, or to 16 or 32 bits in the order of this machine.
///
/// Samples are packed from the highest bit down, and each of the `rows` begins with a byte of its own
/// (TIFF 6.0, section 8); samples of 24 bits are numbers of three bytes in the order of the file.
/// `samples` must be aligned for what they become.
pub(crate) fn unpack(
    stored: &[u8],
    bits: u32,
    order: ByteOrder,
    width: usize,
    rows: usize,
    row_bytes: usize,
    samples: &mut [u8],
) {
    for row in 0..rows {
        let stored = &stored[row * row_bytes..(row + 1) * row_bytes];
        let taken = row * width..(row + 1) * width;
        match bits {
            0..=8 => {
                let samples = &mut samples[taken];
                unpack_row(stored, bits, |at, value| samples[at] = value as u8, width);
            }
            12 => unpack_12(stored, &mut cast_slice_mut(samples)[taken]),
            9..=16 => {
                let samples: &mut [u16] = &mut cast_slice_mut(samples)[taken];
                unpack_row(stored, bits, |at, value| samples[at] = value as u16, width);
            }
            24 => {
                let samples: &mut [u32] = &mut cast_slice_mut(samples)[taken];
                for (sample, bytes) in samples.iter_mut().zip(stored.chunks_exact(3)) {
                    *sample = match order {
                        ByteOrder::LittleEndian => {
                            u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0])
                        }
                        ByteOrder::BigEndian => {
                            u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]])
                        }
                    };
                }
            }
            _ => {
                let samples: &mut [u32] = &mut cast_slice_mut(samples)[taken];
                unpack_row(stored, bits, |at, value| samples[at] = value as u32, width);
            }
        }
    }
}

fn unpack_row(stored: &[u8], bits: u32, mut put: impl FnMut(usize, u64), width: usize) {
    let mut bytes = stored.iter();
    let (mut held, mut count) = (0_u64, 0);
    for at in 0..width {
        while count < bits {
            let Some(&byte) = bytes.next() else {
                return;
            };
            held = held << 8 | u64::from(byte);
            count += 8;
        }
        count -= bits;
        put(at, held >> count & ((1 << bits) - 1));
    }
}

/// The commonest packing: two samples in three bytes.
fn unpack_12(stored: &[u8], samples: &mut [u16]) {
    let mut pairs = samples.chunks_exact_mut(2);
    let mut triples = stored.chunks_exact(3);
    for (pair, triple) in pairs.by_ref().zip(triples.by_ref()) {
        let [a, b, c] = [triple[0], triple[1], triple[2]].map(u16::from);
        pair[0] = a << 4 | b >> 4;
        pair[1] = (b & 15) << 8 | c;
    }
    if let ([last], [a, b, ..]) = (pairs.into_remainder(), triples.remainder()) {
        *last = u16::from(*a) << 4 | u16::from(*b) >> 4;
    }
}

/// Turns each byte round, for files that fill bytes from the lowest bit up.
pub(crate) fn reverse_bits(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = byte.reverse_bits();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Packs rows of samples, one bit after the other.
    fn pack(rows: &[Vec<u32>], bits: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for row in rows {
            let ones: Vec<u32> = row
                .iter()
                .flat_map(|value| (0..bits).rev().map(move |bit| value >> bit & 1))
                .collect();
            for ones in ones.chunks(8) {
                bytes.push((0..8).fold(0, |byte, at| {
                    byte << 1 | ones.get(at).copied().unwrap_or(0) as u8
                }));
            }
        }
        bytes
    }

    proptest! {
        #[test]
        fn any_width_is_unpacked(
            bits in 2_u32..32,
            rows in 1_usize..4,
            width in 1_usize..20,
            seed in any::<u32>(),
        ) {
            let value = |at: usize| (seed.wrapping_mul(at as u32 * 2 + 1).rotate_left(at as u32)) >> (32 - bits);
            let table: Vec<Vec<u32>> = (0..rows)
                .map(|row| (0..width).map(|column| value(row * width + column + 1)).collect())
                .collect();
            let stored = pack(&table, bits);
            let row_bytes = (width * bits as usize).div_ceil(8);
            let mut samples = vec![0_u64; rows * width];
            let found: &mut [u8] = cast_slice_mut(&mut samples);
            unpack(&stored, bits, ByteOrder::BigEndian, width, rows, row_bytes, found);
            let expected = table.concat();
            let found: Vec<u32> = match bits {
                0..=8 => found.iter().map(|&v| v.into()).collect(),
                9..=16 => cast_slice_mut::<u8, u16>(found).iter().map(|&v| v.into()).collect(),
                _ => cast_slice_mut::<u8, u32>(found).to_vec(),
            };
            prop_assert_eq!(&found[..expected.len()], &expected[..]);
        }
    }

    #[test]
    fn three_bytes_follow_the_order_of_the_file() {
        let mut samples = [0_u32];
        let stored = [1, 2, 3];
        unpack(
            &stored,
            24,
            ByteOrder::LittleEndian,
            1,
            1,
            3,
            cast_slice_mut(&mut samples),
        );
        assert_eq!(samples, [0x03_02_01]);
        unpack(
            &stored,
            24,
            ByteOrder::BigEndian,
            1,
            1,
            3,
            cast_slice_mut(&mut samples),
        );
        assert_eq!(samples, [0x01_02_03]);
    }

    #[test]
    fn bits_are_turned_round() {
        let mut bytes = [0b1000_0000, 0b1101_0010];
        reverse_bits(&mut bytes);
        assert_eq!(bytes, [0b0000_0001, 0b0100_1011]);
    }
}
