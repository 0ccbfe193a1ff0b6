//! Variances of treatments with few wells, shrunk towards what all treatments have in common.
//!
//! Smyth, Statistical Applications in Genetics and Molecular Biology 3 (2004), article 3: sample
//! variances s² with d degrees of freedom follow s₀² F(d, d₀) when the true variances scatter about
//! s₀² as an inverse chi-square with d₀ degrees of freedom does. s₀² and d₀ come from the mean and the
//! variance of log s² (section 6.2).

use statrs::function::gamma::digamma;

/// What a treatment's variance is before its wells are seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Prior {
    /// s₀².
    pub(crate) variance: f64,
    /// d₀, infinite when the treatments do not differ in their variance.
    pub(crate) degrees: f64,
    /// Sum of the degrees of freedom of all treatments, which no posterior exceeds.
    pub(crate) pooled: f64,
    /// Mean variance, weighted with the degrees of freedom.
    pub(crate) residual_variance: f64,
}

impl Prior {
    /// The prior that `(s², d)` of the treatments suggest; those without a degree of freedom do not
    /// count. `None` when there is none.
    pub(crate) fn of(estimates: &[(f64, f64)]) -> Option<Self> {
        let estimates: Vec<(f64, f64)> = estimates
            .iter()
            .copied()
            .filter(|&(_, d)| d > LEAST_DEGREES)
            .collect();
        let pooled: f64 = estimates.iter().map(|(_, d)| d).sum();
        if estimates.is_empty() {
            return None;
        }
        let residual_variance = estimates.iter().map(|(s2, d)| s2 * d).sum::<f64>() / pooled;
        let alike = Self {
            variance: residual_variance,
            degrees: f64::INFINITY,
            pooled,
            residual_variance,
        };
        if estimates.len() == 1 || alike.variance == 0.0 {
            return Some(alike);
        }
        // Wells that agree to the last bit have no logarithm of their variance.
        let mut variances: Vec<f64> = estimates.iter().map(|(s2, _)| *s2).collect();
        let typical = match crate::aggregate::median_of_scratch(&mut variances) {
            0.0 => alike.variance,
            median => median,
        };
        let logs: Vec<f64> = estimates
            .iter()
            .map(|&(s2, d)| s2.max(1e-5 * typical).ln() - digamma(d / 2.0) + (d / 2.0).ln())
            .collect();
        let n = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / n;
        let spread = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let by_chance = estimates
            .iter()
            .map(|(_, d)| trigamma(d / 2.0))
            .sum::<f64>()
            / n;
        let excess = spread - by_chance;
        if excess <= 0.0 {
            return Some(alike);
        }
        let half = inverse_trigamma(excess);
        Some(Self {
            variance: (mean + digamma(half) - half.ln()).exp(),
            degrees: 2.0 * half,
            pooled,
            residual_variance,
        })
    }

    /// Variance of a treatment and its degrees of freedom, given its own `s²` with `d` of them.
    pub(crate) fn posterior(&self, s2: f64, d: f64) -> (f64, f64) {
        if self.degrees.is_infinite() {
            return (self.variance, self.pooled);
        }
        let total = self.degrees + d;
        let variance = (self.degrees * self.variance + d * s2) / total;
        (variance, total.min(self.pooled))
    }
}

/// Below this a residual is rounding, not freedom.
pub(crate) const LEAST_DEGREES: f64 = 1e-9;

/// Second derivative of ln Γ for `x > 0`: the recurrence ψ₁(x) = ψ₁(x + 1) + 1/x² up to where the
/// asymptotic series holds to the last bits (Abramowitz and Stegun 6.4.6 and 6.4.12).
fn trigamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < 12.0 {
        below += x.powi(-2);
        x += 1.0;
    }
    let y = x.powi(-2);
    // Bernoulli numbers 1/6, −1/30, 1/42, −1/30, 5/66, −691/2730.
    let series = y
        * (1.0 / 6.0
            - y * (1.0 / 30.0
                - y * (1.0 / 42.0 - y * (1.0 / 30.0 - y * (5.0 / 66.0 - y * 691.0 / 2730.0)))));
    below + 1.0 / x + y / 2.0 + series / x
}

/// The `x` with `trigamma(x) = value` for `value > 0`, by bisection: trigamma falls everywhere, lies
/// above both 1/x and 1/x² and below their sum.
fn inverse_trigamma(value: f64) -> f64 {
    let (large, small) = (value.recip(), value.sqrt().recip());
    let (mut low, mut high) = (large.max(small), large + small);
    for _ in 0..200 {
        let middle = low.midpoint(high);
        if middle <= low || middle >= high {
            break;
        }
        if trigamma(middle) > value {
            low = middle;
        } else {
            high = middle;
        }
    }
    low.midpoint(high)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use spheroid_testkit::{Tolerance, assert_close, json_fixture};

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        variances: Vec<f64>,
        degrees: Vec<f64>,
        /// Absent when infinite.
        prior_degrees: Option<f64>,
        prior_variance: f64,
        posterior_variances: Vec<f64>,
        posterior_degrees: Vec<f64>,
    }

    #[derive(Deserialize)]
    struct Fixture {
        trigamma: Vec<[f64; 2]>,
        cases: Vec<Case>,
    }

    /// The root of trigamma loses digits where the spread hardly exceeds chance.
    const ROOT: Tolerance = Tolerance {
        relative: 1e-8,
        absolute: 1e-10,
    };

    #[test]
    fn agrees_with_the_definition() {
        let fixture: Fixture = json_fixture(env!("CARGO_MANIFEST_DIR"), "moderation.json");
        for [x, value] in fixture.trigamma {
            assert_close(&[trigamma(x)], &[value], Tolerance::F64);
            assert_close(&[inverse_trigamma(value)], &[x], ROOT);
        }
        let mut infinite = 0;
        for case in fixture.cases {
            let estimates: Vec<_> = case.variances.into_iter().zip(case.degrees).collect();
            let prior = Prior::of(&estimates).unwrap();
            match case.prior_degrees {
                Some(degrees) => assert_close(&[prior.degrees], &[degrees], ROOT),
                None => {
                    assert!(prior.degrees.is_infinite());
                    infinite += 1;
                }
            }
            assert_close(&[prior.variance], &[case.prior_variance], ROOT);
            let (variances, degrees): (Vec<f64>, Vec<f64>) = estimates
                .iter()
                .map(|&(s2, d)| prior.posterior(s2, d))
                .unzip();
            assert_close(&variances, &case.posterior_variances, ROOT);
            assert_close(&degrees, &case.posterior_degrees, ROOT);
        }
        assert!(infinite > 0, "no case of equal variances");
    }

    #[test]
    fn wells_that_agree_do_not_spoil_the_others() {
        assert_eq!(Prior::of(&[]), None);
        assert_eq!(Prior::of(&[(3.0, 0.0)]), None);
        assert_eq!(Prior::of(&[(0.0, 2.0), (0.0, 3.0)]).unwrap().variance, 0.0);
        for estimates in [
            &[(0.0, 2.0), (1.0, 2.0), (2.0, 2.0)][..],
            &[(0.0, 2.0), (0.0, 2.0), (2.0, 2.0)],
        ] {
            let prior = Prior::of(estimates).unwrap();
            let (variance, degrees) = prior.posterior(0.0, 2.0);
            assert!(variance > 0.0 && degrees > 0.0, "{prior:?}");
        }
    }
}
