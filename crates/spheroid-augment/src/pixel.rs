use ndarray::{Array3, ArrayView3, CowArray, Ix3};
use spheroid_imaging::Sample;

/// A sample type that every transform works on: `u8`, `u16` and `f32`.
///
/// Transforms calculate on the unit scale, where 0 is no light and 1 is full scale: 255, 65,535, or 1.0
/// of floating point, whose values may lie beyond.
pub trait Pixel: Sample + Default + sealed::Sealed {
    /// Number of tones that are counted apart: 256 or 65,536. Floating point is counted in 65,536.
    const LEVELS: usize;
    /// The stored value that is 1 on the unit scale.
    const FULL: f64;
    /// Whether values are rounded to whole counts.
    const INTEGER: bool;

    /// The value as it is stored, as `f32`.
    fn to_counts(self) -> f32;

    /// The value on the unit scale.
    fn to_unit(self) -> f32;

    /// The nearest value, halves away from 0; integers end at their range, NaN becomes 0 in them.
    fn from_unit(value: f32) -> Self;

    /// As [`from_unit`](Self::from_unit), of a value in double precision.
    fn from_unit_f64(value: f64) -> Self;

    // Loops over pixels stand here, where they are compiled with this crate, and not in functions that
    // are generic over the type, which are compiled with whatever the caller's settings are.

    /// All samples on the unit scale.
    #[doc(hidden)]
    fn into_unit_array(samples: CowArray<'_, Self, Ix3>) -> CowArray<'_, f32, Ix3>;

    /// All samples back from the unit scale.
    #[doc(hidden)]
    fn from_unit_array(samples: Array3<f32>) -> Array3<Self>;

    /// Adds four rows to a sum of the same length, each with a weight.
    #[doc(hidden)]
    fn add_rows(rows: [&[Self]; 4], weights: [f32; 4], sum: &mut [f32]);

    /// As [`add_rows`](Self::add_rows), to two sums with weights of their own: rows are read and converted
    /// once.
    #[doc(hidden)]
    fn add_rows_twice(
        rows: [&[Self]; 4],
        weights: [[f32; 4]; 2],
        sum: &mut [f32],
        next: &mut [f32],
    );

    /// Adds a row to a sum of the same length.
    #[doc(hidden)]
    fn add_row(row: &[Self], weight: f32, sum: &mut [f32]);

    /// Counts integers by value.
    #[doc(hidden)]
    fn count(samples: ArrayView3<'_, Self>, counts: &mut [u64]);

    /// Replaces integers by what stands at their value.
    #[doc(hidden)]
    fn look_up(samples: &mut [Self], table: &[Self]);
}

macro_rules! add_rows {
    () => {
        fn add_rows(rows: [&[Self]; 4], weights: [f32; 4], sum: &mut [f32]) {
            let columns = sum.len();
            // Slices of one known length, so that no index is checked within the loop.
            let [a, b, c, d] = rows.map(|row| &row[..columns]);
            let [u, v, w, x] = weights;
            for column in 0..columns {
                sum[column] += (u * a[column].to_counts() + v * b[column].to_counts())
                    + (w * c[column].to_counts() + x * d[column].to_counts());
            }
        }

        fn add_rows_twice(
            rows: [&[Self]; 4],
            weights: [[f32; 4]; 2],
            sum: &mut [f32],
            next: &mut [f32],
        ) {
            let columns = sum.len();
            let next = &mut next[..columns];
            let [a, b, c, d] = rows.map(|row| &row[..columns]);
            let [[u, v, w, x], [p, q, r, s]] = weights;
            for column in 0..columns {
                let a = a[column].to_counts();
                let b = b[column].to_counts();
                let c = c[column].to_counts();
                let d = d[column].to_counts();
                sum[column] += (u * a + v * b) + (w * c + x * d);
                next[column] += (p * a + q * b) + (r * c + s * d);
            }
        }

        fn add_row(row: &[Self], weight: f32, sum: &mut [f32]) {
            for (sum, value) in sum.iter_mut().zip(row) {
                *sum += weight * value.to_counts();
            }
        }
    };
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! integer_pixels {
    ($($sample:ty),*) => {
        $(
            impl sealed::Sealed for $sample {}

            impl Pixel for $sample {
                const LEVELS: usize = <$sample>::MAX as usize + 1;
                const FULL: f64 = <$sample>::MAX as f64;
                const INTEGER: bool = true;

                #[inline(always)]
                fn to_counts(self) -> f32 {
                    f32::from(self)
                }

                fn to_unit(self) -> f32 {
                    f32::from(self) / f32::from(<$sample>::MAX)
                }

                fn from_unit(value: f32) -> Self {
                    // `as` ends at the range of the type, and in double precision the sum is exact.
                    (f64::from(value) * f64::from(<$sample>::MAX) + 0.5) as $sample
                }

                fn from_unit_f64(value: f64) -> Self {
                    (value * f64::from(<$sample>::MAX) + 0.5) as $sample
                }

                fn into_unit_array(samples: CowArray<'_, Self, Ix3>) -> CowArray<'_, f32, Ix3> {
                    samples.map(|sample| sample.to_unit()).into()
                }

                fn from_unit_array(samples: Array3<f32>) -> Array3<Self> {
                    samples.map(|&value| Self::from_unit(value))
                }

                add_rows!();

                fn count(samples: ArrayView3<'_, Self>, counts: &mut [u64]) {
                    for sample in samples {
                        counts[usize::from(*sample)] += 1;
                    }
                }

                fn look_up(samples: &mut [Self], table: &[Self]) {
                    for sample in samples {
                        *sample = table[usize::from(*sample)];
                    }
                }
            }
        )*
    };
}

integer_pixels!(u8, u16);

impl sealed::Sealed for f32 {}

impl Pixel for f32 {
    const LEVELS: usize = 1 << 16;
    const FULL: f64 = 1.0;
    const INTEGER: bool = false;

    #[inline(always)]
    fn to_counts(self) -> f32 {
        self
    }

    fn to_unit(self) -> f32 {
        self
    }

    fn from_unit(value: f32) -> Self {
        value
    }

    fn from_unit_f64(value: f64) -> Self {
        value as f32
    }

    fn into_unit_array(samples: CowArray<'_, Self, Ix3>) -> CowArray<'_, f32, Ix3> {
        samples
    }

    fn from_unit_array(samples: Array3<f32>) -> Array3<Self> {
        samples
    }

    add_rows!();

    fn count(_: ArrayView3<'_, Self>, _: &mut [u64]) {}

    fn look_up(_: &mut [Self], _: &[Self]) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_integer_survives_the_unit_scale() {
        assert!((0..=u8::MAX).all(|v| u8::from_unit(v.to_unit()) == v));
        assert!((0..=u16::MAX).all(|v| u16::from_unit(v.to_unit()) == v));
        assert!((0..=u16::MAX).all(|v| u16::from_unit_f64(f64::from(v) / 65_535.0) == v));
    }

    #[test]
    fn values_beyond_the_range_end_at_it() {
        assert_eq!([-0.1, 1.1, f32::NAN].map(u8::from_unit), [0, 255, 0]);
        assert_eq!(
            [-0.1, 1.1, f64::INFINITY].map(u16::from_unit_f64),
            [0, 65_535, 65_535]
        );
        assert_eq!(f32::from_unit(1.5), 1.5);
    }
}
