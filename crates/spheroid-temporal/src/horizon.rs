use ndarray::{ArrayView3, Axis};
use spheroid_core::Day;

use crate::{
    TemporalError, Trajectories,
    trajectories::{at_least, check_rising, expect, join},
};

/// What a fitted predictor may be asked: from which days, to which day, with how many features.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Horizon {
    past: Vec<Day>,
    target: Day,
    dim: usize,
}

impl Horizon {
    pub(crate) fn of(series: &Trajectories) -> Self {
        Self {
            past: series.past_days().to_vec(),
            target: series.target_day(),
            dim: series.dim(),
        }
    }

    pub(crate) fn check(
        &self,
        days: &[Day],
        past: ArrayView3<'_, f32>,
        target: Day,
    ) -> Result<(), TemporalError> {
        check_question(days, past, target)?;
        if (days, target) != (&self.past, self.target) {
            return Err(TemporalError::FittedDays {
                fitted: format!("{} from {}", self.target, join(&self.past)),
                asked: format!("{target} from {}", join(days)),
            });
        }
        expect("features on the last axis", self.dim, past.len_of(Axis(2)))
    }
}

/// Checks what any predictor is asked: sizes, order of the days, finite values.
pub(crate) fn check_question(
    days: &[Day],
    past: ArrayView3<'_, f32>,
    target: Day,
) -> Result<(), TemporalError> {
    at_least("past days", days.len(), 1)?;
    expect("days on the second axis", days.len(), past.len_of(Axis(1)))?;
    check_rising(days)?;
    check_rising(&[days[days.len() - 1], target])?;
    for ((row, day, feature), &value) in past.indexed_iter() {
        if !value.is_finite() {
            let well = format!("row {row}, day {}", days[day]);
            return Err(TemporalError::NotFinite {
                well,
                feature,
                value,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::trajectories::tests::days;

    #[test]
    fn questions_are_checked() {
        let ten = Day::new(10.).unwrap();
        let ask = |d: &[f64], shape: (usize, usize, usize)| {
            check_question(&days(d), Array3::zeros(shape).view(), ten)
        };
        assert_eq!(ask(&[7.], (2, 1, 1)), Ok(()));
        assert_eq!(ask(&[7.], (0, 1, 1)), Ok(()));
        assert!(matches!(
            ask(&[], (2, 0, 1)),
            Err(TemporalError::TooFew { .. })
        ));
        assert!(matches!(
            ask(&[7.], (2, 2, 1)),
            Err(TemporalError::Shape { .. })
        ));
        assert!(matches!(
            ask(&[8., 7.], (2, 2, 1)),
            Err(TemporalError::DayOrder { .. })
        ));
        assert!(matches!(
            ask(&[10.], (2, 1, 1)),
            Err(TemporalError::DayOrder { .. })
        ));
    }
}
