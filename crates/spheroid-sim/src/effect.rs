use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use spheroid_core::{Day, ParamError, WellId, non_negative};

use crate::stream::Stream;

/// In which visible form a drug's kill shows: relative weights of four kinds of effect.
///
/// Only the ratios count: the amounts of a drug are the mix, scaled to Euclidean length 1, times the
/// kill. Each kind is about as conspicuous as the others for the same amount, so what is seen in
/// all follows the kill, while any one kind follows it only for some drugs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EffectMix {
    /// The volume falls.
    pub shrink: f64,
    /// Cells are shed: debris around, a ragged and even wider outline, a thinner body.
    pub scatter: f64,
    /// The core dies and darkens.
    pub necrosis: f64,
    /// The grain becomes coarser and stronger; size and mean brightness stay.
    pub coarsen: f64,
}

impl EffectMix {
    /// No effect at all.
    pub(crate) const NONE: Self = Self {
        shrink: 0.0,
        scatter: 0.0,
        necrosis: 0.0,
        coarsen: 0.0,
    };

    pub(crate) fn from_array([shrink, scatter, necrosis, coarsen]: [f64; 4]) -> Self {
        Self {
            shrink,
            scatter,
            necrosis,
            coarsen,
        }
    }

    pub(crate) fn to_array(self) -> [f64; 4] {
        [self.shrink, self.scatter, self.necrosis, self.coarsen]
    }

    pub(crate) fn check(self) -> Result<(), ParamError> {
        let weights = ["shrink", "scatter", "necrosis", "coarsen"]
            .into_iter()
            .zip(self.to_array());
        for (name, weight) in weights {
            non_negative(name, weight)?;
        }
        let sum: f64 = self.to_array().iter().sum();
        if sum.is_finite() && sum > 0.0 {
            Ok(())
        } else {
            Err(ParamError::new(
                "mix",
                sum,
                "four weights with a finite sum > 0",
            ))
        }
    }

    /// The same ratios with the Euclidean length 1; no effect stays none.
    pub(crate) fn normalised(self) -> Self {
        let length = self
            .to_array()
            .iter()
            .map(|weight| weight * weight)
            .sum::<f64>()
            .sqrt();
        if length > 0.0 {
            self.times(length.recip())
        } else {
            Self::NONE
        }
    }

    pub(crate) fn times(self, factor: f64) -> Self {
        Self::from_array(self.to_array().map(|weight| weight * factor))
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        let mut sum = self.to_array();
        sum.iter_mut()
            .zip(other.to_array())
            .for_each(|(a, b)| *a += b);
        Self::from_array(sum)
    }

    /// Amounts by which a spheroid differs from the median one without any drug: of standard
    /// deviation `spread`, half of the variance the well's own and half that of the day.
    pub(crate) fn natural(spread: f64, seed: u64, well: WellId, day: Day) -> Self {
        let stays = &mut Stream::Look.of_well(seed, well);
        let varies = &mut Stream::Look.of_image(seed, well, day);
        let mut amount = || {
            let own: f64 = StandardNormal.sample(stays);
            let today: f64 = StandardNormal.sample(varies);
            spread * std::f64::consts::FRAC_1_SQRT_2 * (own + today)
        };
        Self::from_array([(); 4].map(|()| amount()))
    }

    /// The mix of a combination: each drug's mix weighted by its own kill, at length 1; none without
    /// a kill.
    pub(crate) fn combined(parts: &[(f64, Self)]) -> Self {
        parts
            .iter()
            .fold(Self::NONE, |sum, (kill, mix)| {
                sum.plus(mix.normalised().times(*kill))
            })
            .normalised()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_combination_mixes_by_kill() {
        let shrink = EffectMix {
            shrink: 2.0,
            ..EffectMix::NONE
        };
        let scatter = EffectMix {
            scatter: 1.0,
            ..EffectMix::NONE
        };
        let mix = EffectMix::combined(&[(0.6, shrink), (0.2, scatter)]);
        // (0.6, 0.2) at length 1 is (3, 1) / √10.
        let length = 10f64.sqrt();
        assert!((mix.shrink - 3.0 / length).abs() < 1e-12);
        assert!((mix.scatter - 1.0 / length).abs() < 1e-12);
        assert_eq!((mix.necrosis, mix.coarsen), (0.0, 0.0));
        assert_eq!(EffectMix::combined(&[(0.0, shrink)]), EffectMix::NONE);
        assert_eq!(EffectMix::combined(&[]), EffectMix::NONE);
    }

    #[test]
    fn refuses_weights_that_are_no_mix() {
        assert!(EffectMix::NONE.check().is_err());
        for bad in [f64::NAN, -1.0, f64::INFINITY] {
            for kind in 0..4 {
                let mut weights = [1.0; 4];
                weights[kind] = bad;
                assert!(
                    EffectMix::from_array(weights).check().is_err(),
                    "{weights:?}"
                );
            }
        }
        assert!(EffectMix::from_array([f64::MAX; 4]).check().is_err());
        assert!(EffectMix::from_array([0.0, 0.0, 3.0, 0.0]).check().is_ok());
    }
}
