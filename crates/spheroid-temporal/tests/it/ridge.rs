use approx::assert_relative_eq;
use ndarray::Array3;
use proptest::prelude::*;
use serde::Deserialize;
use spheroid_core::{Day, Fit, Forecast};
use spheroid_temporal::{MeanChange, RidgeConfig, RidgeFitted, TemporalError, Trajectories};

use crate::{day, noise, noisy_series, wells};

#[derive(Deserialize)]
struct Case {
    name: String,
    components: Option<usize>,
    penalties: Vec<f64>,
    values: Vec<Vec<Vec<f32>>>,
    asked: Vec<Vec<Vec<f32>>>,
    penalty: f64,
    left_out_error: f64,
    forecast: Vec<Vec<f64>>,
}

fn tensor(values: &[Vec<Vec<f32>>]) -> Array3<f32> {
    let shape = (values.len(), values[0].len(), values[0][0].len());
    Array3::from_shape_fn(shape, |(i, j, k)| values[i][j][k])
}

fn fit(penalties: &[f64], components: Option<usize>, data: &Trajectories) -> RidgeFitted {
    RidgeConfig {
        penalties: penalties.to_vec(),
        components,
    }
    .build()
    .unwrap()
    .fit(data)
    .unwrap()
}

fn predict<F: Forecast<Error = TemporalError>>(fitted: &F, data: &Trajectories) -> Vec<f32> {
    let predicted = fitted
        .forecast(data.past_days(), data.past(), data.target_day())
        .unwrap();
    predicted.into_iter().collect()
}

#[test]
fn equals_the_primal_solution_of_numpy() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../fixtures/ridge.json")).expect("a whole fixture");
    assert!(cases.len() >= 5);
    for case in cases {
        let values = tensor(&case.values);
        let days: Vec<Day> = (0..values.dim().1).map(|i| day(7.0 + i as f64)).collect();
        let data = Trajectories::new(days.clone(), values, wells(case.values.len())).unwrap();
        let fitted = fit(&case.penalties, case.components, &data);
        assert_eq!(fitted.penalty(), case.penalty, "{}", case.name);
        assert_relative_eq!(
            fitted.left_out_error(),
            case.left_out_error,
            max_relative = 1e-9
        );
        let (target, past) = days.split_last().unwrap();
        let predicted = fitted
            .forecast(past, tensor(&case.asked).view(), *target)
            .unwrap();
        let expected: Vec<f64> = case.forecast.into_iter().flatten().collect();
        assert_eq!(predicted.len(), expected.len());
        for (value, expected) in predicted.iter().zip(expected) {
            assert_relative_eq!(
                f64::from(*value),
                expected,
                max_relative = 1e-5,
                epsilon = 1e-6
            );
        }
    }
}

#[test]
fn a_growing_penalty_shrinks_to_the_mean_change() {
    let (data, asked) = (noisy_series(1, 9, 30), noisy_series(2, 4, 30));
    let mean = predict(&MeanChange.fit(&data).unwrap(), &asked);
    let farthest = |penalty| {
        let ridge = predict(&fit(&[penalty], None, &data), &asked);
        ridge
            .iter()
            .zip(&mean)
            .map(|(r, m)| (r - m).abs())
            .fold(0.0, f32::max)
    };
    assert!(farthest(1e-3) > farthest(1.0));
    assert!(farthest(1.0) > farthest(1e3));
    assert!(farthest(1e8) < 1e-6);
}

#[test]
fn learns_a_linear_law() {
    // The first feature grows by twice the second, the second stays.
    let mut values = noise(3, (12, 2, 2));
    for mut well in values.outer_iter_mut() {
        well[[1, 0]] = well[[0, 0]] + 2.0 * well[[0, 1]];
        well[[1, 1]] = well[[0, 1]];
    }
    let data = Trajectories::new(vec![day(7.0), day(10.0)], values, wells(12)).unwrap();
    let fitted = fit(&[1e-9, 1.0], None, &data);
    assert_eq!(fitted.penalty(), 1e-9);
    let predicted = fitted
        .forecast(
            &[day(7.0)],
            ndarray::array![[[5.0, -3.0]]].view(),
            day(10.0),
        )
        .unwrap();
    assert_relative_eq!(predicted[[0, 0]], -1.0, epsilon = 1e-5);
    assert_relative_eq!(predicted[[0, 1]], -3.0, epsilon = 1e-5);
}

#[test]
fn wells_with_one_past_give_the_mean_change() {
    let mut values = noise(4, (5, 2, 3));
    values.index_axis_mut(ndarray::Axis(1), 0).fill(1.0);
    let data = Trajectories::new(vec![day(7.0), day(10.0)], values, wells(5)).unwrap();
    let asked = noisy_series(5, 3, 3);
    let ridge = predict(
        &RidgeConfig::default().build().unwrap().fit(&data).unwrap(),
        &asked,
    );
    let mean = predict(&MeanChange.fit(&data).unwrap(), &asked);
    for (ridge, mean) in ridge.iter().zip(&mean) {
        assert_relative_eq!(ridge, mean, epsilon = 1e-6);
    }
}

#[test]
fn of_equal_candidates_the_largest_penalty_is_taken() {
    let mut values = noise(4, (5, 2, 3));
    values.index_axis_mut(ndarray::Axis(1), 0).fill(1.0);
    let data = Trajectories::new(vec![day(7.0), day(10.0)], values, wells(5)).unwrap();
    assert_eq!(fit(&[10.0, 0.1, 1.0], None, &data).penalty(), 10.0);
}

#[test]
fn too_few_wells_are_refused() {
    let ridge = RidgeConfig::default().build().unwrap();
    assert_eq!(
        ridge.fit(&noisy_series(1, 2, 4)),
        Err(TemporalError::TooFewWells {
            found: 2,
            needed: 3
        })
    );
    assert!(ridge.fit(&noisy_series(1, 3, 4)).is_ok());
}

#[test]
fn settings_outside_their_range_are_refused() {
    for penalties in [
        vec![],
        vec![0.0],
        vec![1.0, -1.0],
        vec![f64::NAN],
        vec![f64::INFINITY],
    ] {
        let config = RidgeConfig {
            penalties,
            ..Default::default()
        };
        assert_eq!(config.build().unwrap_err().param, "penalties");
    }
    let config = RidgeConfig {
        components: Some(0),
        ..Default::default()
    };
    assert_eq!(config.build().unwrap_err().param, "components");
}

proptest! {
    #[test]
    fn components_beyond_the_rank_change_nothing(seed: u64, extra in 0usize..5) {
        let (data, asked) = (noisy_series(seed, 6, 9), noisy_series(seed ^ 1, 2, 9));
        let all = predict(&fit(&[0.1], None, &data), &asked);
        let many = predict(&fit(&[0.1], Some(5 + extra), &data), &asked);
        prop_assert_eq!(all, many);
    }

    #[test]
    fn a_shift_of_all_representations_shifts_the_forecast(seed: u64, shift in -4i8..4) {
        let shift = f32::from(shift);
        let move_by = |data: &Trajectories| {
            let mut values = Array3::zeros((data.wells().len(), 2, data.dim()));
            values.slice_mut(ndarray::s![.., ..1, ..]).assign(&data.past());
            values.index_axis_mut(ndarray::Axis(1), 1).assign(&data.target());
            let values = values + shift;
            Trajectories::new(data.days().to_vec(), values, data.wells().to_vec()).unwrap()
        };
        let (data, asked) = (noisy_series(seed, 6, 9), noisy_series(seed ^ 1, 2, 9));
        let here = predict(&fit(&[0.1, 1.0], None, &data), &asked);
        let there = predict(&fit(&[0.1, 1.0], None, &move_by(&data)), &move_by(&asked));
        for (here, there) in here.iter().zip(&there) {
            prop_assert!((here + shift - there).abs() < 1e-4);
        }
    }
}
