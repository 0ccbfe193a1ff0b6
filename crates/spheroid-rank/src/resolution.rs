use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    Scale,
    draws::{quantile, rng_of},
    scatter::Scatter,
    smallest_conformal_p_value,
};

/// Chance of telling treatments apart that differ by [`Resolution::difference`].
const POWER: f64 = 0.8;
const DRAWS: usize = 4000;

/// What an experiment of this size can tell apart.
///
/// Prints as a sentence. Two treatments are told apart when the interval of their difference leaves
/// out 0; the smallest difference of which that comes true in 80 % of experiments is the sum of that
/// interval's half width and the 80 % quantile of how the observed difference strays.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Resolution {
    /// Wells of each of the two treatments.
    pub wells: usize,
    /// Confidence with which they are told apart.
    pub confidence: f64,
    /// The scale of the difference.
    pub scale: Scale,
    /// Smallest difference of the scores; on the logarithmic scale the smallest ratio.
    pub difference: f64,
    /// Smallest p-value that a rank among the untreated wells can have, if there are any.
    pub smallest_p: Option<f64>,
}

pub(crate) fn resolution(
    scatter: &Scatter,
    scale: Scale,
    wells: usize,
    untreated: usize,
    confidence: f64,
) -> Resolution {
    let spread = scatter.typical(wells);
    let numbers = [
        wells as u64,
        spread.deviation.to_bits(),
        spread.degrees.to_bits(),
    ];
    let residuals = scatter
        .residuals()
        .iter()
        .map(|residual| residual.to_bits());
    let mut rng = rng_of(numbers.into_iter().chain(residuals));
    let mut strays = scatter.strays(spread, wells);
    let sorted = |draw: &mut dyn FnMut() -> f64| {
        let mut values: Vec<f64> = (0..DRAWS).map(|_| draw()).collect();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let half_width = sorted(&mut || (strays.draw(&mut rng) - strays.draw(&mut rng)).abs());
    let observed = sorted(&mut || strays.known(&mut rng) - strays.known(&mut rng));
    let difference = quantile(&half_width, confidence) + quantile(&observed, POWER);
    Resolution {
        wells,
        confidence,
        scale,
        difference: scale.score(difference),
        smallest_p: (untreated > 0).then(|| smallest_conformal_p_value(untreated)),
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let (wells, difference) = (self.wells, self.difference);
        write!(
            f,
            "Two treatments of {wells} well{} each must differ ",
            plural(wells)
        )?;
        match self.scale {
            Scale::Linear => write!(f, "by {difference:.3}")?,
            Scale::Log => write!(f, "{difference:.2}-fold")?,
        }
        let (power, confidence) = (100.0 * POWER, 100.0 * self.confidence);
        write!(
            f,
            " to be told apart with {confidence} % confidence in {power} % of experiments."
        )?;
        match self.smallest_p {
            Some(p) => write!(
                f,
                " No single well can have a conformal p-value below {p:.3}."
            ),
            None => Ok(()),
        }
    }
}
