use crate::RankError;

/// Conformal p-value of one well: how seldom an untreated well scores as high.
///
/// ```text
/// p = (1 + #{calibration ≥ score}) / (n + 1)
/// ```
/// An untreated well that is like those of the calibration has p ≤ α with probability at most α,
/// whatever the distribution of scores and however poor the predictor. That holds for one well at a
/// time; over many wells adjust with [`benjamini_hochberg`](crate::benjamini_hochberg).
///
/// `n` calibration scores cannot give less than [`smallest_conformal_p_value`], however strong the
/// drug. The scores of untreated wells must be out of fold
/// ([`score_out_of_fold`](crate::discrepancy::score_out_of_fold)), or every drug looks strong.
///
/// # Errors
/// When a score is NaN.
///
/// # Source
/// Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World (2005); for
/// outliers Bates, Candès, Lei, Romano and Sesia, Annals of Statistics 51 (2023), 149–178.
///
/// # Example
/// ```
/// use spheroid_rank::conformal_p_value;
/// // Of four untreated wells one scores as high.
/// assert_eq!(conformal_p_value(2.0, &[0.5, 2.0, 1.0, 1.5])?, 0.4);
/// # Ok::<(), spheroid_rank::RankError>(())
/// ```
pub fn conformal_p_value(score: f64, calibration: &[f64]) -> Result<f64, RankError> {
    if score.is_nan() || calibration.iter().any(|score| score.is_nan()) {
        return Err(RankError::Undefined {
            what: "conformal p-value",
            reason: "a score is NaN".into(),
        });
    }
    let as_high = calibration.iter().filter(|other| **other >= score).count();
    Ok((1 + as_high) as f64 / (1 + calibration.len()) as f64)
}

/// The least [`conformal_p_value`] that so many untreated wells allow, 1 / (n + 1).
///
/// Twelve wells allow 0.077: no single well can then be told from them at 5 %, for which 19 are
/// needed.
#[must_use]
pub fn smallest_conformal_p_value(calibration: usize) -> f64 {
    1.0 / (calibration as f64 + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_ties_and_the_well_itself() {
        let calibration = [1.0, 2.0, 2.0, 3.0];
        let p = |score| conformal_p_value(score, &calibration).unwrap();
        assert_eq!([p(0.0), p(2.0), p(2.5), p(3.5)], [1.0, 0.8, 0.4, 0.2]);
        assert_eq!(p(f64::INFINITY), smallest_conformal_p_value(4));
        assert_eq!(conformal_p_value(1.0, &[]).unwrap(), 1.0);
        assert_eq!(smallest_conformal_p_value(19), 0.05);
    }

    #[test]
    fn nan_has_no_p_value() {
        assert!(conformal_p_value(f64::NAN, &[1.0]).is_err());
        assert!(conformal_p_value(1.0, &[f64::NAN]).is_err());
    }

    #[test]
    fn no_more_wells_than_promised_are_called() {
        // Every well in turn against the others of a sample with a tie: a share of α at most has p
        // ≤ α.
        let sample = [0.3, 0.1, 0.9, 0.5, 0.5, 0.7, 0.2, 0.8, 0.6, 0.4];
        let p: Vec<f64> = (0..sample.len())
            .map(|well| {
                let others = [&sample[..well], &sample[well + 1..]].concat();
                conformal_p_value(sample[well], &others).unwrap()
            })
            .collect();
        for alpha in p.iter() {
            let called = p.iter().filter(|p| *p <= alpha).count();
            assert!(called as f64 <= alpha * 10.0 + 1e-9);
        }
    }
}
