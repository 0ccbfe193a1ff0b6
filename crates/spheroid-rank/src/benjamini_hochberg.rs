use crate::RankError;

/// p-values adjusted for their number, so that calling those up to q keeps the false discovery rate
/// at q.
///
/// ```text
/// adjusted₍ᵢ₎ = min over j ≥ i of  p₍ⱼ₎ m / j,   at most 1
/// ```
/// Holds for independent p-values and for those that rise together, as those of treatments that are
/// compared with the same untreated wells do.
///
/// # Errors
/// When a p-value is NaN or not from 0 to 1.
///
/// # Source
/// Benjamini and Hochberg, Journal of the Royal Statistical Society B 57 (1995), 289–300; positive
/// dependence: Benjamini and Yekutieli, Annals of Statistics 29 (2001), 1165–1188.
///
/// # Example
/// ```
/// use spheroid_rank::benjamini_hochberg;
/// assert_eq!(benjamini_hochberg(&[0.25, 0.0625, 0.5])?, [0.375, 0.1875, 0.5]);
/// # Ok::<(), spheroid_rank::RankError>(())
/// ```
pub fn benjamini_hochberg(p_values: &[f64]) -> Result<Vec<f64>, RankError> {
    if let Some(bad) = (p_values.iter()).find(|p| !(0.0..=1.0).contains(*p)) {
        return Err(RankError::Undefined {
            what: "false discovery rate",
            reason: format!("a p-value is {bad}"),
        });
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_unstable_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut least = 1.0f64;
    for (position, &item) in order.iter().enumerate().rev() {
        least = least.min(p_values[item] * p_values.len() as f64 / (position + 1) as f64);
        adjusted[item] = least;
    }
    Ok(adjusted)
}
