use crate::{RankError, discrepancy::check_size};

/// Checks two lists that are to be compared item by item; -0 becomes +0, so that they tie.
pub(crate) fn checked(
    what: &'static str,
    scores: &[f64],
    truth: &[f64],
) -> Result<(Vec<f64>, Vec<f64>), RankError> {
    check_size("items of the truth", scores.len(), truth.len())?;
    let undefined = |reason: String| RankError::Undefined { what, reason };
    if scores.len() < 2 {
        return Err(undefined(format!(
            "{} items have no order, 2 are needed",
            scores.len()
        )));
    }
    for (list, values) in [("score", scores), ("truth", truth)] {
        if let Some(item) = values.iter().position(|value| !value.is_finite()) {
            return Err(undefined(format!(
                "{list} of item {item} is {}",
                values[item]
            )));
        }
        if values.iter().all(|value| *value == values[0]) {
            return Err(undefined(format!("every {list} is {}", values[0])));
        }
    }
    let positive_zero = |values: &[f64]| values.iter().map(|value| value + 0.0).collect();
    Ok((positive_zero(scores), positive_zero(truth)))
}
