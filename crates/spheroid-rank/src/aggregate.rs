use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;

use crate::RankError;

/// A median absolute deviation times this estimates the standard deviation of normal values.
pub(crate) const NORMAL_MAD: f64 = 1.482_602_218_505_602;

/// How the scores of a treatment's wells become one.
///
/// | aggregate | spoilt wells that it bears | variance with normal wells, many wells (mean = 1) |
/// |---|---|---|
/// | [`Median`](Self::Median) | just under half | 1.57 |
/// | [`TrimmedMean`](Self::TrimmedMean), share 0.2 | a fifth on either side | 1.14 |
/// | [`HodgesLehmann`](Self::HodgesLehmann) | 29 % | 1.05 |
///
/// # Example
/// ```
/// use spheroid_rank::Aggregate;
/// let wells = [1.0, 2.0, 3.0, 90.0];
/// assert_eq!(Aggregate::Median.of(&wells)?, 2.5);
/// assert_eq!(Aggregate::TrimmedMean { share: 0.25 }.of(&wells)?, 2.5);
/// // Of ten pairs (1, 1.5, 2, 2, 2.5, 3, 45.5, ...) the middle ones are 2.5 and 3.
/// assert_eq!(Aggregate::HodgesLehmann.of(&wells)?, 2.75);
/// # Ok::<(), spheroid_rank::RankError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// Middle of the sorted values, or the mean of the two middle ones.
    #[default]
    Median,
    /// Mean of what is left when the share is cut off at either end.
    TrimmedMean {
        /// Share of the values cut off at each end, rounded down to whole values; from 0 (the mean)
        /// to below 0.5.
        share: f64,
    },
    /// Median of the means of all pairs, a value with itself included.
    ///
    /// Hodges and Lehmann, Annals of Mathematical Statistics 34 (1963), 598–611. Up to 64 values all
    /// pairs are written down; beyond that the middle is found by bisection in O(n log n) time and
    /// O(n) memory, with the same result.
    HodgesLehmann,
}

impl Aggregate {
    /// The aggregate of `values`.
    ///
    /// # Errors
    /// When there is no value, one is NaN, or the trimmed share is not from 0 to below 0.5.
    pub fn of(self, values: &[f64]) -> Result<f64, RankError> {
        self.check()?;
        let undefined = |reason: &str| RankError::Undefined {
            what: match self {
                Self::Median => "median",
                Self::TrimmedMean { .. } => "trimmed mean",
                Self::HodgesLehmann => "Hodges-Lehmann estimate",
            },
            reason: reason.into(),
        };
        if values.is_empty() {
            return Err(undefined("there is no value"));
        }
        if values.iter().any(|value| value.is_nan()) {
            return Err(undefined("a value is NaN"));
        }
        Ok(self.of_scratch(&mut values.to_vec()))
    }

    pub(crate) fn check(self) -> Result<(), ParamError> {
        match self {
            Self::TrimmedMean { share } if !(0.0..0.5).contains(&share) => {
                Err(ParamError::new("share", share, "from 0 to below 0.5"))
            }
            _ => Ok(()),
        }
    }

    /// The aggregate of values that are there and not NaN; puts them in another order.
    pub(crate) fn of_scratch(self, values: &mut [f64]) -> f64 {
        match self {
            Self::Median => median_of_scratch(values),
            Self::TrimmedMean { share } => {
                values.sort_unstable_by(f64::total_cmp);
                let cut = (share * values.len() as f64) as usize;
                let kept = &values[cut..values.len() - cut];
                kept.iter().sum::<f64>() / kept.len() as f64
            }
            Self::HodgesLehmann => hodges_lehmann(values),
        }
    }
}

/// Middle of the sorted values, or the mean of the two middle ones.
///
/// # Errors
/// When there is no value or one is NaN.
pub fn median(values: &[f64]) -> Result<f64, RankError> {
    Aggregate::Median.of(values)
}

/// Median of values that are there and not NaN; puts them in another order.
pub(crate) fn median_of_scratch(values: &mut [f64]) -> f64 {
    let (upper, odd) = (values.len() / 2, values.len() % 2 == 1);
    let (below, &mut middle, _) = values.select_nth_unstable_by(upper, f64::total_cmp);
    if odd {
        return middle;
    }
    let lower = below.iter().copied().max_by(f64::total_cmp);
    lower.map_or(middle, |lower| lower.midpoint(middle))
}

/// Median and median absolute deviation, not scaled, of values that are there and not NaN.
pub(crate) fn median_and_mad(values: &[f64]) -> (f64, f64) {
    let mut scratch = values.to_vec();
    let median = median_of_scratch(&mut scratch);
    for value in &mut scratch {
        *value = (*value - median).abs();
    }
    (median, median_of_scratch(&mut scratch))
}

/// Up to so many values their pairs are written down, 2,080 at most.
const MOST_PAIRED: usize = 64;

fn hodges_lehmann(values: &mut [f64]) -> f64 {
    if values.len() > MOST_PAIRED {
        return hodges_lehmann_by_bisection(values);
    }
    let mut means = Vec::with_capacity(values.len() * (values.len() + 1) / 2);
    for (i, a) in values.iter().enumerate() {
        means.extend(values[..=i].iter().map(|b| a.midpoint(*b)));
    }
    median_of_scratch(&mut means)
}

/// The means of pairs grow along the rows and columns of their table, so that those up to a value are
/// counted in one walk; the middle is the least value with enough of them.
fn hodges_lehmann_by_bisection(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let (least, most) = (values[0], values[values.len() - 1]);
    let count_up_to = |limit: f64| -> usize {
        let (mut count, mut end) = (0, values.len());
        for (i, a) in values.iter().enumerate() {
            while end > i && a.midpoint(values[end - 1]) > limit {
                end -= 1;
            }
            if end <= i {
                break;
            }
            count += end - i;
        }
        count
    };
    let smallest_with = |needed: usize| {
        let (mut low, mut high) = (ordered(least), ordered(most));
        while low < high {
            let middle = low.midpoint(high);
            if count_up_to(from_ordered(middle)) >= needed {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        from_ordered(low)
    };
    let pairs = values.len() * (values.len() + 1) / 2;
    let upper = smallest_with(pairs / 2 + 1);
    if pairs % 2 == 1 {
        upper
    } else {
        smallest_with(pairs / 2).midpoint(upper)
    }
}

const SIGN: u64 = 1 << 63;

/// Whole numbers in the order of the floats.
pub(crate) fn ordered(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

fn from_ordered(whole: u64) -> f64 {
    f64::from_bits(if whole & SIGN == 0 {
        !whole
    } else {
        whole & !SIGN
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn middle_of_odd_and_even_counts() {
        assert_eq!(median(&[3.0]).unwrap(), 3.0);
        assert_eq!(median(&[9.0, 1.0, 2.0]).unwrap(), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 100.0]).unwrap(), 3.0);
        assert_eq!(median(&[f64::MAX, f64::MAX]).unwrap(), f64::MAX);
    }

    #[test]
    fn nothing_and_nan_have_no_aggregate() {
        let trimmed = Aggregate::TrimmedMean { share: 0.1 };
        for aggregate in [Aggregate::Median, trimmed, Aggregate::HodgesLehmann] {
            for values in [&[][..], &[1.0, f64::NAN]] {
                let error = aggregate.of(values).unwrap_err();
                assert!(
                    matches!(error, RankError::Undefined { .. }),
                    "{aggregate:?}"
                );
            }
        }
    }

    #[test]
    fn half_or_more_cannot_be_trimmed() {
        for share in [0.5, -0.1, f64::NAN] {
            let error = Aggregate::TrimmedMean { share }.of(&[1.0]).unwrap_err();
            assert!(matches!(error, RankError::Param(e) if e.param == "share"));
        }
    }

    #[test]
    fn settings_have_the_documented_names() {
        let aggregates = [
            (Aggregate::Median, r#""median""#),
            (
                Aggregate::TrimmedMean { share: 0.2 },
                r#"{"trimmed_mean":{"share":0.2}}"#,
            ),
            (Aggregate::HodgesLehmann, r#""hodges_lehmann""#),
        ];
        for (aggregate, text) in aggregates {
            assert_eq!(serde_json::to_string(&aggregate).unwrap(), text);
            assert_eq!(serde_json::from_str::<Aggregate>(text).unwrap(), aggregate);
        }
    }

    proptest! {
        #[test]
        fn bisection_finds_the_middle_of_all_pairs(mut values in prop::collection::vec(-9.0f64..9.0, 1..64)) {
            prop_assert_eq!(hodges_lehmann(&mut values.clone()), hodges_lehmann_by_bisection(&mut values));
        }

        #[test]
        fn bisection_bears_ties_and_signs(values in prop::collection::vec(-3i8..3, 1..64)) {
            let mut values: Vec<f64> = values.into_iter().map(f64::from).collect();
            prop_assert_eq!(hodges_lehmann(&mut values.clone()), hodges_lehmann_by_bisection(&mut values));
        }

        #[test]
        fn aggregates_move_with_the_values(
            values in prop::collection::vec(-9.0f64..9.0, 1..30), shift in -5.0f64..5.0,
        ) {
            for aggregate in [Aggregate::Median, Aggregate::TrimmedMean { share: 0.2 }, Aggregate::HodgesLehmann] {
                let moved: Vec<f64> = values.iter().map(|value| value + shift).collect();
                let difference = aggregate.of(&moved).unwrap() - aggregate.of(&values).unwrap();
                prop_assert!((difference - shift).abs() < 1e-12);
            }
        }
    }
}
