//! The transforms that a policy can name.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;
use spheroid_imaging::SampleType;

use crate::{
    Affine, AugmentError, BackgroundJitter, Brightness, CenterCrop, Clahe, ColorJitter, Contrast,
    Cutout, Defocus, EdgeShading, Elastic, Equalize, Gain, Gamma, GaussianBlur, GaussianNoise,
    Grayscale, HorizontalFlip, Hue, IlluminationGradient, Image, Median, Pixel, PlaneDropout,
    PlaneSampling, QuarterTurn, RandomResizedCrop, ReadNoise, Real, Resize, Saturation, ShotNoise,
    Solarize, SpheroidCrop, ToneBudget, ToneContract, ToneCurve, Tones, Transform, Unsharp,
    VerticalFlip,
};

macro_rules! transforms {
    ($($transform:ident),* $(,)?) => {
        /// A transform by its name, as it stands in the JSON of a policy:
        /// `{"gaussian_blur": {"sigma": [0.1, 2.0]}}`.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum AnyTransform {
            $(#[doc = concat!("See [`", stringify!($transform), "`](crate::", stringify!($transform), ").")]
            $transform($transform),)*
        }

        /// What an [`AnyTransform`] drew.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum AnyDraw {
            $(#[doc = concat!("Of [`", stringify!($transform), "`](crate::", stringify!($transform), ").")]
            $transform(<$transform as Transform>::Draw),)*
        }

        $(impl From<$transform> for AnyTransform {
            fn from(transform: $transform) -> Self {
                Self::$transform(transform)
            }
        })*

        impl Transform for AnyTransform {
            type Draw = AnyDraw;

            fn name(&self) -> &'static str {
                match self {
                    $(Self::$transform(transform) => transform.name(),)*
                }
            }

            fn check(&self) -> Result<(), ParamError> {
                match self {
                    $(Self::$transform(transform) => transform.check(),)*
                }
            }

            fn draw(&self, rng: &mut ChaCha8Rng) -> AnyDraw {
                match self {
                    $(Self::$transform(transform) => AnyDraw::$transform(transform.draw(rng)),)*
                }
            }

            fn apply<'a, T: Pixel>(
                &self,
                image: Image<'a, T>,
                draw: &AnyDraw,
            ) -> Result<Image<'a, T>, AugmentError> {
                match (self, draw) {
                    $((Self::$transform(transform), AnyDraw::$transform(draw)) => {
                        transform.apply(image, draw)
                    })*
                    _ => Err(self.foreign(draw)),
                }
            }

            fn apply_to_unit<'a, T: Pixel>(
                &self,
                image: Image<'a, T>,
                draw: &AnyDraw,
            ) -> Result<Image<'a, f32>, AugmentError> {
                match (self, draw) {
                    $((Self::$transform(transform), AnyDraw::$transform(draw)) => {
                        transform.apply_to_unit(image, draw)
                    })*
                    _ => Err(self.foreign(draw)),
                }
            }

            fn tone_contract(&self, sample_type: SampleType) -> ToneContract {
                match self {
                    $(Self::$transform(transform) => transform.tone_contract(sample_type),)*
                }
            }

            fn map_tones<V: Real>(&self, tones: Tones<'_, V>, draw: &AnyDraw) -> Result<bool, AugmentError> {
                match (self, draw) {
                    $((Self::$transform(transform), AnyDraw::$transform(draw)) => {
                        transform.map_tones(tones, draw)
                    })*
                    _ => Err(self.foreign(draw)),
                }
            }

            fn only_moves_pixels(&self) -> bool {
                match self {
                    $(Self::$transform(transform) => transform.only_moves_pixels(),)*
                }
            }
        }
    };
}

transforms! {
    Affine,
    BackgroundJitter,
    Brightness,
    CenterCrop,
    Clahe,
    ColorJitter,
    Contrast,
    Cutout,
    Defocus,
    EdgeShading,
    Elastic,
    Equalize,
    Gain,
    Gamma,
    GaussianBlur,
    GaussianNoise,
    Grayscale,
    HorizontalFlip,
    Hue,
    IlluminationGradient,
    Median,
    PlaneDropout,
    PlaneSampling,
    QuarterTurn,
    RandomResizedCrop,
    ReadNoise,
    Resize,
    Saturation,
    ShotNoise,
    Solarize,
    SpheroidCrop,
    ToneBudget,
    ToneCurve,
    Unsharp,
    VerticalFlip,
}

impl AnyTransform {
    fn foreign(&self, draw: &AnyDraw) -> AugmentError {
        AugmentError::ForeignDraw {
            transform: self.name(),
            draw: format!("{draw:?}"),
        }
    }
}
