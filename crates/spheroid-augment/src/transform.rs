use std::fmt::Debug;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use spheroid_core::{Augment, DrawKey, ParamError};
use spheroid_imaging::SampleType;

use crate::{AugmentError, Image, Pixel, Real, ToneContract, Tones};

/// Settings of a random transform of images, with the choice of parameters apart from their use.
///
/// A type that implements this is data: it is read from JSON, compared and printed.
/// [`build`](Self::build) checks it and gives what runs.
///
/// Every transform works on every [`Pixel`], one plane or many, with one draw for all planes.
/// Calculations are in floating point; integers are rounded once, to nearest, and end at their range.
/// What is called a share is a share of full scale: 255, 65,535 or 1.0.
pub trait Transform:
    Debug + Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + Sized
{
    /// Everything random about one use.
    type Draw: Debug + Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync;

    /// Name in policies and messages, such as `gaussian_blur`.
    fn name(&self) -> &'static str;

    /// Accepts settings that can be used.
    ///
    /// # Errors
    /// When a setting is outside what is allowed.
    fn check(&self) -> Result<(), ParamError>;

    /// Chooses parameters.
    fn draw(&self, rng: &mut ChaCha8Rng) -> Self::Draw;

    /// Uses the parameters of `draw`, which may come from a file.
    ///
    /// # Errors
    /// When the image is not what the transform works on, or the draw is impossible.
    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &Self::Draw,
    ) -> Result<Image<'a, T>, AugmentError>;

    /// As [`apply`](Self::apply), with a result on the unit scale that is never rounded.
    ///
    /// # Errors
    /// As `apply`.
    fn apply_to_unit<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &Self::Draw,
    ) -> Result<Image<'a, f32>, AugmentError> {
        self.apply(image.into_unit(), draw)
    }

    /// What becomes of the tones of an image of this type.
    fn tone_contract(&self, sample_type: SampleType) -> ToneContract;

    /// Does to the tones of a focal stack what [`apply`](Self::apply) does to its pixels, in `f32` for
    /// floating point, and in `f64` before rounding for integers. `false`, with the tones as they were, when one tone may become several.
    ///
    /// # Errors
    /// As `apply`.
    fn map_tones<V: Real>(
        &self,
        tones: Tones<'_, V>,
        draw: &Self::Draw,
    ) -> Result<bool, AugmentError> {
        let _ = (tones, draw);
        Ok(false)
    }

    /// Whether [`apply`](Self::apply) only moves or drops pixels, so that it can work on the stored
    /// samples without rounding them.
    fn only_moves_pixels(&self) -> bool {
        false
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    fn build(self) -> Result<Built<Self>, AugmentError> {
        self.check()?;
        Ok(Built { transform: self })
    }
}

/// A transform whose settings are checked.
///
/// # Example
/// ```
/// use ndarray::Array3;
/// use spheroid_augment::{Brightness, Image, Transform};
/// use spheroid_core::{Augment, DrawKey};
///
/// let brightness = Brightness { strength: 0.2 }.build()?;
/// let draw = brightness.draw(DrawKey { seed: 1, epoch: 0, item: 0, view: 0 });
/// let stack = Array3::<u16>::from_elem((3, 8, 8), 10_000);
/// let brighter = brightness.apply(Image::new(&stack)?, &draw)?;
/// let expected = (10_000.0 * draw.factor).round() as u16;
/// assert!(brighter.samples().iter().all(|&sample| sample == expected));
/// # Ok::<(), spheroid_augment::AugmentError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Built<X> {
    transform: X,
}

impl<X: Transform> Built<X> {
    /// The settings.
    pub fn settings(&self) -> &X {
        &self.transform
    }

    /// Chooses the parameters that `key` fixes.
    pub fn draw(&self, key: DrawKey) -> X::Draw {
        self.transform.draw(&mut key.rng())
    }

    /// Uses the parameters of `draw`; flips, turns and crops of the middle copy no pixel.
    ///
    /// # Errors
    /// When the image is not what the transform works on, or the draw is impossible.
    pub fn apply<'b, T: Pixel>(
        &self,
        image: Image<'b, T>,
        draw: &X::Draw,
    ) -> Result<Image<'b, T>, AugmentError> {
        self.transform.apply(image, draw)
    }
}

impl<'a, T: Pixel, X: Transform> Augment<Image<'a, T>> for Built<X> {
    type Draw = X::Draw;
    type View = Image<'static, T>;
    type Error = AugmentError;

    fn draw(&self, key: DrawKey) -> X::Draw {
        self.draw(key)
    }

    fn apply(
        &self,
        image: &Image<'a, T>,
        draw: &X::Draw,
    ) -> Result<Image<'static, T>, AugmentError> {
        Ok(self.apply(image.view(), draw)?.into_owned())
    }
}

/// A range of which values are drawn evenly, both ends included: `[from, to]` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 2]", into = "[f64; 2]")]
pub struct Range {
    /// Least value.
    pub from: f64,
    /// Largest value.
    pub to: f64,
}

impl Range {
    /// From `from` to `to`.
    pub const fn new(from: f64, to: f64) -> Self {
        Self { from, to }
    }

    /// One value.
    pub const fn only(value: f64) -> Self {
        Self::new(value, value)
    }

    /// Draws a value.
    pub(crate) fn draw(self, rng: &mut ChaCha8Rng) -> f64 {
        rng.random_range(self.from..=self.to)
    }

    /// Draws a value so that equal ratios are equally likely; for ranges above 0.
    ///
    /// Clamped, since the exponential of a logarithm may lie beyond its number.
    pub(crate) fn draw_ratio(self, rng: &mut ChaCha8Rng) -> f64 {
        Self::new(self.from.ln(), self.to.ln())
            .draw(rng)
            .exp()
            .clamp(self.from, self.to)
    }

    /// Accepts an ascending range within `least` to `most`; `rule` is the sentence that the user reads.
    pub(crate) fn check(
        self,
        param: &'static str,
        least: f64,
        most: f64,
        rule: &'static str,
    ) -> Result<(), ParamError> {
        if least <= self.from && self.from <= self.to && self.to <= most {
            Ok(())
        } else {
            let got = format!("{} to {}", self.from, self.to);
            Err(ParamError::new(param, got, rule))
        }
    }
}

impl From<[f64; 2]> for Range {
    fn from([from, to]: [f64; 2]) -> Self {
        Self { from, to }
    }
}

impl From<Range> for [f64; 2] {
    fn from(range: Range) -> Self {
        [range.from, range.to]
    }
}
