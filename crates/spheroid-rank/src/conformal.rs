//! How odd a well is among untreated ones.

use crate::RankError;

/// Conformal p-value of a well: the share of wells as odd as it, or odder, among the untreated ones and itself,
/// `(1 + #{untreated ≥ score}) / (n + 1)`.
///
/// Where the well is exchangeable with the untreated ones it is at most α with a probability of at most α, whatever the
/// distribution of scores. Untreated scores must be out of fold. The smallest value is [`smallest_p`].
///
/// # Errors
/// When there is no untreated score, or a score is NaN.
///
/// # Source
/// Bates, Candès, Lei, Romano and Sesia 2023, "Testing for outliers with conformal p-values", equation 2.
///
/// # Example
/// ```
/// use spheroid_rank::conformal::p_value;
/// assert_eq!(p_value(2.5, &[1.0, 2.0, 3.0])?, 0.5);
/// # Ok::<(), spheroid_rank::RankError>(())
/// ```
pub fn p_value(score: f64, untreated: &[f64]) -> Result<f64, RankError> {
    let undefined = |reason: String| RankError::Undefined {
        what: "conformal p-value",
        reason,
    };
    if untreated.is_empty() {
        return Err(undefined("there is no untreated well".to_owned()));
    }
    if let Some(value) = untreated
        .iter()
        .chain([&score])
        .find(|value| value.is_nan())
    {
        return Err(undefined(format!("a score is {value}")));
    }
    let as_odd = untreated.iter().filter(|other| **other >= score).count();
    Ok((1 + as_odd) as f64 / (untreated.len() + 1) as f64)
}

/// The smallest conformal p-value that so many untreated wells allow: 1/(n + 1), which is 1/13 for 12 wells.
pub fn smallest_p(untreated: usize) -> f64 {
    1.0 / (untreated as f64 + 1.0)
}
