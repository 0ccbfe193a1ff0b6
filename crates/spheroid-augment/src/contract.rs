use serde::{Deserialize, Serialize};
use spheroid_imaging::SampleType;

use crate::Pixel;

/// What a transform promises about the tones of an image of a given sample type, whatever is drawn.
///
/// [`ToneAudit`](crate::ToneAudit) measures whether it keeps the promise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ToneContract {
    /// What becomes of distinct values.
    pub tones: ToneEffect,
    /// Whether pixels may come to lie at an end of the range that did not lie there, by being clamped.
    pub clips: bool,
}

/// What becomes of the distinct values of an image, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToneEffect {
    /// Pixels move or vanish: every value was there before, but for at most `added` fill values.
    Selected {
        /// Number of values that may be new.
        added: usize,
    },
    /// Equal tones stay equal, and different tones of 16 bits (multiples of 1/65,535 from 0 to full scale)
    /// stay different. Numbers of `f32` that are nearer to each other, or beyond, may become one.
    OneToOne,
    /// Equal tones stay equal; of the distinct tones at most this share is lost.
    Merged {
        /// 0 to 1.
        most_lost: f64,
    },
    /// Tones that were not there before, and equal tones may become different: pixels are mixed with
    /// others, or with noise.
    Mixed,
}

impl ToneContract {
    /// Pixels move, and up to `added` fill values come in.
    pub(crate) const fn selected(added: usize) -> Self {
        Self {
            tones: ToneEffect::Selected { added },
            clips: false,
        }
    }

    /// One tone becomes one tone; different tones may become one.
    pub(crate) const fn merged(clips: bool) -> Self {
        Self {
            tones: ToneEffect::Merged { most_lost: 1.0 },
            clips,
        }
    }

    /// New tones come up.
    pub(crate) const fn mixed(clips: bool) -> Self {
        Self {
            tones: ToneEffect::Mixed,
            clips,
        }
    }
}

/// Whether a fill value comes to lie at an end of the range once it is stored.
pub(crate) fn fills_an_end(fill: f32, sample_type: SampleType) -> bool {
    let stored = match sample_type {
        SampleType::U8 => u8::from_unit(fill).to_unit(),
        SampleType::U16 => u16::from_unit(fill).to_unit(),
        _ => fill,
    };
    stored <= 0.0 || stored >= 1.0
}
