use approx::assert_relative_eq;
use proptest::prelude::*;
use serde::Deserialize;
use spheroid_core::{Direction, RankMetric};
use spheroid_rank::{KendallTauB, RankError, Spearman};

#[derive(Deserialize)]
struct Case {
    name: String,
    scores: Vec<f64>,
    truth: Vec<f64>,
    kendall_tau_b: f64,
    spearman: f64,
}

fn metrics() -> [Box<dyn RankMetric<Error = RankError>>; 2] {
    [Box::new(KendallTauB), Box::new(Spearman)]
}

#[test]
fn every_metric_keeps_the_contract() {
    for metric in metrics() {
        spheroid_testkit::conformance::rank_metric(&*metric);
    }
}

#[test]
fn equals_scipy() {
    let cases: Vec<Case> = crate::fixture("agreement.json");
    for Case {
        name,
        scores,
        truth,
        kendall_tau_b,
        spearman,
    } in cases
    {
        for (metric, expected) in metrics().into_iter().zip([kendall_tau_b, spearman]) {
            let value = metric.evaluate(&scores, &truth).expect(&name);
            assert!(
                (value - expected).abs() < 1e-12,
                "{} {name}: {value}",
                metric.name()
            );
        }
    }
}

#[test]
fn ties_count_as_worked_by_hand() {
    // Of ten pairs each list ties one; of the other eight, six are concordant and two discordant.
    let (scores, truth) = ([1.0, 1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 2.0, 4.0]);
    let tau = KendallTauB.evaluate(&scores, &truth).unwrap();
    assert_relative_eq!(tau, (6.0 - 2.0) / 9.0, max_relative = 1e-15);
    // Midranks 1.5 1.5 3 4 5 and 1 4 2.5 2.5 5: products sum to 5, squares to 9.5.
    let rho = Spearman.evaluate(&scores, &truth).unwrap();
    assert_relative_eq!(rho, 5.0 / 9.5, max_relative = 1e-15);
}

#[test]
fn the_undefined_is_refused() {
    let cases: [(&[f64], &[f64]); 6] = [
        (&[], &[]),
        (&[1.0], &[1.0]),
        (&[1.0, 1.0], &[1.0, 2.0]),
        (&[1.0, 2.0], &[0.0, -0.0]),
        (&[1.0, f64::NAN], &[1.0, 2.0]),
        (&[1.0, 2.0], &[f64::INFINITY, 2.0]),
    ];
    for metric in metrics() {
        assert_eq!(metric.direction(), Direction::HigherIsBetter);
        for (scores, truth) in cases {
            let result = metric.evaluate(scores, truth);
            assert!(
                matches!(result, Err(RankError::Undefined { .. })),
                "{scores:?} {truth:?}"
            );
        }
        assert!(matches!(
            metric.evaluate(&[1.0, 2.0], &[1.0]),
            Err(RankError::Shape {
                expected: 2,
                found: 1,
                ..
            })
        ));
    }
}

/// Two lists with ties, neither all equal.
fn lists() -> impl Strategy<Value = Vec<(f64, f64)>> {
    prop::collection::vec((-5i8..5, -5i8..5), 2..40)
        .prop_map(|items| {
            items
                .into_iter()
                .map(|(s, t)| (f64::from(s), f64::from(t)))
                .collect()
        })
        .prop_filter("all tied", |items: &Vec<(f64, f64)>| {
            items.iter().any(|i| i.0 != items[0].0) && items.iter().any(|i| i.1 != items[0].1)
        })
}

fn evaluate(metric: &dyn RankMetric<Error = RankError>, items: &[(f64, f64)]) -> f64 {
    let (scores, truth): (Vec<_>, Vec<_>) = items.iter().copied().unzip();
    metric.evaluate(&scores, &truth).unwrap()
}

fn naive_tau_b(items: &[(f64, f64)]) -> f64 {
    let sign = |a: f64, b: f64| if a == b { 0.0 } else { (a - b).signum() };
    let (mut surplus, mut untied) = (0.0, (0.0, 0.0));
    for (i, a) in items.iter().enumerate() {
        for b in &items[..i] {
            let (s, t) = (sign(a.0, b.0), sign(a.1, b.1));
            surplus += s * t;
            untied.0 += s * s;
            untied.1 += t * t;
        }
    }
    surplus / f64::sqrt(untied.0 * untied.1)
}

proptest! {
    #[test]
    fn tau_equals_the_count_of_all_pairs(items in lists()) {
        prop_assert_eq!(evaluate(&KendallTauB, &items), naive_tau_b(&items));
    }

    #[test]
    fn increasing_maps_change_nothing(items in lists()) {
        let mapped: Vec<_> = items.iter().map(|(s, t)| (s.exp(), t.powi(3) - 7.0)).collect();
        for metric in metrics() {
            prop_assert_eq!(evaluate(&*metric, &items), evaluate(&*metric, &mapped));
        }
    }

    #[test]
    fn the_order_of_items_changes_nothing(
        (items, shuffled) in lists().prop_flat_map(|l| (Just(l.clone()), Just(l).prop_shuffle())),
    ) {
        for metric in metrics() {
            let (a, b) = (evaluate(&*metric, &items), evaluate(&*metric, &shuffled));
            prop_assert!((a - b).abs() < 1e-14);
        }
    }

    #[test]
    fn reversal_turns_the_sign_and_self_agreement_is_one(items in lists()) {
        let reversed: Vec<_> = items.iter().map(|(s, t)| (-s, *t)).collect();
        let itself: Vec<_> = items.iter().map(|(s, _)| (*s, *s)).collect();
        for metric in metrics() {
            let value = evaluate(&*metric, &items);
            prop_assert_eq!(evaluate(&*metric, &reversed), -value);
            prop_assert_eq!(evaluate(&*metric, &itself), 1.0);
            prop_assert!(value.abs() <= 1.0 + 1e-15);
        }
    }
}
