use ndarray::{ArrayView, Axis, Dimension};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{FocalStack, ImagingError, Sample, SampleType, sample::with_samples};

/// The tones of an image and how often each occurs.
///
/// 8- and 16-bit unsigned samples are counted in 256 and 65,536 places, others are sorted: nothing is
/// binned. Floating-point values are tones as they are stored; NaN is a tone above all others.
///
/// # Example
/// ```
/// use ndarray::arr3;
/// use spheroid_imaging::{FocalStack, Histogram, Samples};
///
/// let stack = FocalStack::new(Samples::U16(arr3(&[[[7, 7, 9]], [[3, 7, 9]]])))?;
/// let tones: Vec<(f64, u64)> = Histogram::of_stack(&stack).iter().collect();
/// assert_eq!(tones, [(3.0, 1), (7.0, 3), (9.0, 2)]);
/// # Ok::<(), spheroid_imaging::ImagingError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Ascending, at least one.
    tones: Vec<f64>,
    /// All above 0.
    counts: Vec<u64>,
}

impl Histogram {
    /// Over all planes.
    pub fn of_stack(stack: &FocalStack) -> Self {
        with_samples!(stack.samples(), array => Self::of_samples(array.view()))
    }

    /// Over one plane, counted from 0.
    ///
    /// # Errors
    /// When there is no such plane.
    pub fn of_plane(stack: &FocalStack, plane: usize) -> Result<Self, ImagingError> {
        stack.check_plane(plane)?;
        Ok(with_samples!(stack.samples(), array => {
            Self::of_samples(array.index_axis(Axis(0), plane))
        }))
    }

    /// The tones in ascending order, each with the number of its pixels.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (f64, u64)> {
        self.tones.iter().copied().zip(self.counts.iter().copied())
    }

    /// Smallest tone.
    pub fn min(&self) -> f64 {
        self.tones[0]
    }

    /// Largest tone.
    pub fn max(&self) -> f64 {
        self.tones[self.tones.len() - 1]
    }

    /// Number of different tones, at least 1.
    pub fn distinct(&self) -> usize {
        self.tones.len()
    }

    fn of_samples<T: Sample, D: Dimension>(samples: ArrayView<'_, T, D>) -> Self {
        let samples = samples.to_slice().expect("a stack is in row-major order");
        let counted: Vec<(f64, u64)> = match T::TYPE {
            SampleType::U8 | SampleType::U16 => {
                let counts = count(samples);
                (0_u32..)
                    .map(f64::from)
                    .zip(counts)
                    .filter(|&(_, n)| n > 0)
                    .collect()
            }
            _ => {
                let mut tones: Vec<f64> = samples.iter().map(|sample| tone(*sample)).collect();
                tones.par_sort_unstable_by(f64::total_cmp);
                let runs = tones.chunk_by(|a, b| a.total_cmp(b).is_eq());
                runs.map(|run| (run[0], run.len() as u64)).collect()
            }
        };
        let (tones, counts) = counted.into_iter().unzip();
        Self { tones, counts }
    }
}

/// The value; of what is no number one and the same, without the sign that would bring it below all
/// others.
fn tone<T: Sample>(sample: T) -> f64 {
    let value = sample.to_f64();
    if value.is_nan() {
        f64::NAN.abs()
    } else {
        value
    }
}

/// How often each value of 8 or 16 bits occurs.
fn count<T: Sample>(samples: &[T]) -> Vec<u64> {
    /// So many that a table of 65,536 counts is soon paid for.
    const PART: usize = 1 << 21;
    let zeros = || vec![0_u64; 1 << T::TYPE.bits()];
    let sum = |mut a: Vec<u64>, b: Vec<u64>| {
        a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        a
    };
    let of_part = |part: &[T]| {
        let mut counts = zeros();
        for sample in part {
            counts[sample.to_f64() as usize] += 1;
        }
        counts
    };
    samples.par_chunks(PART).map(of_part).reduce(zeros, sum)
}

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
        Self::of(&Histogram::of_stack(stack))
    }

    /// Over one plane, counted from 0.
    ///
    /// # Errors
    /// When there is no such plane.
    pub fn of_plane(stack: &FocalStack, plane: usize) -> Result<Self, ImagingError> {
        Ok(Self::of(&Histogram::of_plane(stack, plane)?))
    }

    fn of(histogram: &Histogram) -> Self {
        Self {
            min: histogram.min(),
            max: histogram.max(),
            distinct: histogram.distinct(),
        }
    }
}

/// What an operation did to the tones of an image, told from the image before and after it.
///
/// # Example
/// Halving in 8 bits merges tones in pairs:
/// ```
/// use ndarray::arr3;
/// use spheroid_imaging::{FocalStack, Samples, ToneRetention};
///
/// let stack = |samples| FocalStack::new(Samples::U8(samples));
/// let before = stack(arr3(&[[[10, 11, 12, 20]]]))?;
/// let after = stack(arr3(&[[[5, 5, 6, 10]]]))?;
/// let found = ToneRetention::between(&before, &after)?;
/// assert_eq!((found.before, found.after, found.merged), (4, 3, 2));
/// assert_eq!(found.loss(), 0.25);
/// # Ok::<(), spheroid_imaging::ImagingError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ToneRetention {
    /// Different tones before.
    pub before: usize,
    /// Different tones after.
    pub after: usize,
    /// Tones before that share a tone after with another: what can no longer be told apart by tone
    /// alone.
    pub merged: usize,
    /// Share of the pixels that came to lie at an end of the range of their type, 0 and 1 for
    /// floating point, or beyond it, and did not before; 0 to 1.
    pub clipped: f64,
}

impl ToneRetention {
    /// Compares two images of one size, pixel by pixel; their types may differ.
    ///
    /// # Errors
    /// When the sizes differ.
    pub fn between(before: &FocalStack, after: &FocalStack) -> Result<Self, ImagingError> {
        if before.dim() != after.dim() {
            let (_, expected_rows, expected_columns) = before.dim();
            let (_, rows, columns) = after.dim();
            return Err(ImagingError::Shape {
                expected_rows,
                expected_columns,
                rows,
                columns,
            });
        }
        let values = |stack: &FocalStack| -> Vec<f64> {
            with_samples!(stack.samples(), array => {
                array.iter().map(|sample| tone(*sample)).collect()
            })
        };
        let mut pairs: Vec<(f64, f64)> = values(after).into_iter().zip(values(before)).collect();
        let at_end = |value: f64, (low, high): (f64, f64)| !(value > low && value < high);
        let (range_before, range_after) =
            (before.sample_type().range(), after.sample_type().range());
        let clipped = pairs.iter().filter(|&&(after, before)| {
            at_end(after, range_after) && !at_end(before, range_before)
        });
        let clipped = clipped.count() as f64 / pairs.len() as f64;

        pairs.par_sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        pairs.dedup_by(|a, b| a.0.total_cmp(&b.0).is_eq() && a.1.total_cmp(&b.1).is_eq());
        let groups = || pairs.chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq());
        let mut merged: Vec<f64> = groups()
            .filter(|group| group.len() > 1)
            .flat_map(|group| group.iter().map(|&(_, before)| before))
            .collect();
        merged.sort_unstable_by(f64::total_cmp);
        merged.dedup_by(|a, b| a.total_cmp(b).is_eq());
        Ok(Self {
            before: Histogram::of_stack(before).distinct(),
            after: groups().count(),
            merged: merged.len(),
            clipped,
        })
    }

    /// Share of the tones that were lost, `1 − after / before`; below 0 when there are more tones
    /// than before, as where tones of several pixels are mixed.
    pub fn loss(&self) -> f64 {
        1.0 - self.after as f64 / self.before as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Samples;
    use ndarray::{Array, Array3};

    #[test]
    fn what_is_no_number_is_one_tone_above_all_others() {
        let nan = f32::from_bits(0x7FC0_0001);
        let values = ndarray::arr3(&[[[1.0, nan, -nan, f32::NAN, f32::INFINITY, -2.0]]]);
        let stack = FocalStack::new(Samples::F32(values)).unwrap();
        let tones: Vec<(f64, u64)> = Histogram::of_stack(&stack).iter().collect();
        assert_eq!(tones[..3], [(-2.0, 1), (1.0, 1), (f64::INFINITY, 1)]);
        assert!(tones[3].0.is_nan() && tones[3].1 == 3 && tones.len() == 4);
    }

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

    #[test]
    fn tones_that_are_no_small_integers_are_sorted() {
        let values = [2.5, -1.0, f64::NAN, 2.5, f64::INFINITY, -1.0, 0.0, -0.0];
        let samples = Array::from_iter(values)
            .into_shape_with_order((2, 2, 2))
            .unwrap();
        let histogram = Histogram::of_stack(&FocalStack::new(Samples::F64(samples)).unwrap());
        let counts: Vec<u64> = histogram.iter().map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 1, 1, 2, 1, 1]);
        assert_eq!((histogram.min(), histogram.distinct()), (-1.0, 6));
        assert!(histogram.max().is_nan());
        let samples = Samples::I16(Array3::from_elem((1, 1, 3), -7));
        let histogram = Histogram::of_stack(&FocalStack::new(samples).unwrap());
        assert_eq!(histogram.iter().collect::<Vec<_>>(), [(-7.0, 3)]);
    }

    #[test]
    fn large_images_are_counted_in_parts() {
        let samples = Array3::from_shape_fn((3, 1000, 1000), |(p, r, c)| (p + r + c) as u16 % 500);
        let stack = FocalStack::new(Samples::U16(samples.clone())).unwrap();
        let expected = samples.iter().filter(|&&tone| tone == 77).count() as u64;
        let found = Histogram::of_stack(&stack).iter().nth(77).unwrap();
        assert_eq!(found, (77.0, expected));
    }

    fn u16_stack(values: &[u16]) -> FocalStack {
        let samples = Array::from_iter(values.iter().copied());
        let shape = (1, 1, values.len());
        FocalStack::new(Samples::U16(samples.into_shape_with_order(shape).unwrap())).unwrap()
    }

    #[test]
    fn clipping_and_merging_are_counted() {
        let before = u16_stack(&[0, 100, 200, 60_000, 65_535, 100]);
        let after = u16_stack(&[0, 0, 0, 65_535, 65_535, 0]);
        let found = ToneRetention::between(&before, &after).unwrap();
        assert_eq!((found.before, found.after, found.merged), (5, 2, 5));
        assert_eq!(found.loss(), 0.6);
        // Pixels 0 and 4 lay at the ends before.
        assert_eq!(found.clipped, 4.0 / 6.0);
        let same = ToneRetention::between(&before, &before).unwrap();
        assert_eq!((same.merged, same.loss(), same.clipped), (0, 0.0, 0.0));
        let wide = FocalStack::new(Samples::F32(ndarray::arr3(&[[[
            0.5, 1.5, -0.1, 0.2, 0.3, 0.4,
        ]]])))
        .unwrap();
        let found = ToneRetention::between(&before, &wide).unwrap();
        assert_eq!(
            (found.after, found.merged, found.loss()),
            (6, 0, -0.199_999_999_999_999_96)
        );
        assert_eq!(found.clipped, 2.0 / 6.0);
        assert!(ToneRetention::between(&before, &u16_stack(&[1])).is_err());
    }
}
