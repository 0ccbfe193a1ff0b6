use serde::{Deserialize, Serialize};

use crate::ImagingError;

/// Bins of the histograms.
const BINS: usize = 256;

/// A rule that divides the values of an image in two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Threshold {
    /// The greatest variance between the classes: two classes of about equal spread.
    ///
    /// Otsu, *A threshold selection method from gray-level histograms*, IEEE Trans. SMC 9 (1979),
    /// doi:10.1109/TSMC.1979.4310076.
    #[default]
    Otsu,
    /// The bin furthest from the line between the peak of the histogram and its far end: one large
    /// class and a tail.
    ///
    /// Zack, Rogers and Latt, *Automatic measurement of sister chromatid exchange frequency*, J.
    /// Histochem. Cytochem. 25 (1977), doi:10.1177/25.7.70454.
    Triangle,
    /// The least cross entropy between the image and the two means, by fixed-point iteration.
    ///
    /// Li and Tam, *An iterative algorithm for minimum cross entropy thresholding*, Pattern Recogn.
    /// Lett. 18 (1998), doi:10.1016/S0167-8655(98)00057-9.
    Li,
}

impl Threshold {
    /// All rules.
    pub const ALL: [Self; 3] = [Self::Otsu, Self::Triangle, Self::Li];

    /// The threshold of `values`: those above it are one class, the others the other. Where all
    /// values are equal it is that value.
    ///
    /// As scikit-image's `threshold_otsu`, `threshold_triangle` (both with 256 bins over the range of
    /// the values) and `threshold_li`.
    ///
    /// # Errors
    /// When there is no value, or one is not finite.
    ///
    /// # Example
    /// ```
    /// use spheroid_imaging::Threshold;
    ///
    /// let threshold = Threshold::Li.of(&[0.1, 0.1, 0.2, 0.8, 0.9])?;
    /// assert!((0.2..0.8).contains(&threshold));
    /// # Ok::<(), spheroid_imaging::ImagingError>(())
    /// ```
    pub fn of(self, values: &[f32]) -> Result<f32, ImagingError> {
        if values.is_empty() {
            let (planes, rows, columns) = (1, 1, 0);
            return Err(ImagingError::Empty {
                planes,
                rows,
                columns,
            });
        }
        if let Some(column) = values.iter().position(|value| !value.is_finite()) {
            let (row, value) = (0, values[column]);
            return Err(ImagingError::NotFinite { row, column, value });
        }
        Ok(self.weighted(values.iter().map(|&value| (value, 1.0))))
    }

    /// The same for finite values that count as often as their weights say.
    pub(crate) fn weighted(self, values: impl Iterator<Item = (f32, f64)> + Clone) -> f32 {
        let (low, high) = values
            .clone()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), (v, _)| {
                (low.min(v), high.max(v))
            });
        let range = f64::from(high) - f64::from(low);
        // One value, or none.
        if !(range.is_finite() && range > 0.0) {
            return low;
        }
        let width = range / BINS as f64;
        let centre = |bin: usize| (f64::from(low) + (bin as f64 + 0.5) * width) as f32;
        let histogram = || {
            let mut histogram = [0.0_f64; BINS];
            for (value, weight) in values.clone() {
                let bin = (f64::from(value) - f64::from(low)) / width;
                histogram[(bin as usize).min(BINS - 1)] += weight;
            }
            histogram
        };
        match self {
            Self::Otsu => centre(otsu(&histogram())),
            Self::Triangle => centre(triangle(&histogram())),
            Self::Li => li(values, f64::from(low), range) as f32,
        }
    }
}

fn otsu(histogram: &[f64; BINS]) -> usize {
    let total: f64 = histogram.iter().sum();
    let moments = histogram
        .iter()
        .zip(0_u32..)
        .map(|(n, bin)| n * f64::from(bin));
    let total_moment: f64 = moments.sum();
    let (mut below, mut moment) = (0.0, 0.0);
    let mut best = (0.0, 0);
    for (bin, &n) in histogram.iter().enumerate().take(BINS - 1) {
        below += n;
        moment += bin as f64 * n;
        let above = total - below;
        if below > 0.0 && above > 0.0 {
            let gap = moment / below - (total_moment - moment) / above;
            let between = below * above * gap * gap;
            if between > best.0 {
                best = (between, bin);
            }
        }
    }
    best.1
}

fn triangle(histogram: &[f64; BINS]) -> usize {
    let peak = (0..BINS)
        .rev()
        .max_by(|&a, &b| histogram[a].total_cmp(&histogram[b]));
    let occupied = || (0..BINS).filter(|&bin| histogram[bin] > 0.0);
    let (Some(peak), Some(low), Some(high)) = (peak, occupied().next(), occupied().next_back())
    else {
        return 0;
    };
    // The longer of the two tails, seen from its far end.
    let flipped = peak - low < high - peak;
    let at = |bin: usize| if flipped { BINS - 1 - bin } else { bin };
    let (low, peak) = if flipped {
        (at(high), at(peak))
    } else {
        (low, peak)
    };
    let (width, height) = ((peak - low) as f64, histogram[at(peak)]);
    let distance = |step: usize| height * step as f64 - width * histogram[at(low + step)];
    let furthest = (0..peak - low)
        .rev()
        .max_by(|&a, &b| distance(a).total_cmp(&distance(b)));
    at(low + furthest.unwrap_or(0))
}

fn li(values: impl Iterator<Item = (f32, f64)> + Clone, low: f64, range: f64) -> f64 {
    /// Where the iteration has come to rest, in parts of the range.
    const TOLERANCE: f64 = 1e-9;
    const MAX_STEPS: usize = 10_000;
    let mean = |of: &dyn Fn(f64) -> bool| {
        let (sum, weight) = values
            .clone()
            .map(|(value, weight)| (f64::from(value) - low, weight))
            .filter(|&(value, _)| of(value))
            .fold((0.0, 0.0), |(sum, total), (value, weight)| {
                (sum + value * weight, total + weight)
            });
        sum / weight
    };
    let mut threshold = mean(&|_| true);
    for _ in 0..MAX_STEPS {
        let (above, below) = (
            mean(&|value| value > threshold),
            mean(&|value| value <= threshold),
        );
        if below <= 0.0 {
            break;
        }
        let next = (below - above) / (below.ln() - above.ln());
        let step = (next - threshold).abs();
        threshold = next;
        if step <= TOLERANCE * range {
            break;
        }
    }
    threshold + low
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;
    use spheroid_testkit::json_fixture;
    use std::collections::BTreeMap;

    #[derive(Deserialize)]
    struct Case {
        values: Vec<f32>,
        thresholds: BTreeMap<String, f64>,
    }

    #[test]
    fn thresholds_are_those_of_scikit_image() {
        let cases: Vec<Case> = json_fixture(env!("CARGO_MANIFEST_DIR"), "thresholds.json");
        assert_eq!(cases.len(), 6);
        for (index, Case { values, thresholds }) in cases.into_iter().enumerate() {
            for (name, rule) in ["otsu", "triangle", "li"].into_iter().zip(Threshold::ALL) {
                let (found, expected) = (f64::from(rule.of(&values).unwrap()), thresholds[name]);
                assert!(
                    (found - expected).abs() < 1e-5,
                    "{index} {name}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn one_value_is_its_own_threshold() {
        for rule in Threshold::ALL {
            assert_eq!(rule.of(&[0.3, 0.3]).unwrap(), 0.3);
            assert!(matches!(rule.of(&[]), Err(ImagingError::Empty { .. })));
            let error = rule.of(&[0.3, f32::NAN]).unwrap_err();
            assert!(matches!(error, ImagingError::NotFinite { column: 1, .. }));
        }
    }

    proptest! {
        #[test]
        fn thresholds_lie_among_the_values(values in prop::collection::vec(-1e3_f32..1e3, 2..200)) {
            let (low, high) = values.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
            for rule in Threshold::ALL {
                let found = rule.of(&values).unwrap();
                prop_assert!((low..=high).contains(&found), "{rule:?} {found}");
            }
        }
    }
}
