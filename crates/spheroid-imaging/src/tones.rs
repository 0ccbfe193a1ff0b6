use ndarray::Axis;
use serde::{Deserialize, Serialize};

use crate::{FocalStack, ImagingError, Samples};

/// How many grey tones an image uses, and which.
///
/// # Example
/// ```
/// use ndarray::arr3;
/// use spheroid_imaging::{FocalStack, Samples, ToneStatistics};
///
/// let stack = FocalStack::new(Samples::U16(arr3(&[[[7, 7, 9]], [[3, 7, 9]]])))?;
/// assert_eq!(ToneStatistics::of_stack(&stack), ToneStatistics { min: 3, max: 9, distinct: 3 });
/// assert_eq!(ToneStatistics::of_plane(&stack, 0)?.distinct, 2);
/// # Ok::<(), spheroid_imaging::ImagingError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToneStatistics {
    /// Smallest stored value.
    pub min: u16,
    /// Largest stored value.
    pub max: u16,
    /// Number of different values.
    pub distinct: usize,
}

impl ToneStatistics {
    /// Over all planes.
    pub fn of_stack(stack: &FocalStack) -> Self {
        Self::of_histogram(&histogram(stack))
    }

    /// Over one plane, counted from 0.
    ///
    /// # Errors
    /// When there is no such plane.
    pub fn of_plane(stack: &FocalStack, plane: usize) -> Result<Self, ImagingError> {
        stack.check_plane(plane)?;
        Ok(Self::of_histogram(&match stack.samples() {
            Samples::U8(array) => count(array.index_axis(Axis(0), plane).iter(), 1 << 8),
            Samples::U16(array) => count(array.index_axis(Axis(0), plane).iter(), 1 << 16),
        }))
    }

    fn of_histogram(histogram: &[u64]) -> Self {
        let mut present = tones_in(histogram);
        let min = present.next().expect("a stack holds at least one pixel");
        present.fold(
            Self {
                min,
                max: min,
                distinct: 1,
            },
            |statistics, tone| Self {
                max: tone,
                distinct: statistics.distinct + 1,
                ..statistics
            },
        )
    }
}

/// How often each value occurs in `stack`: 256 or 65,536 counts.
pub(crate) fn histogram(stack: &FocalStack) -> Vec<u64> {
    match stack.samples() {
        Samples::U8(array) => count(array.iter(), 1 << 8),
        Samples::U16(array) => count(array.iter(), 1 << 16),
    }
}

/// The values that occur, in ascending order.
pub(crate) fn tones_in(histogram: &[u64]) -> impl Iterator<Item = u16> {
    (0..=u16::MAX)
        .zip(histogram)
        .filter(|&(_, &count)| count > 0)
        .map(|(tone, _)| tone)
}

fn count<'a, T: Copy + Into<usize> + 'a>(
    samples: impl Iterator<Item = &'a T>,
    tones: usize,
) -> Vec<u64> {
    let mut counts = vec![0; tones];
    for &sample in samples {
        counts[sample.into()] += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, Array3};

    #[test]
    fn one_tone_is_its_own_range() {
        let stack = FocalStack::new(Samples::U16(Array3::from_elem((2, 3, 4), 9))).unwrap();
        let expected = ToneStatistics {
            min: 9,
            max: 9,
            distinct: 1,
        };
        assert_eq!(ToneStatistics::of_stack(&stack), expected);
    }

    #[test]
    fn all_tones_are_counted() {
        let all = Array::from_iter(0..=u16::MAX)
            .into_shape_with_order((1, 256, 256))
            .unwrap();
        let stack = FocalStack::new(Samples::U16(all)).unwrap();
        let expected = ToneStatistics {
            min: 0,
            max: u16::MAX,
            distinct: 65_536,
        };
        assert_eq!(ToneStatistics::of_stack(&stack), expected);
        let all = Array::from_iter(0..=u8::MAX)
            .into_shape_with_order((1, 16, 16))
            .unwrap();
        let stack = FocalStack::new(Samples::U8(all)).unwrap();
        let expected = ToneStatistics {
            min: 0,
            max: 255,
            distinct: 256,
        };
        assert_eq!(ToneStatistics::of_plane(&stack, 0).unwrap(), expected);
    }

    #[test]
    fn a_plane_that_is_not_there_is_refused() {
        let stack = FocalStack::new(Samples::U8(Array3::zeros((2, 1, 1)))).unwrap();
        let error = ToneStatistics::of_plane(&stack, 2).unwrap_err();
        assert!(matches!(
            error,
            ImagingError::NoSuchPlane {
                plane: 2,
                planes: 2
            }
        ));
    }
}
