//! The contract of each shared trait, checked once for every type that implements it.

use std::fmt::Debug;

use ndarray::{Array2, Array3, Axis};
use spheroid_core::{Augment, Day, Discrepancy, DrawKey, Embed, Forecast, RankMetric, StackSource};

/// A source loads every stack twice alike and has no key twice.
///
/// # Panics
/// When it does not.
pub fn stack_source<S>(source: &S)
where
    S: StackSource<Stack: PartialEq + Debug, Error: Debug>,
{
    assert!(!source.is_empty(), "an empty source shows nothing");
    let mut keys: Vec<_> = (0..source.len()).map(|i| source.key(i).clone()).collect();
    for i in 0..source.len().min(3) {
        assert_eq!(
            source.load(i).unwrap(),
            source.load(i).unwrap(),
            "stack {i} changed"
        );
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), source.len(), "a key occurs twice");
}

/// Equal keys give equal views, and another view of the same image differs.
///
/// # Panics
/// When they do not.
pub fn augment<A, Image>(augment: &A, image: &Image)
where
    A: Augment<Image, View: PartialEq + Debug, Error: Debug>,
{
    let view = |view| {
        let draw = augment.draw(DrawKey {
            seed: 1,
            epoch: 2,
            item: 3,
            view,
        });
        augment.apply(image, &draw).unwrap()
    };
    assert_eq!(view(0), view(0), "one key gave two views");
    assert_ne!(view(0), view(1), "two keys gave one view");
}

/// Rows have `dim()` finite features and do not depend on what else is embedded.
///
/// # Panics
/// When they do not.
pub fn embed<E>(embedder: &E, items: &[E::Item])
where
    E: Embed<Error: Debug>,
{
    assert!(items.len() > 1, "two items are needed");
    let all = embedder.embed(items).unwrap();
    assert_eq!(all.dim(), (items.len(), embedder.dim()));
    assert!(all.iter().all(|value| value.is_finite()));
    let last = embedder.embed(&items[items.len() - 1..]).unwrap();
    for (alone, among) in last.iter().zip(all.row(items.len() - 1)) {
        let most = 1e-4 + 1e-4 * among.abs();
        assert!(
            (alone - among).abs() <= most,
            "{alone} alone but {among} among others"
        );
    }
}

/// A forecast has one finite row a well, treats wells apart, and refuses shapes that do not fit.
///
/// # Panics
/// When it does not.
pub fn forecast<F>(forecast: &F, days: &[Day], past: &Array3<f32>, target: Day)
where
    F: Forecast<Error: Debug>,
{
    assert!(!forecast.name().is_empty());
    let all = forecast.forecast(days, past.view(), target).unwrap();
    assert_eq!(all.dim(), (past.len_of(Axis(0)), past.len_of(Axis(2))));
    assert!(all.iter().all(|value| value.is_finite()));
    let first = forecast
        .forecast(days, past.slice(ndarray::s![..1, .., ..]), target)
        .unwrap();
    for (alone, among) in first.iter().zip(all.row(0)) {
        assert!((alone - among).abs() <= 1e-4 + 1e-4 * among.abs());
    }
    assert!(
        forecast.forecast(&days[1..], past.view(), target).is_err(),
        "days do not fit"
    );
}

/// A discrepancy is finite and not negative, does not depend on the order of rows, and refuses NaN
/// and unequal shapes.
///
/// # Panics
/// When it does not.
pub fn discrepancy<D>(
    metric: &D,
    reference: &Array2<f32>,
    predicted: &Array2<f32>,
    actual: &Array2<f32>,
) where
    D: Discrepancy<Error: Debug> + ?Sized,
{
    let score = |predicted: &Array2<f32>, actual: &Array2<f32>| {
        metric.score(reference.view(), predicted.view(), actual.view())
    };
    let scores = score(predicted, actual).unwrap();
    assert_eq!(scores.len(), actual.nrows());
    assert!(
        scores
            .iter()
            .all(|score| score.is_finite() && *score >= 0.0),
        "{scores}"
    );

    let backwards = |rows: &Array2<f32>| rows.slice(ndarray::s![..;-1, ..]).to_owned();
    let reversed = score(&backwards(predicted), &backwards(actual)).unwrap();
    for (a, b) in scores.iter().rev().zip(&reversed) {
        assert!(
            (a - b).abs() <= 1e-9 * (1.0 + a.abs()),
            "{a} became {b} in another order"
        );
    }

    let mut broken = actual.clone();
    broken[[0, 0]] = f32::NAN;
    assert!(score(predicted, &broken).is_err(), "NaN was accepted");
    let short = actual.slice(ndarray::s![.., 1..]).to_owned();
    assert!(
        score(predicted, &short).is_err(),
        "unequal shapes were accepted"
    );
}

/// A rank metric is undefined for what cannot be ordered and blind to increasing maps.
///
/// # Panics
/// When it is not.
pub fn rank_metric<R>(metric: &R)
where
    R: RankMetric<Error: Debug> + ?Sized,
{
    let truth = [0.0, 0.1, 0.1, 0.5, 0.9];
    let scores = [1.0, 3.0, 2.0, 2.0, 8.0];
    let cubed = scores.map(|score: f64| score.powi(3));
    let value = metric.evaluate(&scores, &truth).unwrap();
    assert!((value - metric.evaluate(&cubed, &truth).unwrap()).abs() < 1e-12);
    assert!(
        metric.evaluate(&scores[1..], &truth).is_err(),
        "unequal lengths were accepted"
    );
    assert!(
        metric.evaluate(&[1.0], &[1.0]).is_err(),
        "one item was ordered"
    );
    assert!(
        metric.evaluate(&[1.0, 1.0], &[1.0, 2.0]).is_err(),
        "tied scores were ordered"
    );
    assert!(
        metric
            .evaluate(&[f64::NAN, 1.0], &[1.0, 2.0])
            .unwrap()
            .is_nan(),
        "NaN was ordered"
    );
}
