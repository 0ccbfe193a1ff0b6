use serde::{Deserialize, Serialize};

use crate::{FocalStack, Histogram, SampleType};

/// How a sensor's values were made to fill the samples of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Widening {
    /// Not at all: values are stored as they are.
    None,
    /// By zeros on the right: `v << 4` for 12 bits in 16.
    Shift,
    /// By repeating the bits from the top: `v << 4 | v >> 8` for 12 bits in 16.
    Replication,
    /// By a factor that takes full scale to full scale, rounded: `v · 65535 / 4095` for 12 bits in 16.
    Scaling,
}

/// Bits in which samples are stored and bits that carry information.
///
/// At most 2^`effective_bits` tones can occur, however many the container has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Depth {
    /// Bits of a sample.
    pub container_bits: u32,
    /// Bits that the values present need, at least 1 and at most `container_bits`.
    pub effective_bits: u32,
    /// How the one became the other.
    pub widening: Widening,
}

impl Depth {
    /// Largest value that a sensor of this depth can give, as it is stored.
    pub fn max(self) -> f64 {
        let ones = 2_f64.powi(self.effective_bits as i32) - 1.0;
        match self.widening {
            Widening::None => ones,
            Widening::Shift => {
                ones * 2_f64.powi((self.container_bits - self.effective_bits) as i32)
            }
            Widening::Replication | Widening::Scaling => {
                2_f64.powi(self.container_bits as i32) - 1.0
            }
        }
    }
}

/// Detects the sensor's depth behind the values of `stack`.
///
/// A widening is reported when every value of the stack obeys it and chance would not bring that
/// about: each distinct value that obeys an `n`-bit widening of a `c`-bit container is `c − n`
/// bits of evidence, and 12 bits are asked for, from three values at least. Values that obey trivially
/// (0, and all ones for replication and scaling) are no evidence. Of several widenings that fit, the one
/// with the fewest bits is taken, a shift before a replication before a scaling.
///
/// Samples that are signed or floating-point have the depth of their container.
///
/// Without widening, `effective_bits` is the length of the largest value. A 12-bit image stored
/// unchanged has 12; a dim image of a 16-bit sensor can have fewer than 16.
///
/// # Example
/// ```
/// use ndarray::Array;
/// use spheroid_imaging::{Depth, FocalStack, Samples, Widening, effective_depth};
///
/// let sensor = (0..4096_u16).map(|v| v << 4 | v >> 8);
/// let samples = Array::from_iter(sensor).into_shape_with_order((1, 64, 64))?;
/// let depth = effective_depth(&FocalStack::new(Samples::U16(samples))?);
/// let expected =
///     Depth { container_bits: 16, effective_bits: 12, widening: Widening::Replication };
/// assert_eq!(depth, expected);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn effective_depth(stack: &FocalStack) -> Depth {
    const EVIDENCE: usize = 12;
    const LEAST_WITNESSES: usize = 3;
    let container_bits = stack.container_bits();
    if !matches!(
        stack.sample_type(),
        SampleType::U8 | SampleType::U16 | SampleType::U32
    ) {
        return Depth {
            container_bits,
            effective_bits: container_bits,
            widening: Widening::None,
        };
    }
    let all_ones = stack.sample_type().range().1 as u32;
    let tones: Vec<u32> = Histogram::of_stack(stack)
        .iter()
        .map(|(tone, _)| tone as u32)
        .filter(|&tone| tone > 0)
        .collect();
    let enough = |bits: u32, witnesses: usize| {
        witnesses >= LEAST_WITNESSES && (container_bits - bits) as usize * witnesses >= EVIDENCE
    };
    let witnesses = tones.iter().filter(|&&tone| tone < all_ones).count();

    let used = tones.iter().fold(0, |used, tone| used | tone);
    let shifted = container_bits - used.trailing_zeros().min(container_bits);
    let shift = (enough(shifted, tones.len())).then_some((shifted, Widening::Shift));
    let replication = (1..container_bits)
        .find(|&bits| {
            enough(bits, witnesses)
                && tones.iter().all(|&tone| {
                    tone == replicated(tone >> (container_bits - bits), bits, container_bits)
                })
        })
        .map(|bits| (bits, Widening::Replication));
    let full = |bits: u32| (1_u64 << bits) - 1;
    let scaling = (1..container_bits)
        .find(|&bits| {
            let (from, to) = (full(bits), full(container_bits));
            enough(bits, witnesses)
                && tones.iter().all(|&tone| {
                    // Both divisions round to nearest.
                    let sensor = (u64::from(tone) * from + to / 2) / to;
                    (sensor * to + from / 2) / from == u64::from(tone)
                })
        })
        .map(|bits| (bits, Widening::Scaling));
    let (effective_bits, widening) = [shift, replication, scaling]
        .into_iter()
        .flatten()
        .min_by_key(|&(bits, _)| bits)
        .unwrap_or(((u32::BITS - used.leading_zeros()).max(1), Widening::None));
    Depth {
        container_bits,
        effective_bits,
        widening,
    }
}

/// The `bits` low bits of `value`, repeated from the top down until `container_bits` are full.
fn replicated(value: u32, bits: u32, container_bits: u32) -> u32 {
    let mut filled = 0;
    let mut wide = 0;
    while filled < container_bits {
        let room = container_bits - filled;
        wide |= if room >= bits {
            value << (room - bits)
        } else {
            value >> (bits - room)
        };
        filled += bits;
    }
    wide
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Samples;
    use ndarray::Array;
    use proptest::prelude::*;
    use rand_like::noise;

    /// A short deterministic stream of noisy sensor values.
    mod rand_like {
        pub(super) fn noise(n: usize, mut state: u32) -> impl Iterator<Item = u16> {
            std::iter::repeat_with(move || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 16) as u16
            })
            .take(n)
        }
    }

    fn depth_u16(values: impl IntoIterator<Item = u16>) -> Depth {
        let values = Array::from_iter(values);
        let shape = (1, 1, values.len());
        let samples = values.into_shape_with_order(shape).unwrap();
        effective_depth(&FocalStack::new(Samples::U16(samples)).unwrap())
    }

    fn depth(effective_bits: u32, widening: Widening) -> Depth {
        Depth {
            container_bits: 16,
            effective_bits,
            widening,
        }
    }

    #[test]
    fn bit_replication_by_hand() {
        assert_eq!(replicated(0x217, 12, 16), 0x2172);
        assert_eq!(replicated(0xAFF, 12, 16), 0xAFFA);
        assert_eq!(replicated(0b101, 3, 8), 0b1011_0110);
        assert_eq!(replicated(1, 1, 16), 0xFFFF);
        assert_eq!(replicated(0xAB, 8, 16), 0xABAB);
    }

    #[test]
    fn three_published_values_are_replicated_12_bit_values() {
        let found = depth_u16([0x2172, 0xAFFA, 0xAAAA]);
        assert_eq!(found, depth(12, Widening::Replication));
    }

    #[test]
    fn every_width_is_recognised_in_noise() {
        for bits in 4..16 {
            let sensor: Vec<u16> = noise(5000, bits).map(|v| v >> (16 - bits)).collect();
            let wide = sensor
                .iter()
                .map(|&v| replicated(v.into(), bits, 16) as u16);
            assert_eq!(depth_u16(wide), depth(bits, Widening::Replication));
            let wide = sensor.iter().map(|&v| v << (16 - bits));
            assert_eq!(depth_u16(wide), depth(bits, Widening::Shift));
            let scale = |&v: &u16| {
                (f64::from(v) * 65_535.0 / (2_f64.powi(bits as i32) - 1.0)).round() as u16
            };
            // Of few bits, scaling and replication may be the same.
            let found = depth_u16(sensor.iter().map(scale));
            assert_eq!(found.effective_bits, bits);
            let same = sensor
                .iter()
                .all(|v| scale(v) == replicated((*v).into(), bits, 16) as u16);
            let widening = if same {
                Widening::Replication
            } else {
                Widening::Scaling
            };
            assert_eq!(found.widening, widening, "{bits}");
            assert!(bits != 12 || !same);
            assert_eq!(depth_u16(sensor), depth(bits, Widening::None));
        }
        assert_eq!(depth_u16(noise(5000, 1)), depth(16, Widening::None));
    }

    #[test]
    fn one_stray_value_unmasks_a_full_depth_image() {
        let shifted = noise(5000, 3).map(|v| v & 0xFFF0);
        assert_eq!(depth_u16(shifted.chain([1])), depth(16, Widening::None));
    }

    #[test]
    fn too_little_evidence_is_no_widening() {
        assert_eq!(depth_u16([0, 0, 0]), depth(1, Widening::None));
        assert_eq!(depth_u16([0xFFFF]), depth(16, Widening::None));
        assert_eq!(depth_u16([0x1000, 0x0FFE]), depth(13, Widening::None));
        // A blank frame and a mask.
        assert_eq!(depth_u16([0x8000; 9]), depth(16, Widening::None));
        assert_eq!(depth_u16([0, 4096, 0, 4096]), depth(13, Widening::None));
    }

    #[test]
    fn bytes_have_a_container_of_8_bits() {
        let samples = Array::from_shape_fn((1, 1, 64), |(_, _, c)| (c as u8) << 2);
        let found = effective_depth(&FocalStack::new(Samples::U8(samples)).unwrap());
        let expected = Depth {
            container_bits: 8,
            effective_bits: 6,
            widening: Widening::Shift,
        };
        assert_eq!(found, expected);
    }

    proptest! {
        #[test]
        fn bits_bound_the_number_of_tones(values in prop::collection::vec(any::<u16>(), 1..200)) {
            let found = depth_u16(values.iter().copied());
            let distinct = values.iter().collect::<std::collections::HashSet<_>>().len();
            prop_assert!((1..=16).contains(&found.effective_bits));
            prop_assert!(distinct <= 1 << found.effective_bits);
        }
    }
}
