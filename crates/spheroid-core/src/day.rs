use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::CoreError;

/// A time point in days since seeding; may be fractional.
///
/// Ordered and hashable because it is always finite (and `-0` is stored as `0`).
///
/// # Example
/// ```
/// use spheroid_core::Day;
/// let day: Day = "7.5".parse()?;
/// assert_eq!(day.days(), 7.5);
/// assert_eq!(Day::new(10.0)?.to_string(), "10");
/// # Ok::<(), spheroid_core::CoreError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Day(f64);

impl Day {
    /// The time point `days` days after seeding.
    ///
    /// # Errors
    /// When `days` is NaN or infinite.
    pub fn new(days: f64) -> Result<Self, CoreError> {
        // Adding zero turns -0 into +0, so that equal days hash alike.
        if days.is_finite() {
            Ok(Self(days + 0.0))
        } else {
            Err(CoreError::Day {
                text: days.to_string(),
            })
        }
    }

    /// Days since seeding.
    pub fn days(self) -> f64 {
        self.0
    }
}

impl Eq for Day {}

impl Ord for Day {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Day {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl std::hash::Hash for Day {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for Day {
    type Err = CoreError;

    fn from_str(text: &str) -> Result<Self, CoreError> {
        let text = text.trim();
        let days = text.parse().map_err(|_| CoreError::Day {
            text: text.to_owned(),
        })?;
        Self::new(days)
    }
}

impl TryFrom<f64> for Day {
    type Error = CoreError;

    fn try_from(days: f64) -> Result<Self, CoreError> {
        Self::new(days)
    }
}

impl From<Day> for f64 {
    fn from(day: Day) -> Self {
        day.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_without_needless_digits() {
        assert_eq!("7.0".parse::<Day>().unwrap().to_string(), "7");
        assert_eq!(" 7.25 ".parse::<Day>().unwrap().to_string(), "7.25");
    }

    #[test]
    fn refuses_what_is_not_finite() {
        for text in ["", "seven", "NaN", "inf", "-inf"] {
            assert!(
                matches!(text.parse::<Day>(), Err(CoreError::Day { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn zero_has_one_form() {
        assert_eq!(
            Day::new(-0.0).unwrap().cmp(&Day::new(0.0).unwrap()),
            std::cmp::Ordering::Equal
        );
    }
}
