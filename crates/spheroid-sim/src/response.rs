use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, fraction, positive};

/// Dose response of one drug: the fraction of cells that a concentration kills.
///
/// ```text
/// kill(c) = emax · c^slope / (ec50^slope + c^slope)
/// ```
///
/// # Source
/// Hill (1910), J. Physiol. 40, iv–vii; in the form of Holford and Sheiner (1981),
/// doi:10.2165/00003088-198106060-00002.
///
/// # Example
/// ```
/// let hill = spheroid_sim::Hill { emax: 0.8, ec50: 2.0, slope: 1.5 };
/// assert_eq!(hill.kill(2.0), 0.4); // half of the maximum at EC50
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Hill {
    /// Fraction killed at an endless concentration, 0 to 1.
    pub emax: f64,
    /// Concentration of half the maximum, in the unit of the doses; above 0.
    pub ec50: f64,
    /// Steepness (Hill coefficient); above 0.
    pub slope: f64,
}

impl Hill {
    /// Fraction killed at `concentration`, 0 to `emax`; 0 for no drug.
    pub fn kill(&self, concentration: f64) -> f64 {
        if concentration > 0.0 {
            // This form of the fraction does not overflow for large concentrations.
            self.emax / (1.0 + (self.ec50 / concentration).powf(self.slope))
        } else {
            0.0
        }
    }

    /// The concentration that kills `kill`, which must lie between 0 and `emax`.
    pub(crate) fn concentration(&self, kill: f64) -> f64 {
        self.ec50 * (kill / (self.emax - kill)).powf(self.slope.recip())
    }

    pub(crate) fn check(&self) -> Result<(), ParamError> {
        fraction("emax", self.emax)?;
        positive("ec50", self.ec50)?;
        positive("slope", self.slope)?;
        Ok(())
    }
}

/// Fraction killed by drugs that act independently: `1 - Π (1 - killᵢ)`.
///
/// No drug kills nothing.
///
/// # Source
/// Bliss (1939), doi:10.1111/j.1744-7348.1939.tb06990.x.
///
/// # Example
/// ```
/// assert_eq!(spheroid_sim::bliss([0.5, 0.5]), 0.75);
/// assert_eq!(spheroid_sim::bliss([]), 0.0);
/// ```
pub fn bliss(kills: impl IntoIterator<Item = f64>) -> f64 {
    1.0 - kills.into_iter().map(|kill| 1.0 - kill).product::<f64>()
}

/// Days after dosing by which 63 % of the effect shows.
const ONSET_SCALE: f64 = 1.8;
/// How late and how suddenly the effect sets in.
const ONSET_SHAPE: f64 = 2.5;

/// Share of the final effect that shows `elapsed` days after dosing: a Weibull curve, 0 until the
/// drug is given, 0.21 after one day, 0.73 after two and 0.97 after three.
pub(crate) fn onset(elapsed: f64) -> f64 {
    1.0 - (-(elapsed.max(0.0) / ONSET_SCALE).powf(ONSET_SHAPE)).exp()
}

/// Kill of one well, of which `kill` is the median: logistic-normal, with a standard deviation of
/// about `spread` where it is widest (a kill of one half). Nothing stays nothing.
pub(crate) fn vary(kill: f64, spread: f64, z: f64) -> f64 {
    let odds = kill / (1.0 - kill) * (4.0 * spread * z).exp();
    if odds.is_finite() {
        odds / (1.0 + odds)
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hill_by_hand() {
        let hill = Hill {
            emax: 0.9,
            ec50: 2.0,
            slope: 2.0,
        };
        // 0.9 · 16 / (4 + 16) and 0.9 · 1 / (4 + 1)
        assert!((hill.kill(4.0) - 0.72).abs() < 1e-12);
        assert!((hill.kill(1.0) - 0.18).abs() < 1e-12);
        assert_eq!(hill.kill(0.0), 0.0);
        assert!((hill.kill(f64::MAX) - 0.9).abs() < 1e-12);
    }

    #[test]
    fn bliss_by_hand() {
        assert!((bliss([0.2, 0.5]) - 0.6).abs() < 1e-12);
        assert!((bliss([0.2, 0.5, 0.5]) - 0.8).abs() < 1e-12);
        assert!((bliss([0.3]) - 0.3).abs() < 1e-12);
        assert_eq!(bliss([1.0, 0.3]), 1.0);
    }

    #[test]
    fn the_effect_is_small_after_a_day_and_nearly_full_after_three() {
        assert_eq!(onset(-1.0), 0.0);
        assert_eq!(onset(0.0), 0.0);
        assert!(onset(1.0) < 0.25 && onset(3.0) > 0.95);
    }

    #[test]
    fn wells_vary_around_the_median_but_nothing_stays_nothing() {
        assert_eq!(vary(0.0, 0.1, 3.0), 0.0);
        assert_eq!(vary(1.0, 0.1, -3.0), 1.0);
        assert!((vary(0.4, 0.1, 0.0) - 0.4).abs() < 1e-12);
        // The slope of the logistic at one half is 1/4, hence the factor 4.
        assert!((vary(0.5, 0.02, 1.0) - 0.52).abs() < 1e-4);
    }

    proptest! {
        #[test]
        fn inverse_of_hill(emax in 0.2..1.0f64, ec50 in 0.01..100.0f64, slope in 0.5..4.0f64,
                           share in 0.01..0.99f64) {
            let hill = Hill { emax, ec50, slope };
            let kill = share * emax;
            prop_assert!((hill.kill(hill.concentration(kill)) - kill).abs() < 1e-9);
        }

        #[test]
        fn a_further_drug_never_kills_less(kills in prop::collection::vec(0.0..=1.0f64, 0..5),
                                           more in 0.0..=1.0f64) {
            let before = bliss(kills.iter().copied());
            let after = bliss(kills.into_iter().chain([more]));
            prop_assert!(after >= before - 1e-12 && (0.0..=1.0 + 1e-12).contains(&after));
        }
    }
}
