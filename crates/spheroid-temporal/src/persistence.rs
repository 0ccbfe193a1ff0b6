use ndarray::{Array2, ArrayView3, Axis};
use spheroid_core::{Day, Fit, Forecast};

use crate::{TemporalError, Trajectories, horizon::check_question};

/// Predicts that nothing changes: the target equals the last of the given past days.
///
/// The baseline that every other predictor is measured against; it learns nothing, so fitting it
/// only serves to use it in the place of one that does.
///
/// Give it days before the drug acts and no later ones: the day after dosing of a treated well
/// already holds the effect that the score is to find.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Persistence;

impl Fit<Trajectories> for Persistence {
    type Fitted = Self;
    type Error = TemporalError;

    fn fit(&self, _: &Trajectories) -> Result<Self, TemporalError> {
        Ok(*self)
    }
}

impl Forecast for Persistence {
    type Error = TemporalError;

    fn name(&self) -> &str {
        "persistence"
    }

    fn forecast(
        &self,
        days: &[Day],
        past: ArrayView3<'_, f32>,
        target: Day,
    ) -> Result<Array2<f32>, TemporalError> {
        check_question(days, past, target)?;
        Ok(past.index_axis(Axis(1), days.len() - 1).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::trajectories::tests::days;

    #[test]
    fn repeats_the_last_given_day() {
        let past = array![[[1., 2.], [3., 4.]], [[5., 6.], [7., 8.]]];
        let ten = Day::new(10.).unwrap();
        let predicted = Persistence
            .forecast(&days(&[7., 8.]), past.view(), ten)
            .unwrap();
        assert_eq!(predicted, array![[3., 4.], [7., 8.]]);
    }

    #[test]
    fn refuses_no_day_and_nan() {
        let ten = Day::new(10.).unwrap();
        assert!(
            Persistence
                .forecast(&[], Array2::zeros((1, 0)).insert_axis(Axis(2)).view(), ten)
                .is_err()
        );
        let nan = array![[[f32::NAN]]];
        assert!(matches!(
            Persistence.forecast(&days(&[7.]), nan.view(), ten),
            Err(TemporalError::NotFinite { .. })
        ));
    }
}
