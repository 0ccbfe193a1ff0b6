use crate::{RankError, discrepancy::check_size};

/// Two lists of one length.
pub(crate) type Lists = (Vec<f64>, Vec<f64>);

/// Checks two lists that are to be compared item by item; -0 becomes +0, so that they tie.
///
/// `None` when a value is NaN: then every measure of agreement is NaN.
pub(crate) fn checked(
    what: &'static str,
    scores: &[f64],
    truth: &[f64],
) -> Result<Option<Lists>, RankError> {
    check_size("items of the truth", scores.len(), truth.len())?;
    let undefined = |reason: String| RankError::Undefined { what, reason };
    if scores.len() < 2 {
        return Err(undefined(format!(
            "{} items have no order, 2 are needed",
            scores.len()
        )));
    }
    if scores.iter().chain(truth).any(|value| value.is_nan()) {
        return Ok(None);
    }
    for (list, values) in [("score", scores), ("truth", truth)] {
        if values.iter().all(|value| *value == values[0]) {
            return Err(undefined(format!("every {list} is {}", values[0])));
        }
    }
    let positive_zero = |values: &[f64]| values.iter().map(|value| value + 0.0).collect();
    Ok(Some((positive_zero(scores), positive_zero(truth))))
}
