use thiserror::Error;

/// A setting outside what is allowed.
///
/// Every `XConfig::build` of the workspace reports through this type, so that a user always reads
/// the name of the setting, the value and the rule.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("`{param}` must be {rule}, got {got}")]
pub struct ParamError {
    /// Name of the setting as it stands in the configuration.
    pub param: &'static str,
    /// The value that was given.
    pub got: String,
    /// What would have been accepted.
    pub rule: &'static str,
}

impl ParamError {
    /// An error for `param`, which was `got` where `rule` holds.
    pub fn new(param: &'static str, got: impl ToString, rule: &'static str) -> Self {
        Self {
            param,
            got: got.to_string(),
            rule,
        }
    }
}

/// Accepts finite values above 0.
///
/// # Errors
/// When `value` is NaN, infinite, 0 or negative.
pub fn positive(param: &'static str, value: f64) -> Result<f64, ParamError> {
    if value.is_finite() && value > 0.0 {
        Ok(value)
    } else {
        Err(ParamError::new(param, value, "finite and > 0"))
    }
}

/// Accepts finite values from 0 upwards.
///
/// # Errors
/// When `value` is NaN, infinite or negative.
pub fn non_negative(param: &'static str, value: f64) -> Result<f64, ParamError> {
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err(ParamError::new(param, value, "finite and >= 0"))
    }
}

/// Accepts values from 0 to 1, both included.
///
/// # Errors
/// When `value` is NaN or outside `[0, 1]`.
pub fn fraction(param: &'static str, value: f64) -> Result<f64, ParamError> {
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(ParamError::new(param, value, "between 0 and 1"))
    }
}

/// Accepts values from `least` to `most`, both included; `rule` is the sentence that the user reads.
///
/// # Errors
/// When `value` is outside, or NaN.
pub fn within<T: PartialOrd + ToString>(
    param: &'static str,
    value: T,
    least: T,
    most: T,
    rule: &'static str,
) -> Result<T, ParamError> {
    if (least..=most).contains(&value) {
        Ok(value)
    } else {
        Err(ParamError::new(param, value, rule))
    }
}

/// Accepts counts of at least `least`; `rule` is the sentence that the user reads.
///
/// # Errors
/// When `value < least`.
pub fn at_least(
    param: &'static str,
    value: usize,
    least: usize,
    rule: &'static str,
) -> Result<usize, ParamError> {
    if value >= least {
        Ok(value)
    } else {
        Err(ParamError::new(param, value, rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_passes_no_check() {
        assert!(positive("x", f64::NAN).is_err());
        assert!(non_negative("x", f64::NAN).is_err());
        assert!(fraction("x", f64::NAN).is_err());
        assert!(positive("x", f64::INFINITY).is_err());
        assert!(within("x", f64::NAN, 0.0, 1.0, "from 0 to 1").is_err());
    }

    #[test]
    fn the_message_names_setting_value_and_rule() {
        let error = positive("temperature", -1.0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`temperature` must be finite and > 0, got -1"
        );
        let error = at_least("epochs", 0, 1, "at least 1").unwrap_err();
        assert_eq!(error.to_string(), "`epochs` must be at least 1, got 0");
    }

    #[test]
    fn limits_themselves_are_accepted() {
        assert_eq!(fraction("x", 1.0), Ok(1.0));
        assert_eq!(non_negative("x", 0.0), Ok(0.0));
        assert_eq!(at_least("x", 2, 2, "at least 2"), Ok(2));
        assert_eq!(within("x", 7, 1, 7, "from 1 to 7"), Ok(7));
        assert!(within("x", 8, 1, 7, "from 1 to 7").is_err());
    }
}
