//! Augmentation that keeps the tones of 16-bit focal stacks.
//!
//! | question | answer |
//! |---|---|
//! | Two random views of a stack, please | [`PolicyConfig::preset`], [`Policy`] |
//! | One transform, on its own | [`Transform::build`], [`Built`] |
//! | What does a transform do to the tones? | [`ToneContract`], [`ToneAudit`] |
//! | A jitter that may not cost more than 30 % of them | [`ToneBudget`] |
//! | Which patches does a masked autoencoder not see? | [`PatchMask`] |
//!
//! Every transform works on `u8`, `u16` and `f32`, on one plane or many; integers are rounded once and
//! never pass through 8 bits. Choosing parameters is apart from using them, so a draw can be logged as
//! JSON, replayed, and applied alike to several planes, an image and its mask. The key of a draw (seed,
//! epoch, item, view) fixes it, whatever threads do.
//!
//! Planes are focal planes and are never mixed as if they were colours, unless
//! [`Image::as_rgb`] declares them so.
//!
//! # What this crate will not do
//! It reads no files but policies, and it does not segment: the mask of a spheroid is given to it.

mod any;
mod audit;
mod contract;
mod cutout;
mod error;
mod filter;
mod geometry;
mod image;
mod light;
mod noise;
mod patch_mask;
mod pixel;
mod planes;
mod policy;
#[cfg(test)]
mod reference;
mod tone;
mod tones;
mod transform;

pub use any::{AnyDraw, AnyTransform};
pub use audit::{ToneAudit, ToneReading, ToneReport};
pub use contract::{ToneContract, ToneEffect};
pub use cutout::Cutout;
pub use error::AugmentError;
pub use filter::{
    Defocus, DefocusDraw, GaussianBlur, GaussianBlurDraw, Median, MedianDraw, Unsharp, UnsharpDraw,
};
pub use geometry::{
    Affine, AffineDraw, Border, CenterCrop, Elastic, ElasticDraw, HorizontalFlip, Interpolation,
    QuarterTurn, QuarterTurnDraw, RandomResizedCrop, RandomResizedCropDraw, Resize, Sampling,
    SpheroidCrop, SpheroidCropDraw, VerticalFlip,
};
pub use image::Image;
pub use light::{EdgeShading, EdgeShadingDraw, IlluminationGradient, IlluminationGradientDraw};
pub use noise::{
    GaussianNoise, GaussianNoiseDraw, ReadNoise, ReadNoiseDraw, ShotNoise, ShotNoiseDraw,
};
pub use patch_mask::{PatchMask, PatchMaskDraw};
pub use pixel::Pixel;
pub use planes::{PlaneDropout, PlaneDropoutDraw, PlaneSampling, PlaneSamplingDraw};
pub use policy::{Normalize, PlaneChoice, Policy, PolicyConfig, Step, ViewDraw, ViewGroup, Views};
pub use tone::{
    BackgroundJitter, Brightness, BrightnessDraw, Clahe, ClaheDraw, ColorJitter, ColorJitterDraw,
    ColorStep, Contrast, ContrastDraw, Equalize, Gain, GainDraw, Gamma, GammaDraw, Grayscale, Hue,
    HueDraw, Saturation, SaturationDraw, Solarize, SolarizeDraw, ToneBudget, ToneBudgetDraw,
    ToneCurve, ToneCurveDraw, ToneStrength,
};
pub use tones::{Real, Tones};
pub use transform::{Built, Range, Transform};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
