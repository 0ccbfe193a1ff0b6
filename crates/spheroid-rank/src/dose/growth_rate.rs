use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;

use super::{
    DoseWarning, LogLogistic, LogLogisticConfig, LogLogisticFitter, LogLogisticParameters,
    sigmoid::Levels,
};
use crate::RankError;

/// The size of what grows in a well, before the drug and at the end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GrowthWell {
    /// Dose of the drug; 0 in an untreated well.
    pub dose: f64,
    /// Size when the drug was given, such as the area or volume of a spheroid; above 0.
    pub start: f64,
    /// Size at the end, in the same unit; above 0, or 0 in a treated well of which nothing is left.
    pub end: f64,
}

/// Growth-rate inhibition (GR) value of a well.
///
/// ```text
/// GR = 2^(log₂(end / start) / untreated doublings) − 1
/// ```
/// 1: grows as untreated wells; 0: does not grow; down to −1: shrinks. Above 1: grows faster.
/// `untreated_doublings` is log₂(end / start) of untreated wells, above 0.
///
/// # Source
/// Hafner, Niepel, Chung and Sorger, Nature Methods 13 (2016), 521–527.
pub fn gr_value(start: f64, end: f64, untreated_doublings: f64) -> f64 {
    ((end / start).log2() / untreated_doublings).exp2() - 1.0
}

/// Settings of [`GrowthRateFitter`]; as those of [`LogLogisticConfig`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrowthRateConfig {
    /// Nominal coverage of the interval of the GEC50, between 0 and 1.
    pub confidence: f64,
    /// Least slope, above 0.
    pub least_slope: f64,
    /// Largest slope, above the least.
    pub most_slope: f64,
    /// The GEC50 is sought from the least dose over this factor to the largest times it; above 1.
    pub reach: f64,
}

impl Default for GrowthRateConfig {
    /// The limits of the R package GRmetrics.
    fn default() -> Self {
        Self {
            confidence: 0.95,
            least_slope: 0.1,
            most_slope: 5.0,
            reach: 100.0,
        }
    }
}

impl GrowthRateConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// As [`LogLogisticConfig::build`].
    pub fn build(&self) -> Result<GrowthRateFitter, ParamError> {
        let curve = LogLogisticConfig {
            parameters: LogLogisticParameters::Three { zero_dose: 1.0 },
            confidence: self.confidence,
            least_slope: self.least_slope,
            most_slope: self.most_slope,
            reach: self.reach,
        };
        Ok(GrowthRateFitter {
            curve: curve.bounded([-1.0, 1.0])?,
        })
    }
}

/// Growth-rate inhibition metrics of a drug: its effect on growth, whatever the time of the assay and
/// the rate at which untreated wells grow.
///
/// ```text
/// GR(c) = GRinf + (1 − GRinf) / (1 + (c / GEC50)^h)        −1 ≤ GRinf ≤ 1
/// ```
/// The curve stands when an F test finds it better than one GR value at all doses (p < 0.05, with 2 and
/// n − 3 degrees of freedom); otherwise the response is flat and GRinf is its mean.
///
/// # Source
/// Hafner, Niepel, Chung and Sorger, Nature Methods 13 (2016), 521–527; limits and the test against a
/// flat response as in the R package GRmetrics (Clark et al., BMC Cancer 17 (2017), 698). **Differs in**
/// three ways: every well is compared with its own start, and the growth of untreated wells is the mean
/// of their doublings; the F test takes 2 and n − 3 degrees of freedom; GRmax is read at the largest
/// dose, as in the paper, where later versions of the package take the lower of the last two.
///
/// # Example
/// ```
/// use spheroid_rank::dose::{GrowthRateConfig, GrowthWell};
///
/// // Areas in pixels: untreated spheroids double; the drug stops growth and then shrinks them.
/// let well = |dose, end| GrowthWell { dose, start: 100.0, end };
/// let wells = [
///     well(0.0, 198.0), well(0.0, 202.0),
///     well(0.1, 195.0), well(1.0, 170.0), well(10.0, 95.0), well(100.0, 62.0), well(1000.0, 60.0),
/// ];
/// let growth = GrowthRateConfig::default().build()?.fit(&wells)?;
/// assert!((growth.untreated_doublings - 1.0).abs() < 0.01);
/// assert!(growth.gr_max < 0.0 && growth.gr50 > Some(1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct GrowthRateFitter {
    curve: LogLogisticFitter,
}

/// What a drug does to growth; [`GrowthRateFitter`] tells the equations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GrowthRate {
    /// Mean of log₂(end / start) of the untreated wells, above 0.
    pub untreated_doublings: f64,
    /// Dose of each treated well, ascending.
    pub doses: Vec<f64>,
    /// GR value of each treated well ([`gr_value`]).
    pub values: Vec<f64>,
    /// The dose at which the curve is 0.5; none when it does not get there.
    pub gr50: Option<f64>,
    /// GR at infinite dose; the mean of all GR values when the response is flat.
    pub gr_inf: f64,
    /// Mean GR value at the largest dose tested.
    pub gr_max: f64,
    /// Area over the means of the doses, from them up to 1, by the trapezoidal rule over log₁₀ of the
    /// dose and divided by the range of that: 0 without effect, up to 2.
    pub gr_aoc: f64,
    /// p of the F test against a flat response.
    pub flat_p: f64,
    /// The curve, with GEC50 as its `ec50` and h as its `slope`; none when the response is flat.
    pub curve: Option<LogLogistic>,
}

impl GrowthRateFitter {
    /// The metrics of one drug, from its wells and untreated ones (dose 0) of the same experiment.
    ///
    /// # Errors
    /// When a number of a well is outside what [`GrowthWell`] allows, there is no untreated well, these
    /// do not grow on average, there are fewer than three distinct doses above 0 or fewer than four
    /// treated wells.
    pub fn fit(&self, wells: &[GrowthWell]) -> Result<GrowthRate, RankError> {
        for (index, well) in wells.iter().enumerate() {
            let least = if well.dose > 0.0 {
                0.0
            } else {
                f64::MIN_POSITIVE
            };
            let sizes = [
                ("start", well.start, f64::MIN_POSITIVE, "finite and above 0"),
                (
                    "end",
                    well.end,
                    least,
                    "finite, and above 0 or 0 in a treated well",
                ),
                ("dose", well.dose, 0.0, "finite and not negative"),
            ];
            for (what, value, least, rule) in sizes {
                if !(value.is_finite() && value >= least) {
                    return Err(RankError::BadDoseWell {
                        well: index,
                        what,
                        value,
                        rule,
                    });
                }
            }
        }
        let (treated, untreated): (Vec<GrowthWell>, Vec<_>) =
            wells.iter().partition(|well| well.dose > 0.0);
        if untreated.is_empty() {
            return Err(RankError::TooFewWells {
                what: "untreated",
                found: 0,
                needed: 1,
            });
        }
        let mut doublings: Vec<f64> = untreated
            .iter()
            .map(|well| (well.end / well.start).log2())
            .collect();
        doublings.sort_unstable_by(f64::total_cmp);
        let untreated_doublings = doublings.iter().sum::<f64>() / doublings.len() as f64;
        if untreated_doublings <= 0.0 {
            return Err(RankError::UntreatedDidNotGrow {
                doublings: untreated_doublings,
            });
        }
        let mut pairs: Vec<(f64, f64)> = treated
            .iter()
            .map(|w| (w.dose, gr_value(w.start, w.end, untreated_doublings)))
            .collect();
        pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let (doses, values): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let data = Levels::of(&doses, &values)?;
        let curve = self.curve.fit(&doses, &values)?;
        let levels = data.dosed();
        let last = levels[levels.len() - 1];
        let area: f64 = levels
            .windows(2)
            .map(|pair| {
                let width = pair[1].dose.log10() - pair[0].dose.log10();
                width * (1.0 - pair[0].mean.midpoint(pair[1].mean))
            })
            .sum();
        let flat = curve.warnings.contains(&DoseWarning::FlatResponse);
        let flat_p = curve.flat_p;
        let curve = (!flat).then_some(curve);
        Ok(GrowthRate {
            untreated_doublings,
            gr50: curve.as_ref().and_then(|curve| curve.dose_of(0.5)),
            gr_inf: match &curve {
                Some(curve) => curve.infinite_dose,
                None => values.iter().sum::<f64>() / values.len() as f64,
            },
            gr_max: last.mean,
            gr_aoc: area / (last.dose.log10() - levels[0].dose.log10()),
            flat_p,
            curve,
            doses,
            values,
        })
    }
}
