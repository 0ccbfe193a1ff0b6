use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// Median diameter on day 1, as a fraction of the shorter image side.
const START: f64 = 0.16;
/// Diameter that growth tends to.
const CEILING: f64 = 0.42;
/// Median rate a day at which the growth itself slows.
const RATE: f64 = 0.25;
/// Day on which `START` holds.
const FIRST_DAY: f64 = 1.0;

/// Gompertz growth of a spheroid's volume:
///
/// ```text
/// V(t) = K · (V₁ / K) ^ exp(-r (t - 1))
/// ```
///
/// # Source
/// Laird, Dynamics of tumour growth (1964), doi:10.1038/bjc.1964.55.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gompertz {
    start: f64,
    rate: f64,
}

impl Gompertz {
    /// Draws start and rate around the medians; `spread` is the standard deviation of their
    /// logarithms.
    pub(crate) fn draw(rng: &mut impl Rng, spread: f64) -> Self {
        let mut factor = |sd: f64| -> f64 {
            let z: f64 = StandardNormal.sample(rng);
            (sd * z).exp()
        };
        // A start at the ceiling would leave nothing to grow.
        Self {
            start: (START * factor(spread)).min(0.95 * CEILING),
            rate: RATE * factor(spread),
        }
    }

    /// Diameter on `day`, as a fraction of the shorter image side; below [`CEILING`].
    pub(crate) fn diameter(self, day: f64) -> f64 {
        let slowing = (-self.rate * (day - FIRST_DAY).max(0.0)).exp();
        CEILING * (self.start / CEILING).powf(slowing)
    }
}

#[cfg(test)]
mod tests {
    use spheroid_core::DrawKey;

    use super::*;

    fn median() -> Gompertz {
        Gompertz {
            start: START,
            rate: RATE,
        }
    }

    #[test]
    fn the_median_spheroid_follows_the_formula() {
        // 0.42 · (0.16 / 0.42) ^ exp(-0.25 · 6), the exponent being 0.2231301601.
        let expected = 0.42 * (0.16f64 / 0.42).powf(0.223_130_160_148_429_8);
        assert!((median().diameter(7.0) - expected).abs() < 1e-12);
        assert!((median().diameter(1.0) - START).abs() < 1e-12);
    }

    #[test]
    fn growth_never_ends_and_never_passes_the_ceiling() {
        let mut rng = DrawKey {
            seed: 1,
            epoch: 0,
            item: 0,
            view: 0,
        }
        .rng();
        for _ in 0..200 {
            let growth = Gompertz::draw(&mut rng, 0.3);
            let sizes: Vec<f64> = (1..=14).map(|day| growth.diameter(day.into())).collect();
            assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]), "{sizes:?}");
            assert!(sizes[13] < CEILING);
        }
    }

    #[test]
    fn without_spread_all_wells_are_alike() {
        let mut rng = DrawKey {
            seed: 1,
            epoch: 0,
            item: 0,
            view: 0,
        }
        .rng();
        let growth = Gompertz::draw(&mut rng, 0.0);
        assert!((growth.diameter(9.0) - median().diameter(9.0)).abs() < 1e-15);
    }
}
