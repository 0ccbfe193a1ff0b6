use ndarray::{Array3, Axis};
use spheroid_core::{Fit, Forecast};
use spheroid_temporal::{MeanChange, Persistence, RidgeConfig, TemporalError};

use crate::{day, noisy_series};

/// Every predictor by its contract, called once for each.
#[test]
fn every_predictor_keeps_the_contract() {
    keeps_the_contract(&Persistence, "persistence");
    keeps_the_contract(&MeanChange, "mean_change");
    keeps_the_contract(&RidgeConfig::default().build().unwrap(), "ridge");
    let few = RidgeConfig {
        components: Some(2),
        ..Default::default()
    };
    keeps_the_contract(&few.build().unwrap(), "ridge");
}

fn keeps_the_contract<P>(predictor: &P, name: &str)
where
    P: Fit<spheroid_temporal::Trajectories, Error = TemporalError>,
    P::Fitted: Forecast<Error = TemporalError> + Send + Sync,
{
    let fitted = predictor.fit(&noisy_series(1, 7, 12)).unwrap();
    assert_eq!(fitted.name(), name);
    let asked = noisy_series(2, 5, 12);
    let ask = |past: &Array3<f32>| fitted.forecast(&[day(7.0)], past.view(), day(10.0));

    let past = asked.past().to_owned();
    spheroid_testkit::conformance::forecast(&fitted, &[day(7.0)], &past, day(10.0));
    let predicted = ask(&past).unwrap();

    let alone = ask(&past.select(Axis(0), &[3])).unwrap();
    for (a, b) in alone.iter().zip(predicted.row(3)) {
        assert!(
            (a - b).abs() < 1e-6,
            "{name}: a well depends on itself alone"
        );
    }
    assert_eq!(ask(&past.select(Axis(0), &[])).unwrap().dim(), (0, 12));

    let mut spoilt = past.clone();
    spoilt[[2, 0, 5]] = f32::NAN;
    assert!(matches!(
        ask(&spoilt),
        Err(TemporalError::NotFinite { feature: 5, .. })
    ));
    assert!(matches!(
        fitted.forecast(&[day(6.0), day(7.0)], past.view(), day(10.0)),
        Err(TemporalError::Shape { .. })
    ));
    assert!(matches!(
        fitted.forecast(&[day(7.0)], past.view(), day(7.0)),
        Err(TemporalError::DayOrder { .. })
    ));
}

#[test]
fn what_was_fitted_must_fit_the_question() {
    let data = noisy_series(1, 7, 4);
    let mean_change = MeanChange.fit(&data).unwrap();
    let ridge = RidgeConfig::default().build().unwrap().fit(&data).unwrap();
    let fitted: [&dyn Forecast<Error = TemporalError>; 2] = [&mean_change, &ridge];
    for fitted in fitted {
        let past = data.past();
        assert!(matches!(
            fitted.forecast(&[day(7.0)], past, day(11.0)),
            Err(TemporalError::FittedDays { .. })
        ));
        assert!(matches!(
            fitted.forecast(&[day(6.0)], past, day(10.0)),
            Err(TemporalError::FittedDays { .. })
        ));
        assert!(matches!(
            fitted.forecast(&[day(7.0)], noisy_series(2, 3, 5).past(), day(10.0)),
            Err(TemporalError::Shape {
                expected: 4,
                found: 5,
                ..
            })
        ));
    }
}
