use approx::assert_relative_eq;
use ndarray::{Array2, Axis};
use spheroid_core::{Fit, Forecast};
use spheroid_temporal::{
    Folds, MeanChange, Persistence, RidgeConfig, TemporalError, Trajectories, out_of_fold, skill,
};

use crate::{day, noise, noisy_series, wells};

fn predict_alone(learn: &[usize], ask: usize, data: &Trajectories) -> Vec<f32> {
    let fitted = MeanChange.fit(&data.select_wells(learn).unwrap()).unwrap();
    let asked = data.select_wells(&[ask]).unwrap();
    let predicted = fitted.forecast(asked.past_days(), asked.past(), asked.target_day());
    predicted.unwrap().into_iter().collect()
}

#[test]
fn no_untreated_well_meets_a_predictor_that_saw_it() {
    let data = noisy_series(1, 8, 3);
    let untreated = [5, 0, 2, 7];
    let predicted = out_of_fold(&MeanChange, &data, &untreated, Folds::LeaveOneOut).unwrap();
    assert_eq!(
        predicted.row(2).to_vec(),
        predict_alone(&[0, 5, 7], 2, &data)
    );
    assert_eq!(
        predicted.row(7).to_vec(),
        predict_alone(&[0, 2, 5], 7, &data)
    );
    assert_eq!(
        predicted.row(3).to_vec(),
        predict_alone(&[0, 2, 5, 7], 3, &data)
    );
}

#[test]
fn folds_are_dealt_in_turn() {
    let data = noisy_series(1, 6, 3);
    let predicted = out_of_fold(&MeanChange, &data, &[4, 3, 2, 1, 0], Folds::KFold(2)).unwrap();
    assert_eq!(predicted.row(0).to_vec(), predict_alone(&[1, 3], 0, &data));
    assert_eq!(
        predicted.row(3).to_vec(),
        predict_alone(&[0, 2, 4], 3, &data)
    );
    assert_eq!(
        predicted.row(5).to_vec(),
        predict_alone(&[0, 1, 2, 3, 4], 5, &data)
    );
}

#[test]
fn the_order_of_wells_changes_nothing() {
    let ridge = RidgeConfig::default().build().unwrap();
    let data = noisy_series(1, 9, 20);
    let order = [3, 8, 0, 2, 6, 1, 4, 7, 5];
    let shuffled = data.select_wells(&order).unwrap();
    // Wells 0 to 5 are untreated.
    let untreated: Vec<usize> = (0..9).filter(|&position| order[position] < 6).collect();
    for folds in [Folds::LeaveOneOut, Folds::KFold(3)] {
        let straight = out_of_fold(&ridge, &data, &[0, 1, 2, 3, 4, 5], folds).unwrap();
        let other = out_of_fold(&ridge, &shuffled, &untreated, folds).unwrap();
        for (position, &well) in order.iter().enumerate() {
            for (a, b) in other.row(position).iter().zip(straight.row(well)) {
                assert_relative_eq!(a, b, epsilon = 1e-6);
            }
        }
    }
}

#[test]
fn treated_wells_do_not_change_what_is_predicted_of_others() {
    let data = noisy_series(1, 7, 5);
    let untreated = [0, 1, 2, 3];
    let ridge = RidgeConfig::default().build().unwrap();
    let all = out_of_fold(&ridge, &data, &untreated, Folds::LeaveOneOut).unwrap();
    let alone = data.select_wells(&untreated).unwrap();
    let alone = out_of_fold(&ridge, &alone, &untreated, Folds::LeaveOneOut).unwrap();
    assert_eq!(all.select(Axis(0), &untreated), alone);
}

#[test]
fn wrong_untreated_wells_are_refused() {
    let data = noisy_series(1, 6, 3);
    let ask = |untreated: &[usize], folds| {
        out_of_fold(&Persistence, &data, untreated, folds).unwrap_err()
    };
    assert_eq!(
        ask(&[0, 1, 2], Folds::LeaveOneOut).to_string(),
        "3 untreated wells, but at least 4 are needed: mark more wells as untreated in the plate \
         map, or join plates"
    );
    assert!(matches!(
        ask(&[0, 1, 2, 2], Folds::LeaveOneOut),
        TemporalError::DuplicateWell { .. }
    ));
    assert_eq!(
        ask(&[0, 1, 2, 6], Folds::LeaveOneOut),
        TemporalError::NoSuchWell { index: 6, wells: 6 }
    );
    for folds in [0, 1, 5] {
        assert!(matches!(
            ask(&[0, 1, 2, 3], Folds::KFold(folds)),
            TemporalError::Param(_)
        ));
    }
}

#[test]
fn a_predictor_that_fails_is_not_hidden() {
    // Two folds of four wells leave two to learn from; ridge needs three.
    let ridge = RidgeConfig::default().build().unwrap();
    let data = noisy_series(1, 4, 3);
    assert_eq!(
        out_of_fold(&ridge, &data, &[0, 1, 2, 3], Folds::KFold(2)),
        Err(TemporalError::TooFewWells {
            found: 2,
            needed: 3
        })
    );
}

#[test]
fn skill_is_relative_to_persistence() {
    let data = noisy_series(1, 5, 3);
    let untreated = [0, 1, 3, 4];
    let persisted = out_of_fold(&Persistence, &data, &untreated, Folds::LeaveOneOut).unwrap();
    assert_eq!(skill(persisted.view(), &data, &untreated).unwrap(), 0.0);
    assert_eq!(skill(data.target(), &data, &untreated).unwrap(), 1.0);
    // Half of the way leaves half of the error and a quarter of its square.
    let half = (&persisted + &data.target()) / 2.0;
    assert_relative_eq!(
        skill(half.view(), &data, &untreated).unwrap(),
        0.75,
        max_relative = 1e-6
    );
    // A treated well does not count.
    let mut other = half.clone();
    other.row_mut(2).fill(1e3);
    assert_eq!(
        skill(other.view(), &data, &untreated).unwrap(),
        skill(half.view(), &data, &untreated).unwrap()
    );
}

#[test]
fn predictors_are_not_praised_for_noise_and_are_for_a_law() {
    let untreated: Vec<usize> = (0..14).collect();
    let skill_of = |data: &Trajectories| {
        let ridge = RidgeConfig::default().build().unwrap();
        let mean = out_of_fold(&MeanChange, data, &untreated, Folds::LeaveOneOut).unwrap();
        let ridge = out_of_fold(&ridge, data, &untreated, Folds::LeaveOneOut).unwrap();
        (
            skill(mean.view(), data, &untreated).unwrap(),
            skill(ridge.view(), data, &untreated).unwrap(),
        )
    };
    let series = |law: fn(f32) -> f32| {
        let mut values = noise(8, (14, 2, 200));
        // The first 100 features and the last 100 tell the same: two halves, one latent.
        for mut well in values.outer_iter_mut() {
            let latent = well[[0, 0]];
            for feature in 0..200 {
                let noise = 0.1 * well[[1, feature]];
                well[[0, feature]] = latent + 0.1 * well[[0, feature]];
                well[[1, feature]] = well[[0, feature]] + law(latent) + noise;
            }
        }
        Trajectories::new(vec![day(7.0), day(10.0)], values, wells(14)).unwrap()
    };
    let (mean, ridge) = skill_of(&series(|_| 0.0));
    assert!(mean < 0.05 && ridge < 0.05, "{mean} {ridge}");
    let (mean, ridge) = skill_of(&series(|_| 1.0));
    assert!(mean > 0.95 && ridge > 0.95, "{mean} {ridge}");
    let (mean, ridge) = skill_of(&series(|latent| latent));
    assert!(mean < 0.1 && ridge > 0.9, "{mean} {ridge}");
}

#[test]
fn undefined_skill_is_refused() {
    let data = noisy_series(1, 5, 3);
    let untreated = [0, 1, 2, 3];
    let wrong = Array2::zeros((4, 3));
    assert!(matches!(
        skill(wrong.view(), &data, &untreated),
        Err(TemporalError::Shape {
            expected: 5,
            found: 4,
            ..
        })
    ));
    let nan = Array2::from_elem((5, 3), f32::NAN);
    assert!(matches!(
        skill(nan.view(), &data, &untreated),
        Err(TemporalError::NotFinite { .. })
    ));
    assert!(skill(data.target(), &data, &[]).is_err());
    let mut still = noise(1, (5, 2, 3));
    let past = still.index_axis(Axis(1), 0).to_owned();
    still.index_axis_mut(Axis(1), 1).assign(&past);
    let still = Trajectories::new(vec![day(7.0), day(10.0)], still, wells(5)).unwrap();
    assert_eq!(
        skill(past.view(), &still, &untreated),
        Err(TemporalError::NoChange {
            from: day(7.0),
            to: day(10.0)
        })
    );
}
