//! Tones with their frequencies: what transforms work on that turn equal tones into equal tones.

use std::fmt::Debug;

use ndarray::{Array3, ArrayView3};

use crate::{AugmentError, Image, Pixel, image::row_major};

/// `f32` of pixels, or `f64` of a histogram.
pub trait Real: Copy + PartialOrd + Debug + sealed::Sealed {
    #[doc(hidden)]
    fn of(value: f64) -> Self;

    #[doc(hidden)]
    fn to_f64(self) -> f64;

    // Loops stand here so that they are compiled with this crate.

    /// Replaces every `x` by `clamp(a · x + b, 0, 1)`.
    #[doc(hidden)]
    fn affine_clamped(values: &mut [Self], a: Self, b: Self);

    #[doc(hidden)]
    fn scale(values: &mut [Self], factor: Self);

    /// In double precision.
    #[doc(hidden)]
    fn mean(values: &[Self]) -> f64;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

macro_rules! reals {
    ($($real:ty),*) => {
        $(impl Real for $real {
            fn of(value: f64) -> Self {
                value as $real
            }

            fn to_f64(self) -> f64 {
                self.into()
            }

            fn affine_clamped(values: &mut [Self], a: Self, b: Self) {
                for value in values {
                    *value = (a * *value + b).clamp(0.0, 1.0);
                }
            }

            fn scale(values: &mut [Self], factor: Self) {
                for value in values {
                    *value *= factor;
                }
            }

            fn mean(values: &[Self]) -> f64 {
                // Several sums at once, so that the additions need not wait for each other.
                let mut sums = [0.0_f64; 8];
                let chunks = values.chunks_exact(sums.len());
                let rest: f64 = chunks.remainder().iter().map(|value| f64::from(*value)).sum();
                for chunk in chunks {
                    for (sum, value) in sums.iter_mut().zip(chunk) {
                        *sum += f64::from(*value);
                    }
                }
                (sums.iter().sum::<f64>() + rest) / values.len() as f64
            }
        })*
    };
}

reals!(f32, f64);

/// Tones of an image on the unit scale: all its pixels, or each distinct tone with the number of its
/// pixels.
#[derive(Debug)]
pub struct Tones<'a, V> {
    values: &'a mut [V],
    counts: Option<&'a [u64]>,
    full: Option<f64>,
}

impl<'a, V: Real> Tones<'a, V> {
    /// The pixels of an image.
    pub(crate) fn of_pixels(values: &'a mut [V]) -> Self {
        Self {
            values,
            counts: None,
            full: None,
        }
    }

    /// Distinct tones, ascending, each with how often it occurs; `full` is the stored value of 1 where
    /// results are rounded to whole counts.
    pub(crate) fn with_counts(values: &'a mut [V], counts: &'a [u64], full: Option<f64>) -> Self {
        debug_assert_eq!(values.len(), counts.len());
        Self {
            values,
            counts: Some(counts),
            full,
        }
    }

    /// The same tones, borrowed.
    pub(crate) fn reborrow(&mut self) -> Tones<'_, V> {
        Tones {
            values: self.values,
            counts: self.counts,
            full: self.full,
        }
    }

    /// The stored value of 1, where results are rounded to whole counts.
    pub(crate) fn full(&self) -> Option<f64> {
        self.full
    }

    /// The tones.
    pub fn values(&mut self) -> &mut [V] {
        self.values
    }

    /// Mean over all pixels.
    pub fn mean(&self) -> f64 {
        match self.counts {
            None => V::mean(self.values),
            Some(counts) => {
                let sum = |(value, &count): (&V, &u64)| value.to_f64() * count as f64;
                let pixels: u64 = counts.iter().sum();
                self.values.iter().zip(counts).map(sum).sum::<f64>() / pixels as f64
            }
        }
    }

    /// Calls `with` for every tone and the number of its pixels.
    pub(crate) fn for_each(&self, mut with: impl FnMut(f64, u64)) {
        for (index, value) in self.values.iter().enumerate() {
            with(
                value.to_f64(),
                self.counts.map_or(1, |counts| counts[index]),
            );
        }
    }

    /// Replaces every tone.
    pub fn map(&mut self, tone: impl Fn(f64) -> f64) {
        for value in &mut *self.values {
            *value = V::of(tone(value.to_f64()));
        }
    }

    /// Replaces every tone `x` by `clamp(a · x + b, 0, 1)`.
    pub(crate) fn affine_clamped(&mut self, a: f64, b: f64) {
        V::affine_clamped(self.values, V::of(a), V::of(b));
    }
}

/// A map of tones that an image's histogram fixes.
pub(crate) trait ToneMap {
    /// Replaces the tones, which stay in order of their places.
    fn map<V: Real>(&self, tones: Tones<'_, V>) -> Result<(), AugmentError>;
}

/// The methods of a [`Transform`](crate::Transform) whose draw is a [`ToneMap`].
macro_rules! the_draw_maps_tones {
    () => {
        fn apply<'a, T: $crate::Pixel>(
            &self,
            image: $crate::Image<'a, T>,
            draw: &Self::Draw,
        ) -> Result<$crate::Image<'a, T>, $crate::AugmentError> {
            $crate::tones::apply(image, draw)
        }

        fn map_tones<V: $crate::Real>(
            &self,
            tones: $crate::Tones<'_, V>,
            draw: &Self::Draw,
        ) -> Result<bool, $crate::AugmentError> {
            $crate::tones::ToneMap::map(draw, tones).map(|()| true)
        }
    };
}

pub(crate) use the_draw_maps_tones;

/// Sends every pixel of `image` through `map`.
///
/// Integers go through a table that is calculated in double precision and rounded once; floating
/// point is calculated in place.
pub(crate) fn apply<'a, T: Pixel>(
    image: Image<'a, T>,
    map: &impl ToneMap,
) -> Result<Image<'a, T>, AugmentError> {
    let mut result = Ok(());
    let image = image.with_samples(|samples| {
        let mut samples: Array3<T> = row_major(samples.into_owned());
        result = if T::INTEGER {
            apply_by_table(&mut samples, map)
        } else {
            let pixels = samples
                .as_slice_mut()
                .expect("samples are in row-major order");
            map.map(Tones::of_pixels(bytemuck::cast_slice_mut::<T, f32>(pixels)))
        };
        samples
    });
    result.map(|()| image)
}

fn apply_by_table<T: Pixel>(
    samples: &mut Array3<T>,
    map: &impl ToneMap,
) -> Result<(), AugmentError> {
    let mut histogram = Histogram::of(samples.view());
    map.map(histogram.tones())?;
    let mut table = vec![T::default(); T::LEVELS];
    for (&level, &value) in histogram.levels.iter().zip(&histogram.values) {
        table[level] = T::from_unit_f64(value);
    }
    T::look_up(
        samples
            .as_slice_mut()
            .expect("samples are in row-major order"),
        &table,
    );
    Ok(())
}

/// The distinct tones of integer pixels.
pub(crate) struct Histogram {
    /// As they are stored, ascending.
    levels: Vec<usize>,
    /// On the unit scale.
    pub(crate) values: Vec<f64>,
    pub(crate) counts: Vec<u64>,
    full: f64,
}

impl Histogram {
    pub(crate) fn of<T: Pixel>(samples: ArrayView3<'_, T>) -> Self {
        let mut all = vec![0_u64; T::LEVELS];
        T::count(samples, &mut all);
        let occurring = all.iter().enumerate().filter(|&(_, &count)| count > 0);
        let (levels, counts): (Vec<usize>, Vec<u64>) =
            occurring.map(|(level, &count)| (level, count)).unzip();
        let values = levels.iter().map(|&level| level as f64 / T::FULL).collect();
        Self {
            levels,
            values,
            counts,
            full: T::FULL,
        }
    }

    pub(crate) fn tones(&mut self) -> Tones<'_, f64> {
        Tones::with_counts(&mut self.values, &self.counts, Some(self.full))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_and_histogram_have_one_mean() {
        let pixels = Array3::from_shape_fn((1, 10, 100), |(_, r, c)| (r * c % 7) as u16 * 1000);
        let mut units: Vec<f64> = pixels.iter().map(|p| f64::from(*p) / 65_535.0).collect();
        let mut histogram = Histogram::of(pixels.view());
        let of_pixels = Tones::of_pixels(&mut units).mean();
        assert!((histogram.tones().mean() - of_pixels).abs() < 1e-15);
        assert_eq!(histogram.counts.iter().sum::<u64>(), 1000);
    }
}
