use ndarray::Array3;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use spheroid_core::{DrawKey, at_least};

use crate::{
    AugmentError, Built, Image, Pixel, ToneContract, ToneEffect, Transform,
    tones::{Histogram, Tones},
};

/// Measures what a transform does to the tones of an image, over many draws.
///
/// A transform that sends equal tones to equal tones is applied to the image's histogram, which is
/// exact and quick; any other one to all of its pixels, for which every thread holds copies of the image.
///
/// # Example
/// ```
/// use ndarray::Array3;
/// use spheroid_augment::{Brightness, Image, ToneAudit, Transform};
///
/// let stack = Array3::from_shape_fn((1, 16, 16), |(_, r, c)| (16 * r + c) as u8);
/// let audit = ToneAudit { draws: 100, seed: 1 };
/// let brightness = Brightness { strength: 1.0 }.build()?;
/// let report = audit.run(&brightness, &Image::new(&stack)?, || ())?;
/// assert_eq!(report.before.distinct, 256);
/// assert!(report.worst().distinct < 20 && report.breach(&brightness).is_none());
/// # Ok::<(), spheroid_augment::AugmentError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToneAudit {
    /// Number of draws, at least 1.
    pub draws: usize,
    /// Fixes them.
    pub seed: u64,
}

/// The tones of an image, and how far they are from those of the image before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ToneReading {
    /// Number of distinct values.
    pub distinct: usize,
    /// Least value, on the unit scale.
    pub min: f64,
    /// Largest value, on the unit scale.
    pub max: f64,
    /// Share of the pixels at 0 or full scale, or beyond.
    pub at_ends: f64,
    /// Wasserstein distance to the tones before: by how much of full scale the mean pixel's rank has
    /// moved; of histograms with 65,536 places.
    pub distance: f64,
}

/// What [`ToneAudit`] found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToneReport<D> {
    /// The image as it was.
    pub before: ToneReading,
    /// The image after every draw.
    pub after: Vec<ToneReading>,
    /// Draw after which fewest distinct values were left.
    pub worst: usize,
    /// What was drawn there.
    pub worst_draw: D,
    /// Draw after which most distinct values were there.
    pub most: usize,
    /// Type of the samples.
    pub sample_type: spheroid_imaging::SampleType,
    /// Whether the image's tones were those of 16 bits, of which a contract speaks that keeps them apart.
    pub of_16_bits: bool,
}

impl ToneAudit {
    /// The key of a draw, so that it can be made again.
    pub fn key(&self, draw: usize) -> DrawKey {
        DrawKey {
            seed: self.seed,
            epoch: 0,
            item: draw as u64,
            view: 0,
        }
    }

    /// Applies every draw of `transform` to `image`; `on_draw` is called after each, from any thread.
    ///
    /// # Errors
    /// When there is no draw, or the transform cannot be applied.
    pub fn run<X: Transform, T: Pixel>(
        &self,
        transform: &Built<X>,
        image: &Image<'_, T>,
        on_draw: impl Fn() + Sync,
    ) -> Result<ToneReport<X::Draw>, AugmentError> {
        at_least("draws", self.draws, 1, "at least 1")?;
        let tones = DistinctTones::of(image);
        let before = tones.reading();
        let read = |scratch: &mut Scratch, index: usize| {
            let draw = transform.draw(self.key(index));
            let reading = match tones.after::<X, T>(transform, image, &draw)? {
                Some(after) => Ok(after.compared_with(&tones)),
                None => {
                    let after = transform.apply(image.view(), &draw)?;
                    Ok(scratch.reading(after, &tones))
                }
            };
            on_draw();
            reading
        };
        let after = (0..self.draws)
            .into_par_iter()
            .map_init(Scratch::default, read)
            .collect::<Result<Vec<ToneReading>, AugmentError>>()?;
        let by_distinct = |&index: &usize| after[index].distinct;
        let worst = (0..self.draws).min_by_key(by_distinct).unwrap_or(0);
        // The first of equals, as for the worst.
        let most = (0..self.draws).rev().max_by_key(by_distinct).unwrap_or(0);
        Ok(ToneReport {
            before,
            worst,
            worst_draw: transform.draw(self.key(worst)),
            most,
            after,
            sample_type: T::TYPE,
            of_16_bits: tones.are_of_16_bits(),
        })
    }
}

impl<D> ToneReport<D> {
    /// The image after the draw that left fewest distinct values.
    pub fn worst(&self) -> ToneReading {
        self.after[self.worst]
    }

    /// The image after the draw that left most distinct values.
    pub fn most(&self) -> ToneReading {
        self.after[self.most]
    }

    /// Share of the distinct values that a reading has fewer, below 0 where it has more.
    pub fn loss(&self, reading: ToneReading) -> f64 {
        let before = self.before.distinct as f64;
        (before - reading.distinct as f64) / before
    }

    /// The median over all draws of what `value` takes from a reading.
    pub fn median(&self, value: impl Fn(ToneReading) -> f64) -> f64 {
        let mut values: Vec<f64> = self.after.iter().map(|reading| value(*reading)).collect();
        values.sort_unstable_by(f64::total_cmp);
        let middle = values.len() / 2;
        if values.len() % 2 == 1 {
            values[middle]
        } else {
            0.5 * (values[middle - 1] + values[middle])
        }
    }

    /// The first draw that broke the promise of `transform`, and how, as far as numbers of values and of
    /// pixels at the ends tell.
    pub fn breach<X: Transform<Draw = D>>(&self, transform: &Built<X>) -> Option<String> {
        let contract = transform.settings().tone_contract(self.sample_type);
        let mut readings = self.after.iter().enumerate();
        readings.find_map(|(draw, reading)| {
            let how = breach(contract, self.of_16_bits, self.before, *reading)?;
            Some(format!("draw {draw}: {how}"))
        })
    }
}

fn breach(
    contract: ToneContract,
    of_16_bits: bool,
    before: ToneReading,
    after: ToneReading,
) -> Option<String> {
    let (had, has) = (before.distinct, after.distinct);
    let kept = match contract.tones {
        ToneEffect::Selected { added } => has <= had + added,
        ToneEffect::OneToOne => has == had || !of_16_bits && has < had,
        ToneEffect::Merged { most_lost } => {
            has <= had && (had - has) as f64 <= most_lost * had as f64
        }
        ToneEffect::Mixed => true,
    };
    if !kept {
        return Some(format!("{had} distinct values became {has}"));
    }
    let more_at_ends = match contract.tones {
        ToneEffect::OneToOne if !of_16_bits => false,
        // Pixels stay where they are, so that shares can be compared.
        ToneEffect::OneToOne | ToneEffect::Merged { .. } => after.at_ends > before.at_ends,
        ToneEffect::Selected { .. } | ToneEffect::Mixed => {
            before.at_ends == 0.0 && after.at_ends > 0.0
        }
    };
    let clipped = !contract.clips && more_at_ends;
    clipped.then(|| format!("{} of the pixels lie at an end", after.at_ends))
}

/// Number of places in which distances are measured.
const PLACES: usize = 1 << 16;

fn place(tone: f64) -> usize {
    (tone.clamp(0.0, 1.0) * (PLACES - 1) as f64).round() as usize
}

/// The distinct tones of an image with their frequencies, ascending.
struct DistinctTones {
    values: Vec<f64>,
    counts: Vec<u64>,
    full: Option<f64>,
    /// Number of pixels up to every place.
    cumulative: Vec<u64>,
}

impl DistinctTones {
    fn of<T: Pixel>(image: &Image<'_, T>) -> Self {
        if T::INTEGER {
            let Histogram { values, counts, .. } = Histogram::of(image.samples());
            return Self::new(values, counts, Some(T::FULL));
        }
        let mut pixels: Vec<f32> = image
            .samples()
            .iter()
            .map(|pixel| pixel.to_unit())
            .collect();
        pixels.par_sort_unstable_by(f32::total_cmp);
        let runs = pixels.chunk_by(|a, b| a == b || a.is_nan() && b.is_nan());
        let (values, counts) = runs
            .map(|run| (f64::from(run[0]), run.len() as u64))
            .unzip();
        Self::new(values, counts, None)
    }

    /// From ascending values without repetition.
    fn new(values: Vec<f64>, counts: Vec<u64>, full: Option<f64>) -> Self {
        let mut cumulative = vec![0; PLACES];
        for (value, count) in values.iter().zip(&counts) {
            cumulative[place(*value)] += count;
        }
        sum_up(&mut cumulative);
        Self {
            values,
            counts,
            full,
            cumulative,
        }
    }

    /// The tones after a draw, if they follow from the tones before.
    fn after<X: Transform, T: Pixel>(
        &self,
        transform: &Built<X>,
        image: &Image<'_, T>,
        draw: &X::Draw,
    ) -> Result<Option<Self>, AugmentError> {
        if image.is_rgb() {
            return Ok(None);
        }
        let stored: Vec<f64> = if T::INTEGER {
            let mut values = self.values.clone();
            let tones = Tones::with_counts(&mut values, &self.counts, self.full);
            if !transform.settings().map_tones(tones, draw)? {
                return Ok(None);
            }
            let stored = values.into_iter().map(|value| T::from_unit_f64(value));
            stored
                .map(|pixel| f64::from(pixel.to_counts()) / T::FULL)
                .collect()
        } else {
            // In `f32`, as the pixels are calculated, so that the same tones fall together.
            let mut values: Vec<f32> = self.values.iter().map(|value| *value as f32).collect();
            let tones = Tones::with_counts(&mut values, &self.counts, None);
            if !transform.settings().map_tones(tones, draw)? {
                return Ok(None);
            }
            values.into_iter().map(f64::from).collect()
        };
        let counted = stored.into_iter().zip(self.counts.iter().copied());
        let mut tones: Vec<(f64, u64)> = counted.collect();
        tones.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let runs = tones.chunk_by(|a, b| a.0 == b.0 || a.0.is_nan() && b.0.is_nan());
        let (values, counts) = runs
            .map(|run| (run[0].0, run.iter().map(|tone| tone.1).sum::<u64>()))
            .unzip();
        Ok(Some(Self::new(values, counts, self.full)))
    }

    fn compared_with(&self, before: &Self) -> ToneReading {
        let at_ends = self
            .values
            .iter()
            .zip(&self.counts)
            .filter(|(value, _)| is_at_end(**value));
        let pixels = self.cumulative[PLACES - 1];
        ToneReading {
            distinct: self.values.len(),
            min: self.values[0],
            max: self.values[self.values.len() - 1],
            at_ends: at_ends.map(|tone| *tone.1).sum::<u64>() as f64 / pixels as f64,
            distance: distance(&before.cumulative, &self.cumulative),
        }
    }

    fn reading(&self) -> ToneReading {
        self.compared_with(self)
    }

    fn are_of_16_bits(&self) -> bool {
        self.values.iter().all(|value| {
            let counts = value * 65_535.0;
            (0.0..=1.0).contains(value) && (counts - counts.round()).abs() < 0.01
        })
    }
}

fn is_at_end(tone: f64) -> bool {
    tone <= 0.0 || tone >= 1.0
}

fn sum_up(counts: &mut [u64]) {
    let mut sum = 0;
    for count in counts {
        sum += *count;
        *count = sum;
    }
}

/// Area between two cumulative histograms, which may be of different numbers of pixels.
fn distance(a: &[u64], b: &[u64]) -> f64 {
    let (a_pixels, b_pixels) = (a[PLACES - 1] as f64, b[PLACES - 1] as f64);
    let gaps = a
        .iter()
        .zip(b)
        .map(|(a, b)| (*a as f64 / a_pixels - *b as f64 / b_pixels).abs());
    gaps.sum::<f64>() / (PLACES - 1) as f64
}

/// What a thread needs to read pixels.
#[derive(Default)]
struct Scratch {
    /// One bit for every number of `f32` from the least positive one to the largest of an image.
    seen: Vec<u64>,
}

/// Images of so many pixels are counted with bits and not sorted.
const LARGE: usize = 1 << 20;

impl Scratch {
    fn reading<T: Pixel>(&mut self, image: Image<'_, T>, before: &DistinctTones) -> ToneReading {
        if T::INTEGER {
            let Histogram { values, counts, .. } = Histogram::of(image.samples());
            return DistinctTones::new(values, counts, None).compared_with(before);
        }
        self.reading_of_floats(&image.into_unit().into_samples(), before)
    }

    fn reading_of_floats(&mut self, samples: &Array3<f32>, before: &DistinctTones) -> ToneReading {
        let (mut least, mut most, mut at_ends) = (f32::INFINITY, f32::NEG_INFINITY, 0_usize);
        let mut least_positive = f32::INFINITY;
        let mut cumulative = vec![0_u64; PLACES];
        for &value in samples {
            (least, most) = (least.min(value), most.max(value));
            if value > 0.0 {
                least_positive = least_positive.min(value);
            }
            at_ends += usize::from(value <= 0.0 || value >= 1.0);
            let place = value.clamp(0.0, 1.0) * (PLACES - 1) as f32;
            cumulative[(place + 0.5) as usize] += 1;
        }
        sum_up(&mut cumulative);
        let range = (least_positive.to_bits(), most.max(least_positive).to_bits());
        ToneReading {
            distinct: if samples.len() < LARGE {
                count_by_sorting(samples)
            } else {
                self.count_by_bits(samples, range)
            },
            min: least.into(),
            max: most.into(),
            at_ends: at_ends as f64 / samples.len() as f64,
            distance: distance(&before.cumulative, &cumulative),
        }
    }

    /// Number of distinct values, the positive ones of which lie within `range`.
    ///
    /// Positive numbers are in the order of their bits, so a range of one power of two takes 1 MiB, which
    /// stays in the cache.
    fn count_by_bits(&mut self, samples: &Array3<f32>, range: (u32, u32)) -> usize {
        self.seen.clear();
        self.seen.resize(((range.1 - range.0) as usize >> 6) + 1, 0);
        let mut others = Vec::new();
        let mut zero = false;
        for &value in samples {
            if value > 0.0 {
                let bit = value.to_bits() - range.0;
                self.seen[bit as usize >> 6] |= 1 << (bit & 63);
            } else if value == 0.0 {
                zero = true;
            } else {
                others.push(value.to_bits());
            }
        }
        others.sort_unstable();
        others.dedup();
        let positive: usize = self
            .seen
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum();
        positive + others.len() + usize::from(zero)
    }
}

fn count_by_sorting(samples: &Array3<f32>) -> usize {
    // Both zeros are one value.
    let mut bits: Vec<u32> = samples
        .iter()
        .map(|value| (value + 0.0).to_bits())
        .collect();
    bits.sort_unstable();
    bits.dedup();
    bits.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ColorJitter, GaussianBlur, Solarize};

    fn texture(rows: usize, columns: usize) -> Array3<u16> {
        Array3::from_shape_fn((2, rows, columns), |(p, r, c)| {
            (9000 + 16 * ((31 * p + 7 * r + 13 * c) % 2000)) as u16
        })
    }

    #[test]
    fn bits_and_sorting_count_alike() {
        let values = Array3::from_shape_fn((1, 1024, 1200), |(_, r, c)| {
            ((r * c) % 70_000) as f32 / 65_535.0 - 0.01
        });
        assert!(values.len() > LARGE);
        let positive = values.iter().copied().filter(|value| *value > 0.0);
        let range = positive.fold((u32::MAX, 0), |(low, high), value| {
            (low.min(value.to_bits()), high.max(value.to_bits()))
        });
        let by_bits = Scratch::default().count_by_bits(&values, range);
        assert_eq!(by_bits, count_by_sorting(&values));
        // The same through a reading, of an image without any positive value too.
        let before = DistinctTones::of(&Image::new(&values).unwrap());
        let found = Scratch::default().reading_of_floats(&values, &before);
        assert_eq!((found.distinct, found.distance), (by_bits, 0.0));
        let dark = values.mapv(|value| -value.abs());
        let found = Scratch::default().reading_of_floats(&dark, &before);
        assert_eq!(
            (found.distinct, found.at_ends),
            (count_by_sorting(&dark), 1.0)
        );
    }

    fn gives_one_reading<T: Pixel>(samples: &Array3<T>) {
        let image = Image::new(samples).unwrap();
        let jitter = ColorJitter {
            brightness: 1.0,
            contrast: 1.0,
            ..ColorJitter::default()
        };
        let solarize = Solarize {
            threshold: crate::Range::new(0.2, 0.4),
        };
        for transform in [crate::AnyTransform::from(jitter), solarize.into()] {
            let built = transform.build().unwrap();
            let tones = DistinctTones::of(&image);
            for index in 0..20 {
                let draw = built.draw(ToneAudit { draws: 1, seed: 3 }.key(index));
                let by_tones = tones.after(&built, &image, &draw).unwrap().unwrap();
                let view = built.apply(image.view(), &draw).unwrap();
                let by_pixels = Scratch::default().reading(view, &tones);
                let by_tones = by_tones.compared_with(&tones);
                assert_eq!(by_tones.distinct, by_pixels.distinct);
                assert_eq!(by_tones.at_ends, by_pixels.at_ends);
                // Places are chosen in `f32` there and in `f64` here.
                assert!((by_tones.distance - by_pixels.distance).abs() < 1e-5);
                assert!((by_tones.max - by_pixels.max).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn histogram_and_pixels_give_one_reading() {
        let stack = texture(60, 50);
        gives_one_reading(&stack);
        gives_one_reading(&stack.mapv(Pixel::to_unit));
        // Numbers of `f32` next to each other, which fall together when they are calculated with.
        gives_one_reading(&Array3::from_shape_fn((1, 60, 50), |(_, r, c)| {
            f32::from_bits(0.3_f32.to_bits() + (50 * r + c) as u32)
        }));
    }

    #[test]
    fn moving_all_tones_by_a_tenth_is_a_distance_of_a_tenth() {
        let tones = |values: Vec<f64>| DistinctTones::new(values, vec![1, 3], None);
        let (before, after) = (tones(vec![0.2, 0.4]), tones(vec![0.3, 0.5]));
        assert!((after.compared_with(&before).distance - 0.1).abs() < 1e-4);
        assert_eq!(before.reading().distance, 0.0);
    }

    #[test]
    fn a_broken_promise_is_told() {
        let reading = |distinct, at_ends| ToneReading {
            distinct,
            min: 0.0,
            max: 1.0,
            at_ends,
            distance: 0.0,
        };
        let before = reading(100, 0.0);
        let merged = |most_lost| ToneContract {
            tones: ToneEffect::Merged { most_lost },
            clips: false,
        };
        assert!(breach(merged(0.3), true, before, reading(70, 0.0)).is_none());
        assert!(breach(merged(0.3), true, before, reading(69, 0.0)).is_some());
        assert!(breach(merged(1.0), true, before, reading(101, 0.0)).is_some());
        assert!(breach(merged(1.0), true, before, reading(99, 0.1)).is_some());
        assert!(breach(ToneContract::selected(1), true, before, reading(101, 0.0)).is_none());
        assert!(breach(ToneContract::selected(0), true, before, reading(101, 0.0)).is_some());
        assert!(breach(ToneContract::mixed(true), true, before, reading(9999, 0.5)).is_none());
    }

    #[test]
    fn the_report_does_not_depend_on_threads() {
        let stack = texture(20, 20);
        let blur = GaussianBlur::new(0.0, 2.0).build().unwrap();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let audit = ToneAudit { draws: 30, seed: 5 };
            pool.install(|| {
                audit
                    .run(&blur, &Image::new(&stack).unwrap(), || ())
                    .unwrap()
            })
        };
        assert_eq!(run(1), run(4));
        assert!(
            ToneAudit { draws: 0, seed: 1 }
                .run(&blur, &Image::new(&stack).unwrap(), || ())
                .is_err()
        );
    }
}
