use crate::RankError;

/// Middle of the sorted values, or the mean of the two middle ones.
///
/// # Errors
/// When there is no value or one is NaN.
pub fn median(values: &[f64]) -> Result<f64, RankError> {
    let undefined = |reason: &str| RankError::Undefined {
        what: "median",
        reason: reason.into(),
    };
    if values.is_empty() {
        return Err(undefined("there is no value"));
    }
    if values.iter().any(|value| value.is_nan()) {
        return Err(undefined("a value is NaN"));
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    Ok(median_of_sorted(&sorted))
}

/// Median of values that are sorted and not empty.
pub(crate) fn median_of_sorted(sorted: &[f64]) -> f64 {
    let upper = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[upper]
    } else {
        sorted[upper - 1].midpoint(sorted[upper])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middle_of_odd_and_even_counts() {
        assert_eq!(median(&[3.0]).unwrap(), 3.0);
        assert_eq!(median(&[9.0, 1.0, 2.0]).unwrap(), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 100.0]).unwrap(), 3.0);
        assert_eq!(median(&[f64::MAX, f64::MAX]).unwrap(), f64::MAX);
    }

    #[test]
    fn nothing_and_nan_have_no_median() {
        assert!(matches!(median(&[]), Err(RankError::Undefined { .. })));
        assert!(matches!(
            median(&[1.0, f64::NAN]),
            Err(RankError::Undefined { .. })
        ));
    }
}
