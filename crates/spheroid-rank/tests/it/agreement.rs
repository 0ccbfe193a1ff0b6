use approx::assert_relative_eq;
use proptest::prelude::*;
use serde::Deserialize;
use spheroid_core::{Direction, RankMetric};
use spheroid_rank::{
    AveragePrecision, ConcordanceIndex, KendallTauB, Ndcg, RankBiasedOverlap, RankError, Spearman,
    WeightedTau,
};

#[derive(Deserialize)]
struct Case {
    name: String,
    /// Decimals between spaces, because JSON has no infinity.
    scores: String,
    truth: String,
    kendall_tau_b: f64,
    spearman: f64,
    weighted_tau: f64,
    concordance_index: f64,
    rank_biased_overlap: f64,
    /// None where it is undefined.
    ndcg: Option<f64>,
    average_precision: Option<f64>,
}

type Metric = Box<dyn RankMetric<Error = RankError>>;

/// Those that turn their sign when one list is reversed.
fn correlations() -> [Metric; 2] {
    [Box::new(KendallTauB), Box::new(Spearman)]
}

fn metrics() -> Vec<Metric> {
    let mut all: Vec<Metric> = vec![
        Box::new(WeightedTau),
        Box::new(ConcordanceIndex),
        Box::new(RankBiasedOverlap::default()),
        Box::new(Ndcg),
        Box::new(AveragePrecision::default()),
    ];
    all.extend(correlations());
    all
}

#[test]
fn every_metric_keeps_the_contract() {
    for metric in metrics() {
        spheroid_testkit::conformance::rank_metric(&*metric);
    }
}

#[test]
fn equals_scipy_scikit_learn_and_lifelines() {
    let cases: Vec<Case> = crate::fixture("agreement.json");
    let (mut defined, mut undefined) = (0, 0);
    for case in cases {
        let [scores, truth] = [&case.scores, &case.truth].map(|list| crate::numbers(list));
        for metric in metrics() {
            let expected = match metric.name() {
                "kendall_tau_b" => Some(case.kendall_tau_b),
                "spearman" => Some(case.spearman),
                "weighted_tau" => Some(case.weighted_tau),
                "concordance_index" => Some(case.concordance_index),
                "rank_biased_overlap" => Some(case.rank_biased_overlap),
                "ndcg" => case.ndcg,
                "average_precision" => case.average_precision,
                name => panic!("the fixture has no {name}"),
            };
            let found = metric.evaluate(&scores, &truth);
            let about = format!("{} {}: {found:?}", metric.name(), case.name);
            if let Some(expected) = expected {
                assert!((found.unwrap() - expected).abs() < 1e-12, "{about}");
                defined += 1;
            } else {
                assert!(matches!(found, Err(RankError::Undefined { .. })), "{about}");
                undefined += 1;
            }
        }
    }
    assert!(defined > 100 && undefined > 3, "{defined} {undefined}");
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
    let cases: [(&[f64], &[f64]); 5] = [
        (&[], &[]),
        (&[1.0], &[1.0]),
        (&[1.0, 1.0], &[1.0, 2.0]),
        (&[1.0, 2.0], &[0.0, -0.0]),
        (&[f64::INFINITY, f64::INFINITY], &[1.0, 2.0]),
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

#[test]
fn nan_gives_nan() {
    for metric in metrics() {
        for (scores, truth) in [
            ([1.0, f64::NAN], [1.0, 2.0]),
            ([1.0, 2.0], [f64::NAN, 2.0]),
            ([f64::NAN; 2], [1.0, 1.0]),
        ] {
            assert!(metric.evaluate(&scores, &truth).unwrap().is_nan());
        }
    }
}

#[test]
fn gains_and_relevance_must_be_defined() {
    let scores = [1.0, 2.0, 3.0];
    for truth in [[-1.0, 2.0, 3.0], [0.0, f64::INFINITY, 1.0]] {
        let error = Ndcg.evaluate(&scores, &truth).unwrap_err();
        assert!(error.to_string().contains("gains are finite"), "{error}");
    }
    for relevant_above in [0.5, 4.0, f64::NAN] {
        let metric = AveragePrecision { relevant_above };
        let error = metric.evaluate(&scores, &[1.0, 2.0, 3.0]).unwrap_err();
        assert!(matches!(error, RankError::Undefined { .. }));
    }
    let metric = AveragePrecision {
        relevant_above: 2.0,
    };
    assert_eq!(
        metric.evaluate(&scores, &[3.0, 2.0, 1.0]).unwrap(),
        1.0 / 3.0
    );
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
        for metric in correlations() {
            prop_assert_eq!(evaluate(&*metric, &items), evaluate(&*metric, &mapped));
        }
    }

    #[test]
    fn the_order_of_items_changes_nothing(
        (items, shuffled) in lists().prop_flat_map(|l| (Just(l.clone()), Just(l).prop_shuffle())),
    ) {
        for metric in metrics() {
            let value = |items: &[(f64, f64)]| {
                // Gains are not negative, and some item but not each is relevant.
                let (scores, truth): (Vec<_>, Vec<f64>) = items.iter().copied().unzip();
                let least = truth.iter().copied().fold(f64::INFINITY, f64::min);
                let truth: Vec<f64> = truth.iter().map(|truth| truth - least).collect();
                metric.evaluate(&scores, &truth).unwrap()
            };
            prop_assert!((value(&items) - value(&shuffled)).abs() < 1e-13);
        }
    }

    #[test]
    fn concordance_counts_half_of_the_ties(items in lists()) {
        let (mut right, mut pairs) = (0.0, 0.0);
        for (i, a) in items.iter().enumerate() {
            for b in items[..i].iter().filter(|b| b.1 != a.1) {
                pairs += 1.0;
                right += match (a.0 - b.0) * (a.1 - b.1) {
                    product if product > 0.0 => 1.0,
                    0.0 => 0.5,
                    _ => 0.0,
                };
            }
        }
        prop_assert_eq!(evaluate(&ConcordanceIndex, &items), right / pairs);
    }

    #[test]
    fn reversal_turns_the_sign_and_self_agreement_is_one(items in lists()) {
        let reversed: Vec<_> = items.iter().map(|(s, t)| (-s, *t)).collect();
        let itself: Vec<_> = items.iter().map(|(s, _)| (*s, *s)).collect();
        for metric in correlations() {
            let value = evaluate(&*metric, &items);
            prop_assert_eq!(evaluate(&*metric, &reversed), -value);
            prop_assert_eq!(evaluate(&*metric, &itself), 1.0);
            prop_assert!(value.abs() <= 1.0 + 1e-15);
        }
    }
}
