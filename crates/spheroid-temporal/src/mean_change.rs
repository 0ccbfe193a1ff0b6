use ndarray::{Array1, Array2, ArrayView3, Axis};
use spheroid_core::{Day, Fit, Forecast};

use crate::{TemporalError, Trajectories, horizon::Horizon};

/// Predicts the last past day plus the mean change of untreated wells (drift).
///
/// The limit of [`Ridge`](crate::Ridge) for a penalty without bound, and hard to beat with a dozen
/// untreated wells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MeanChange;

/// The mean change that [`MeanChange`] learned.
#[derive(Debug, Clone, PartialEq)]
pub struct MeanChangeFitted {
    horizon: Horizon,
    change: Array1<f32>,
}

impl MeanChangeFitted {
    /// Mean of target − last past day over the untreated wells, `[feature]`.
    pub fn change(&self) -> &Array1<f32> {
        &self.change
    }
}

impl Fit<Trajectories> for MeanChange {
    type Fitted = MeanChangeFitted;
    type Error = TemporalError;

    fn fit(&self, untreated: &Trajectories) -> Result<MeanChangeFitted, TemporalError> {
        let sum = change(untreated).sum_axis(Axis(0));
        Ok(MeanChangeFitted {
            horizon: Horizon::of(untreated),
            change: sum.mapv(|sum| (sum / untreated.wells().len() as f64) as f32),
        })
    }
}

impl Forecast for MeanChangeFitted {
    type Error = TemporalError;

    fn name(&self) -> &str {
        "mean_change"
    }

    fn forecast(
        &self,
        days: &[Day],
        past: ArrayView3<'_, f32>,
        target: Day,
    ) -> Result<Array2<f32>, TemporalError> {
        self.horizon.check(days, past, target)?;
        Ok(&past.index_axis(Axis(1), days.len() - 1) + &self.change)
    }
}

/// Target − last past day, `[well, feature]`, in double precision.
pub(crate) fn change(series: &Trajectories) -> Array2<f64> {
    let past = series.past();
    let last = past.index_axis(Axis(1), past.len_of(Axis(1)) - 1);
    series.target().mapv(f64::from) - last.mapv(f64::from)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::trajectories::tests::{days, wells};

    fn fitted() -> MeanChangeFitted {
        // Changes (1, 0) and (3, 2): the mean is (2, 1).
        let values = array![[[0., 0.], [1., 0.]], [[1., 1.], [4., 3.]]];
        MeanChange
            .fit(&Trajectories::new(days(&[7., 10.]), values, wells(2)).unwrap())
            .unwrap()
    }

    #[test]
    fn adds_the_mean_untreated_change() {
        let past = array![[[10., 20.]]];
        let predicted = fitted()
            .forecast(&days(&[7.]), past.view(), Day::new(10.).unwrap())
            .unwrap();
        assert_eq!(predicted, array![[12., 21.]]);
        assert_eq!(fitted().change(), &array![2., 1.]);
    }

    #[test]
    fn refuses_other_days_and_features() {
        let ten = Day::new(10.).unwrap();
        let past = array![[[10., 20.]]];
        let error = fitted()
            .forecast(&days(&[8.]), past.view(), ten)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "fitted to predict day 10 from 7, asked to predict day 10 from 8: fit it on these days"
        );
        assert!(matches!(
            fitted().forecast(&days(&[7.]), array![[[1.]]].view(), ten),
            Err(TemporalError::Shape {
                expected: 2,
                found: 1,
                ..
            })
        ));
    }
}
