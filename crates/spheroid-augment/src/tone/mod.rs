//! Transforms that change tones where they are.

mod background_jitter;
mod brightness;
mod clahe;
mod color_jitter;
mod contrast;
mod equalize;
mod gain;
mod gamma;
mod grayscale;
mod hue;
mod rgb;
mod saturation;
mod solarize;
mod tone_budget;
mod tone_curve;

pub use background_jitter::BackgroundJitter;
pub use brightness::{Brightness, BrightnessDraw};
pub use clahe::{Clahe, ClaheDraw};
pub use color_jitter::{ColorJitter, ColorJitterDraw, ColorStep};
pub use contrast::{Contrast, ContrastDraw};
pub use equalize::Equalize;
pub use gain::{Gain, GainDraw};
pub use gamma::{Gamma, GammaDraw};
pub use grayscale::Grayscale;
pub use hue::{Hue, HueDraw};
pub use saturation::{Saturation, SaturationDraw};
pub use solarize::{Solarize, SolarizeDraw};
pub use tone_budget::{ToneBudget, ToneBudgetDraw, ToneStrength};
pub use tone_curve::{ToneCurve, ToneCurveDraw};
