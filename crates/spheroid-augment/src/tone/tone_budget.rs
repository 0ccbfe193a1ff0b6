use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, fraction};
use spheroid_imaging::SampleType;

use super::brightness::check_strength;
use crate::{
    AugmentError, Image, Pixel, Range, ToneContract, ToneEffect, Tones, Transform,
    tones::{self, Histogram, Real, ToneMap},
};

/// Changes brightness and contrast without ever losing more than a stated share of an image's distinct
/// values.
///
/// The change is `b · (m + c · (x − m))` with the brightness `b`, the contrast `c` and the mean `m`, clamped
/// once at the end. Distinct values are lost where they are clamped, and where a slope `b · c` below 1
/// lets neighbours round to one value. Both are bounded from the image's histogram, and `b` and `c` are
/// drawn from the region where the bounds together stay within the budget: there is no trial and no
/// rejection. [`strength`](Self::strength) tells how much of the wanted change an image allows.
///
/// Values are clamped to the range from 0 to full scale, or to that of the image where `f32` lies beyond.
///
/// A stack has one histogram: all planes together lose no more than the share.
///
/// # Example
/// ```
/// use ndarray::Array3;
/// use spheroid_augment::{Image, ToneBudget, Transform};
///
/// let stack = Array3::from_shape_fn((1, 40, 100), |(_, r, c)| 8000 + 8 * (100 * r + c) as u16);
/// let budget = ToneBudget::new(0.3);
/// let strength = budget.strength(&Image::new(&stack)?)?;
/// // The brightest 30 % of the tones may be clamped, and 12 bits in 16 leave room to darken.
/// assert!(strength.brightness.to > 1.2 && strength.brightness.from < 0.2);
/// # Ok::<(), spheroid_augment::AugmentError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToneBudget {
    /// Largest share of the distinct values that may be lost, 0 to 1.
    pub share: f64,
    /// Largest wanted change of brightness, as of [`Brightness`](super::Brightness).
    #[serde(default = "one")]
    pub brightness: f64,
    /// Largest wanted change of contrast, as of [`Contrast`](super::Contrast).
    #[serde(default = "one")]
    pub contrast: f64,
}

fn one() -> f64 {
    1.0
}

/// Where in the region that an image allows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToneBudgetDraw {
    /// From the least (0) to the largest (1) brightness that the image and the contrast allow.
    pub brightness: f64,
    /// From the least (0) to the largest (1) contrast that the image allows.
    pub contrast: f64,
}

/// How much brightness and contrast may vary on an image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ToneStrength {
    /// Factors of brightness that are drawn at contrast 1.
    pub brightness: Range,
    /// Factors of contrast that are drawn at brightness 1.
    pub contrast: Range,
}

impl ToneBudget {
    /// At most `share` of the distinct values may be lost; brightness and contrast are wanted to vary
    /// between 0 and 2.
    pub fn new(share: f64) -> Self {
        Self {
            share,
            brightness: 1.0,
            contrast: 1.0,
        }
    }

    /// How much brightness and contrast may vary on `image`.
    ///
    /// # Errors
    /// When a setting is outside what is allowed or a pixel is not finite.
    pub fn strength<T: Pixel>(&self, image: &Image<'_, T>) -> Result<ToneStrength, AugmentError> {
        self.check()?;
        let mut pixels: Vec<f32>;
        let mut histogram;
        let room = if T::INTEGER {
            histogram = Histogram::of(image.samples());
            self.room(&histogram.tones())?
        } else {
            pixels = image
                .samples()
                .iter()
                .map(|pixel| pixel.to_unit())
                .collect();
            self.room(&Tones::of_pixels(&mut pixels))?
        };
        Ok(ToneStrength {
            brightness: self.brightness_range(&room, 1.0),
            contrast: self.contrast_range(&room),
        })
    }

    fn room<V: Real>(&self, tones: &Tones<'_, V>) -> Result<Room, AugmentError> {
        Room::new(tones, self.share)
    }

    /// Contrasts that stay within the budget at brightness 1, and 1 at least.
    fn contrast_range(&self, room: &Room) -> Range {
        let least = room
            .least_slope(room.budget)
            .max(1.0 - self.contrast)
            .min(1.0);
        // Steeper slopes merge no more than a slope of 1 does.
        let merged = room.most_merged(1.0);
        let most = largest_below(1.0 + self.contrast, |contrast| {
            merged + room.clipped(1.0, contrast) <= room.budget
        });
        Range::new(least, most)
    }

    /// Brightnesses that stay within the budget at a contrast within [`Self::contrast_range`], and 1 at
    /// least.
    fn brightness_range(&self, room: &Room, contrast: f64) -> Range {
        // Darkening clips no more than brightness 1 does; the rest may be lost by rounding.
        let rest = room.budget.saturating_sub(room.clipped(1.0, contrast));
        let wanted = (1.0 - self.brightness).max(0.0);
        let least = (room.least_slope(rest) / contrast).max(wanted).min(1.0);
        // Brightening merges no more than brightness 1 does; the rest may be clipped.
        let merged = room.most_merged(contrast);
        let most = largest_below(1.0 + self.brightness, |brightness| {
            merged + room.clipped(brightness, contrast) <= room.budget
        });
        Range::new(least, most)
    }
}

/// The largest factor from 1 to `most` for which `allowed` holds, where it holds for all smaller
/// ones; 1 when there is none.
fn largest_below(most: f64, allowed: impl Fn(f64) -> bool) -> f64 {
    if allowed(most) {
        return most;
    }
    let (mut low, mut high) = (1.0, most);
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        if allowed(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The distinct values of an image, and what a change of brightness and contrast can do to them.
struct Room {
    /// Distinct values, ascending: counts of integers, the unit scale otherwise.
    values: Vec<f64>,
    mean: f64,
    /// Number of distinct values that may be lost.
    budget: usize,
    /// Ends to which values are clamped.
    range: (f64, f64),
    grid: Grid,
    /// Widths of the gaps between neighbours, ascending; of integers without repetition.
    gaps: Vec<f64>,
}

/// On what results are rounded.
#[derive(Clone, Copy, PartialEq)]
enum Grid {
    /// Whole counts.
    Integer,
    /// The numbers of `f32`, nowhere farther apart than this within the range.
    Float(f64),
}

/// Slopes of integers are multiples of it, so that products with counts are exact.
const SLOPE_STEP: f64 = 1.0 / (1 << 20) as f64;

impl Room {
    fn new<V: Real>(tones: &Tones<'_, V>, share: f64) -> Result<Self, AugmentError> {
        let scale = tones.full().unwrap_or(1.0);
        let mut values = Vec::new();
        tones.for_each(|tone, _| values.push(tone * scale));
        if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
            return Err(AugmentError::NotFinite {
                transform: "tone_budget",
                value: value as f32,
            });
        }
        let grid = if tones.full().is_some() {
            values.iter_mut().for_each(|value| *value = value.round());
            Grid::Integer
        } else {
            values.sort_unstable_by(f64::total_cmp);
            values.dedup();
            let magnitude = values[0].abs().max(values[values.len() - 1].abs()).max(1.0);
            // Numbers just below a power of two are this far apart, and smaller ones are nearer.
            let power = magnitude.log2().ceil() as i32;
            Grid::Float(2_f64.powi(power - 24))
        };
        let mut gaps: Vec<f64> = values.windows(2).map(|pair| pair[1] - pair[0]).collect();
        gaps.sort_unstable_by(f64::total_cmp);
        if grid == Grid::Integer {
            gaps.dedup();
        }
        Ok(Self {
            mean: tones.mean() * scale,
            budget: (share * values.len() as f64).floor() as usize,
            range: (values[0].min(0.0), values[values.len() - 1].max(scale)),
            values,
            grid,
            gaps,
        })
    }

    fn changed(&self, value: f64, brightness: f64, contrast: f64) -> f64 {
        brightness * (self.mean + contrast * (value - self.mean))
    }

    /// Number of values that are clamped, and so may become one with a neighbour.
    fn clipped(&self, brightness: f64, contrast: f64) -> usize {
        // So near to the range rounding goes to its end all the same.
        let slack = match self.grid {
            Grid::Integer => 0.25,
            Grid::Float(step) => 0.25 * step,
        };
        let changed = |value: &f64| self.changed(*value, brightness, contrast);
        let low = self
            .values
            .partition_point(|value| changed(value) < self.range.0 - slack);
        let kept = self
            .values
            .partition_point(|value| changed(value) <= self.range.1 + slack);
        low + (self.values.len() - kept)
    }

    /// The least slope at which, and above which, at most `lost` pairs of neighbours can become one
    /// by rounding, wherever the values come to lie.
    fn least_slope(&self, lost: usize) -> f64 {
        match self.grid {
            // A gap of more than two steps stays open after clamping and rounding.
            Grid::Float(step) => self
                .gaps
                .get(lost)
                .map_or(0.0, |gap| (2.0 * step / gap).min(1.0)),
            Grid::Integer => self.least_integer_slope(lost),
        }
    }

    fn least_integer_slope(&self, lost: usize) -> f64 {
        let on_step = |slope: f64| (slope / SLOPE_STEP).ceil() * SLOPE_STEP;
        // Between the inverses of two neighbouring gap widths the same gaps can close, and the bound
        // falls with the slope.
        for (index, gap) in self.gaps.iter().enumerate() {
            let upper = on_step(1.0 / gap);
            let lower = self
                .gaps
                .get(index + 1)
                .map_or(0.0, |wider| on_step(1.0 / wider));
            if self.mergeable(lower, *gap) <= lost {
                continue;
            }
            // Steps from `lower`, which is too flat, to `upper`, at which no such gap closes.
            let (mut flat, mut steep) = (lower, upper);
            while steep - flat > SLOPE_STEP {
                let middle = on_step(0.5 * (flat + steep));
                if middle >= steep {
                    break;
                }
                if self.mergeable(middle, *gap) <= lost {
                    steep = middle;
                } else {
                    flat = middle;
                }
            }
            return steep.min(1.0);
        }
        0.0
    }

    /// Most pairs of neighbours that can become one at a slope, and at any larger one.
    fn most_merged(&self, slope: f64) -> usize {
        match self.grid {
            Grid::Float(step) => self.gaps.partition_point(|gap| gap * slope <= 2.0 * step),
            Grid::Integer => {
                let closing = self.gaps.iter().take_while(|&gap| gap * slope < 1.0);
                let wider = self.gaps.iter().skip(1).map(|wider| 1.0 / wider);
                let lower = wider.chain([0.0]).map(|lower| lower.max(slope));
                let bounds = closing
                    .zip(lower)
                    .map(|(gap, lower)| self.mergeable(lower, *gap));
                bounds.max().unwrap_or(0)
            }
        }
    }

    /// Most pairs of integers that rounding can make one at `slope`, when gaps up to `widest` are so
    /// narrow that they can close.
    ///
    /// In a run of such gaps neighbours differ by 0 or 1 after rounding, so a run of `n` gaps over a
    /// span `w` keeps at least `⌊slope · w⌋` of them open.
    fn mergeable(&self, slope: f64, widest: f64) -> usize {
        let mut closed = 0;
        let (mut gaps, mut span) = (0, 0.0);
        let mut end_run = |gaps: &mut usize, span: &mut f64| {
            closed += *gaps - ((slope * *span).floor() as usize).min(*gaps);
            (*gaps, *span) = (0, 0.0);
        };
        for pair in self.values.windows(2) {
            let gap = pair[1] - pair[0];
            if gap <= widest {
                gaps += 1;
                span += gap;
            } else {
                end_run(&mut gaps, &mut span);
            }
        }
        end_run(&mut gaps, &mut span);
        closed
    }
}

/// A drawn place in the region, with the settings that fix the region.
struct Within<'a> {
    budget: &'a ToneBudget,
    draw: &'a ToneBudgetDraw,
}

impl ToneMap for Within<'_> {
    fn map<V: Real>(&self, mut tones: Tones<'_, V>) -> Result<(), AugmentError> {
        let place = |param, share, range: Range| {
            Ok::<f64, ParamError>(range.from + fraction(param, share)? * (range.to - range.from))
        };
        let Self { budget, draw } = *self;
        let room = budget.room(&tones)?;
        let contrast = place("contrast", draw.contrast, budget.contrast_range(&room))?;
        let range = budget.brightness_range(&room, contrast);
        let brightness = place("brightness", draw.brightness, range)?;
        if (brightness, contrast) == (1.0, 1.0) {
            return Ok(());
        }
        let (slope, offset) = (
            brightness * contrast,
            brightness * (1.0 - contrast) * room.mean,
        );
        let (low, high) = room.range;
        match tones.full() {
            None => tones.map(|tone| (slope * tone + offset).clamp(low, high)),
            // Upwards, since flatter is what loses tones; exact from here on, so that the bound holds.
            Some(full) => {
                let slope = (slope / SLOPE_STEP).ceil() * SLOPE_STEP;
                let offset = (offset / SLOPE_STEP).round() * SLOPE_STEP;
                tones.map(|tone| {
                    let counts = slope * (tone * full).round() + offset;
                    counts.round().clamp(low, high) / full
                });
            }
        }
        Ok(())
    }
}

impl Transform for ToneBudget {
    type Draw = ToneBudgetDraw;

    fn name(&self) -> &'static str {
        "tone_budget"
    }

    fn check(&self) -> Result<(), ParamError> {
        fraction("share", self.share)?;
        check_strength("brightness", self.brightness)?;
        check_strength("contrast", self.contrast)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> ToneBudgetDraw {
        ToneBudgetDraw {
            brightness: rng.random_range(0.0..=1.0),
            contrast: rng.random_range(0.0..=1.0),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &ToneBudgetDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        tones::apply(image, &Within { budget: self, draw })
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract {
            tones: ToneEffect::Merged {
                most_lost: self.share,
            },
            clips: true,
        }
    }

    fn map_tones<V: Real>(
        &self,
        tones: Tones<'_, V>,
        draw: &ToneBudgetDraw,
    ) -> Result<bool, AugmentError> {
        Within { budget: self, draw }.map(tones).map(|()| true)
    }
}
