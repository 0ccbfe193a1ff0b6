use crate::RankError;

/// Adjusted p-values: calling every treatment whose adjusted value is at most α keeps the expected share of false ones
/// among those called at α or below, where the p-values are independent or positively dependent.
///
/// # Errors
/// When a value is not between 0 and 1.
///
/// # Source
/// Benjamini and Hochberg 1995, "Controlling the false discovery rate".
///
/// # Example
/// ```
/// use spheroid_rank::benjamini_hochberg;
/// assert_eq!(benjamini_hochberg(&[0.01, 0.5, 0.02])?, [0.03, 0.5, 0.03]);
/// # Ok::<(), spheroid_rank::RankError>(())
/// ```
pub fn benjamini_hochberg(p_values: &[f64]) -> Result<Vec<f64>, RankError> {
    if let Some(item) = p_values.iter().position(|p| !(0.0..=1.0).contains(p)) {
        return Err(RankError::Undefined {
            what: "false discovery rate",
            reason: format!("p-value {item} is {}, not between 0 and 1", p_values[item]),
        });
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_unstable_by(|&a, &b| p_values[b].total_cmp(&p_values[a]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut least = 1.0f64;
    for (above, &item) in order.iter().enumerate() {
        let rank = p_values.len() - above;
        least = least.min(p_values[item] * p_values.len() as f64 / rank as f64);
        adjusted[item] = least;
    }
    Ok(adjusted)
}
