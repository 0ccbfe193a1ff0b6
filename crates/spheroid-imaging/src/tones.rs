use ndarray::{ArrayView, Axis, Dimension};
use serde::{Deserialize, Serialize};

use crate::{FocalStack, ImagingError, Sample, SampleType, sample::with_samples};

/// How many grey tones an image uses, and which.
///
/// # Example
/// ```
/// use ndarray::arr3;
/// use spheroid_imaging::{FocalStack, Samples, ToneStatistics};
///
/// let stack = FocalStack::new(Samples::U16(arr3(&[[[7, 7, 9]], [[3, 7, 9]]])))?;
/// let tones = ToneStatistics::of_stack(&stack);
/// assert_eq!((tones.min, tones.max, tones.distinct), (3.0, 9.0, 3));
/// assert_eq!(ToneStatistics::of_plane(&stack, 0)?.distinct, 2);
/// # Ok::<(), spheroid_imaging::ImagingError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ToneStatistics {
    /// Smallest stored value.
    pub min: f64,
    /// Largest stored value.
    pub max: f64,
    /// Number of different values.
    pub distinct: usize,
}

impl ToneStatistics {
    /// Over all planes.
    pub fn of_stack(stack: &FocalStack) -> Self {
        with_samples!(stack.samples(), array => Self::of_tones(&tones(array.view())))
    }

    /// Over one plane, counted from 0.
    ///
    /// # Errors
    /// When there is no such plane.
    pub fn of_plane(stack: &FocalStack, plane: usize) -> Result<Self, ImagingError> {
        stack.check_plane(plane)?;
        Ok(with_samples!(stack.samples(), array => {
            Self::of_tones(&tones(array.index_axis(Axis(0), plane)))
        }))
    }

    fn of_tones(tones: &[f64]) -> Self {
        Self {
            min: tones[0],
            max: tones[tones.len() - 1],
            distinct: tones.len(),
        }
    }
}

/// The values that occur, in ascending order.
pub(crate) fn tones<T: Sample, D: Dimension>(samples: ArrayView<'_, T, D>) -> Vec<f64> {
    if matches!(T::TYPE, SampleType::U8 | SampleType::U16) {
        let mut present = vec![false; 1 << T::TYPE.bits()];
        for &sample in samples {
            present[sample.to_f64() as usize] = true;
        }
        let tones = present.iter().zip(0_u32..).filter(|&(&is, _)| is);
        return tones.map(|(_, tone)| tone.into()).collect();
    }
    let mut tones: Vec<f64> = samples.iter().map(|sample| sample.to_f64()).collect();
    tones.sort_unstable_by(f64::total_cmp);
    tones.dedup_by(|a, b| a.total_cmp(b).is_eq());
    tones
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Samples;
    use ndarray::{Array, Array3};

    #[test]
    fn one_tone_is_its_own_range() {
        let stack = FocalStack::new(Samples::U16(Array3::from_elem((2, 3, 4), 9))).unwrap();
        let expected = ToneStatistics {
            min: 9.0,
            max: 9.0,
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
            min: 0.0,
            max: 65_535.0,
            distinct: 65_536,
        };
        assert_eq!(ToneStatistics::of_stack(&stack), expected);
        let all = Array::from_iter(0..=u8::MAX)
            .into_shape_with_order((1, 16, 16))
            .unwrap();
        let stack = FocalStack::new(Samples::U8(all)).unwrap();
        let expected = ToneStatistics {
            min: 0.0,
            max: 255.0,
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
