//! How much the wells of a treatment scatter, and how the aggregate of a few wells strays.

use std::collections::BTreeMap;

use nalgebra::{DMatrix, DVector, SymmetricEigen};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{ChiSquared, Distribution, StandardNormal};
use statrs::distribution::{ContinuousCDF, FisherSnedecor};

use crate::{
    Aggregate, RankError,
    moderation::{LEAST_DEGREES, Prior},
};

/// Plates whose effects are told apart at once; the matrix of their effects takes its square.
const MOST_PLATES: usize = 1000;

/// So many normal residuals stand beside the measured ones: with few wells the latter alone would give
/// draws from a handful of values.
const NORMAL_RESIDUALS: usize = 40;

/// A well by its plate, counted from 0, and its value on the scale.
pub(crate) type Well = (usize, f64);

/// Standard deviation of a treatment's wells and its degrees of freedom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) deviation: f64,
    pub(crate) degrees: f64,
}

/// What all treatments together say about the scatter of wells.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scatter {
    prior: Prior,
    /// Of each treatment, in the order given.
    pub(crate) spreads: Vec<Spread>,
    /// Residuals in units of their treatment's deviation, such that their aggregate is 0.
    residuals: Vec<f64>,
    aggregate: Aggregate,
    /// p of the F test that all plates have one level; `None` when they have no level to compare.
    pub(crate) plates_p: Option<f64>,
}

impl Scatter {
    /// The scatter of `treatments` on `plates` plates, each treatment with at least one well; `None`
    /// when no well can be compared with another.
    ///
    /// Residuals are those of the least-squares fit of one effect a treatment and one a plate, so
    /// what all wells of a plate share is no scatter. With the leverages h the variance of a
    /// treatment is Σ r² / d, d = Σ (1 − h); on a single plate that is the sample variance.
    pub(crate) fn of(
        treatments: &[Vec<Well>],
        plates: usize,
        aggregate: Aggregate,
    ) -> Result<Option<Self>, RankError> {
        let Fit {
            wells: fitted,
            plate_squares,
            plate_degrees,
        } = fit(treatments, plates)?;
        let estimates: Vec<(f64, f64)> = fitted
            .iter()
            .map(|wells| {
                let degrees: f64 = wells.iter().map(|well| well.freedom).sum();
                let squares: f64 = wells.iter().map(|well| well.residual.powi(2)).sum();
                (
                    if degrees > LEAST_DEGREES {
                        squares / degrees
                    } else {
                        0.0
                    },
                    degrees,
                )
            })
            .collect();
        let Some(prior) = Prior::of(&estimates) else {
            return Ok(None);
        };
        let spreads: Vec<Spread> = estimates
            .iter()
            .map(|&(s2, degrees)| {
                let (variance, degrees) = prior.posterior(s2, degrees);
                Spread {
                    deviation: variance.sqrt(),
                    degrees,
                }
            })
            .collect();
        let mut residuals: Vec<f64> = fitted
            .iter()
            .zip(&spreads)
            .flat_map(|(wells, spread)| wells.iter().map(move |well| (well, spread.deviation)))
            .filter(|(well, deviation)| well.freedom > LEAST_DEGREES && *deviation > 0.0)
            .map(|(well, deviation)| well.residual / (deviation * well.freedom.sqrt()))
            .collect();
        residuals.sort_unstable_by(f64::total_cmp);
        if !residuals.is_empty() {
            let centre = aggregate.of_scratch(&mut residuals.clone());
            residuals
                .iter_mut()
                .for_each(|residual| *residual -= centre);
        }
        let plates_p = (plate_degrees > 0 && prior.residual_variance > 0.0).then(|| {
            let plate_degrees = plate_degrees as f64;
            FisherSnedecor::new(plate_degrees, prior.pooled)
                .expect("both degrees of freedom are above 0")
                .sf(plate_squares / plate_degrees / prior.residual_variance)
        });
        Ok(Some(Self {
            prior,
            spreads,
            residuals,
            aggregate,
            plates_p,
        }))
    }

    /// The spread of a treatment that is like the others, seen in so many wells.
    pub(crate) fn typical(&self, wells: usize) -> Spread {
        let (variance, degrees) = self
            .prior
            .posterior(self.prior.variance, wells as f64 - 1.0);
        Spread {
            deviation: variance.sqrt(),
            degrees,
        }
    }

    /// Residuals that draws are made from, ascending.
    pub(crate) fn residuals(&self) -> &[f64] {
        &self.residuals
    }

    /// A source of draws for treatments of one spread and number of wells.
    pub(crate) fn strays(&self, spread: Spread, wells: usize) -> Strays<'_> {
        Strays {
            scatter: self,
            spread,
            chi_squared: ChiSquared::new(spread.degrees)
                .expect("a spread has more than no degrees of freedom"),
            wells: vec![0.0; wells],
        }
    }
}

/// Draws of aggregate − truth.
pub(crate) struct Strays<'a> {
    scatter: &'a Scatter,
    spread: Spread,
    chi_squared: ChiSquared<f64>,
    wells: Vec<f64>,
}

impl Strays<'_> {
    /// How far the aggregate strays when the deviation is known.
    pub(crate) fn known(&mut self, rng: &mut ChaCha8Rng) -> f64 {
        let Scatter {
            residuals,
            aggregate,
            ..
        } = self.scatter;
        let all = residuals.len() + NORMAL_RESIDUALS;
        for well in &mut self.wells {
            *well = match residuals.get(rng.random_range(0..all)) {
                Some(residual) => *residual,
                None => StandardNormal.sample(rng),
            };
        }
        self.spread.deviation * aggregate.of_scratch(&mut self.wells)
    }

    /// How far the aggregate strays when the deviation is itself estimated.
    pub(crate) fn draw(&mut self, rng: &mut ChaCha8Rng) -> f64 {
        let estimated = (self.spread.degrees / self.chi_squared.sample(rng)).sqrt();
        estimated * self.known(rng)
    }
}

/// Residual of a well and what is left of its freedom, 1 − leverage.
struct Fitted {
    residual: f64,
    freedom: f64,
}

struct Fit {
    /// Of each treatment.
    wells: Vec<Vec<Fitted>>,
    /// Sum of squares that the plates take beyond the treatments, and its degrees of freedom.
    plate_squares: f64,
    plate_degrees: usize,
}

/// Least squares of one effect a treatment and one a plate; the former are swept out first.
fn fit(treatments: &[Vec<Well>], plates: usize) -> Result<Fit, RankError> {
    if plates > MOST_PLATES {
        return Err(RankError::TooMany {
            what: "plates",
            found: plates,
            most: MOST_PLATES,
        });
    }
    let mut normal = DMatrix::<f64>::zeros(plates, plates);
    let mut right = DVector::<f64>::zeros(plates);
    for wells in treatments {
        let (mean, shares) = (mean(wells), shares(wells));
        for &(plate, value) in wells {
            normal[(plate, plate)] += 1.0;
            right[plate] += value - mean;
        }
        for (&p, &a) in &shares {
            for (&q, &b) in &shares {
                normal[(p, q)] -= a * b * wells.len() as f64;
            }
        }
    }
    let (inverse, plate_degrees) = pseudo_inverse(normal);
    let effects = &inverse * &right;
    let plate_squares = effects.dot(&right);
    let of_treatment = |wells: &Vec<Well>| {
        let (mean, shares) = (mean(wells), shares(wells));
        let shift: f64 = shares.iter().map(|(&p, share)| share * effects[p]).sum();
        let leverage = |plate: usize| {
            let away = |p: usize| shares[&p] - f64::from(u8::from(p == plate));
            let mut sum = 1.0 / wells.len() as f64;
            for &p in shares.keys() {
                for &q in shares.keys() {
                    sum += away(p) * inverse[(p, q)] * away(q);
                }
            }
            sum
        };
        let leverages: BTreeMap<usize, f64> = shares
            .keys()
            .map(|&plate| (plate, leverage(plate)))
            .collect();
        wells
            .iter()
            .map(|&(plate, value)| Fitted {
                residual: value - mean - (effects[plate] - shift),
                freedom: (1.0 - leverages[&plate]).max(0.0),
            })
            .collect()
    };
    Ok(Fit {
        wells: treatments.iter().map(of_treatment).collect(),
        plate_squares,
        plate_degrees,
    })
}

fn mean(wells: &[Well]) -> f64 {
    wells.iter().map(|well| well.1).sum::<f64>() / wells.len() as f64
}

/// Share of a treatment's wells on each of its plates.
fn shares(wells: &[Well]) -> BTreeMap<usize, f64> {
    let mut shares = BTreeMap::new();
    for &(plate, _) in wells {
        *shares.entry(plate).or_insert(0.0) += 1.0 / wells.len() as f64;
    }
    shares
}

/// The inverse and the rank: directions in which plates share no treatment have no effect to estimate.
fn pseudo_inverse(matrix: DMatrix<f64>) -> (DMatrix<f64>, usize) {
    let SymmetricEigen {
        eigenvectors,
        eigenvalues,
    } = SymmetricEigen::new(matrix);
    let least = 1e-10 * eigenvalues.amax().max(1.0);
    let mut scaled = eigenvectors.clone();
    for (mut column, &value) in scaled.column_iter_mut().zip(&eigenvalues) {
        column *= if value > least { 1.0 / value } else { 0.0 };
    }
    let rank = eigenvalues.iter().filter(|value| **value > least).count();
    (scaled * eigenvectors.transpose(), rank)
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn spread(treatments: &[Vec<Well>], plates: usize) -> Vec<Spread> {
        Scatter::of(treatments, plates, Aggregate::Median)
            .unwrap()
            .unwrap()
            .spreads
    }

    #[test]
    fn one_plate_gives_sample_variances() {
        let fits = fit(&[vec![(0, 1.0), (0, 2.0), (0, 6.0)], vec![(0, 5.0)]], 1)
            .unwrap()
            .wells;
        let residuals: Vec<f64> = fits[0].iter().map(|well| well.residual).collect();
        assert_eq!(residuals, [-2.0, -1.0, 3.0]);
        for well in &fits[0] {
            assert_relative_eq!(well.freedom, 2.0 / 3.0, max_relative = 1e-12);
        }
        assert!(fits[1][0].freedom < LEAST_DEGREES);
    }

    #[test]
    fn what_a_plate_adds_to_all_its_wells_is_no_scatter() {
        // Two treatments on two plates, one well each: effects 3 and 10 apart, residuals ±0.5.
        let treatments = [vec![(0, 1.0), (1, 11.0)], vec![(0, 4.0), (1, 16.0)]];
        let fits = fit(&treatments, 2).unwrap().wells;
        for (wells, sign) in fits.iter().zip([1.0, -1.0]) {
            assert_relative_eq!(wells[0].residual, sign * 0.5, max_relative = 1e-9);
            assert_relative_eq!(wells[1].residual, -sign * 0.5, max_relative = 1e-9);
            // One degree of freedom is left for four wells.
            assert_relative_eq!(wells[0].freedom, 0.25, max_relative = 1e-9);
        }
        let moved = [vec![(0, 1.0), (1, 111.0)], vec![(0, 4.0), (1, 116.0)]];
        for (a, b) in spread(&treatments, 2).iter().zip(spread(&moved, 2)) {
            assert_relative_eq!(a.deviation, b.deviation, max_relative = 1e-9);
        }
    }

    #[test]
    fn plates_without_a_common_treatment_are_each_their_own() {
        let treatments = [vec![(0, 1.0), (0, 2.0)], vec![(1, 51.0), (1, 52.0)]];
        let fits = fit(&treatments, 2).unwrap().wells;
        for well in fits.iter().flatten() {
            assert_relative_eq!(well.residual.abs(), 0.5, max_relative = 1e-9);
            assert_relative_eq!(well.freedom, 0.5, max_relative = 1e-9);
        }
    }

    #[test]
    fn plates_of_another_level_are_seen() {
        // Two treatments, three wells each on two plates: 12 − 2 − 1 = 9 degrees of freedom. The plates are 2 apart, so their sum of squares is 12 · 1² = 12;
        // residuals are −1, 0, 1 in each of the four cells, 8 in all; F = 12 / (8 / 9) = 13.5.
        let cell = |plate: usize, level: f64| [-1.0, 0.0, 1.0].map(|x| (plate, level + x));
        let treatment = |level: f64| [cell(0, level), cell(1, level + 2.0)].concat();
        let scatter = Scatter::of(&[treatment(0.0), treatment(5.0)], 2, Aggregate::Median);
        let p = scatter.unwrap().unwrap().plates_p.unwrap();
        let expected = FisherSnedecor::new(1.0, 9.0).unwrap().sf(13.5);
        assert_relative_eq!(p, expected, max_relative = 1e-9);
        assert!(p < 0.01);
        let one = Scatter::of(&[cell(0, 1.0).to_vec()], 1, Aggregate::Median);
        assert_eq!(one.unwrap().unwrap().plates_p, None);
    }

    #[test]
    fn single_wells_alone_have_no_scatter() {
        let scatter = Scatter::of(&[vec![(0, 1.0)], vec![(0, 2.0)]], 1, Aggregate::Median).unwrap();
        assert_eq!(scatter, None);
    }

    #[test]
    fn too_many_plates_are_refused_before_memory_is_taken() {
        let error = Scatter::of(&[vec![(0, 1.0)]], 1001, Aggregate::Median).unwrap_err();
        assert!(matches!(error, RankError::TooMany { found: 1001, .. }));
    }

    #[test]
    fn strays_have_the_deviation_of_the_aggregate() {
        // The mean of four wells strays half as far as one well.
        let wells: Vec<Vec<Well>> = (0..200)
            .map(|i| {
                (0..4)
                    .map(|j| (0, f64::from((i * 7 + j * 13) % 29)))
                    .collect()
            })
            .collect();
        let mean = Aggregate::TrimmedMean { share: 0.0 };
        let scatter = Scatter::of(&wells, 1, mean).unwrap().unwrap();
        let unit = Spread {
            deviation: 1.0,
            degrees: 1e6,
        };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut strays = scatter.strays(unit, 4);
        let square: f64 = (0..20_000)
            .map(|_| strays.draw(&mut rng).powi(2))
            .sum::<f64>()
            / 20_000.0;
        let pool = scatter.residuals().iter().map(|r| r * r).sum::<f64>() / 800.0;
        assert_relative_eq!(square, pool / 4.0, max_relative = 0.05);
    }
}
