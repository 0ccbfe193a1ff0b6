//! Exchanging the label "treated" among wells, on which every permutation test of the crate stands.

use std::cmp::Ordering;

use nalgebra::DMatrix;
use ndarray::{ArrayView2, Axis, concatenate};
use rand::RngExt;

use crate::{
    RankError,
    discrepancy::{check_finite, check_size},
    draws::rng_of,
};

/// A statistic and how seldom it is as large when the labels mean nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PermutationTest {
    /// The statistic of the wells as they are.
    pub statistic: f64,
    /// Share of the ways to choose the treated wells among all of them that give a statistic at
    /// least as large; above 0.
    ///
    /// Exact up to 20,000 ways. Beyond, 9,999 are drawn and the wells as they are count as one more
    /// (Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9 (2010),
    /// 39); the draws are seeded by the values, so they depend neither on the order of the wells
    /// nor on a clock.
    pub p_value: f64,
}

/// Ways of labelling up to which all are tried.
const ENUMERATED: usize = 20_000;
/// Ways that are drawn where there are more.
const DRAWS: usize = 9_999;

/// Wells up to which a matrix of all pairs is built: 128 MiB of it.
const MAX_WELLS: usize = 4096;

pub(crate) fn check_wells(found: usize) -> Result<(), RankError> {
    if found <= MAX_WELLS {
        Ok(())
    } else {
        Err(RankError::TooManyWells {
            found,
            most: MAX_WELLS,
        })
    }
}

/// Indices of the rows in an order that depends on their values alone; no value is NaN.
pub(crate) fn sorted_rows(rows: ArrayView2<'_, f32>) -> Vec<usize> {
    let by_values = |&a: &usize, &b: &usize| {
        let mut pairs = rows.row(a).into_iter().zip(rows.row(b));
        pairs
            .find_map(|(a, b)| Some(a.total_cmp(b)).filter(|order| order.is_ne()))
            .unwrap_or(Ordering::Equal)
    };
    let mut order: Vec<usize> = (0..rows.nrows()).collect();
    order.sort_by(by_values);
    order
}

/// Treated and untreated wells as one sample, in an order that depends on their values alone.
pub(crate) struct Pooled {
    /// `[well, feature]`.
    pub(crate) rows: DMatrix<f64>,
    /// Row of each well, the treated ones first, in the order in which they were given.
    pub(crate) positions: Vec<usize>,
    /// Which of the rows are treated, ascending.
    treated: Vec<usize>,
}

impl Pooled {
    /// Joins wells `[well, feature]`, of which at least so many are needed.
    pub(crate) fn of(
        treated: ArrayView2<'_, f32>,
        untreated: ArrayView2<'_, f32>,
        (least_treated, least_untreated): (usize, usize),
    ) -> Result<Self, RankError> {
        check_size(
            "features of the untreated wells",
            treated.ncols(),
            untreated.ncols(),
        )?;
        if treated.ncols() == 0 {
            return Err(RankError::NoFeatures);
        }
        for (what, rows, needed) in [
            ("treated", treated, least_treated),
            ("untreated", untreated, least_untreated),
        ] {
            check_finite(what, rows)?;
            if rows.nrows() < needed {
                return Err(RankError::TooFewWells {
                    what,
                    found: rows.nrows(),
                    needed,
                });
            }
        }
        check_wells(treated.nrows() + untreated.nrows())?;
        // Adding zero turns -0 into +0, which must not sort apart.
        let all = concatenate![Axis(0), treated, untreated] + 0.0f32;
        let order = sorted_rows(all.view());
        let mut positions = vec![0; order.len()];
        for (row, &well) in order.iter().enumerate() {
            positions[well] = row;
        }
        let mut treated = positions[..treated.nrows()].to_vec();
        treated.sort_unstable();
        Ok(Self {
            rows: DMatrix::from_fn(order.len(), all.ncols(), |i, j| {
                f64::from(all[[order[i], j]])
            }),
            positions,
            treated,
        })
    }

    /// Symmetric matrix of a function of two rows.
    pub(crate) fn pairs(&self, mut of_two: impl FnMut(usize, usize) -> f64) -> DMatrix<f64> {
        let wells = self.rows.nrows();
        let mut pairs = DMatrix::zeros(wells, wells);
        for i in 0..wells {
            for j in 0..=i {
                pairs[(i, j)] = of_two(i, j);
                pairs[(j, i)] = pairs[(i, j)];
            }
        }
        pairs
    }

    /// Euclidean distances `[well, well]`.
    pub(crate) fn distances(&self) -> DMatrix<f64> {
        self.pairs(|i, j| (self.rows.row(i) - self.rows.row(j)).norm())
    }

    /// Tests `statistic`, which is given the treated rows in ascending order.
    pub(crate) fn test(&self, statistic: impl FnMut(&[usize]) -> f64) -> PermutationTest {
        // Row by row: the memory of the matrix runs along columns.
        let rows = self.rows.transpose();
        test(&self.treated, rows.as_slice(), self.rows.nrows(), statistic)
    }
}

/// Sums of a symmetric matrix over the pairs of treated wells, of untreated wells, and across.
///
/// Each unordered pair counts twice within a group and once across; wells pair with themselves.
pub(crate) struct PairSums {
    pairs: DMatrix<f64>,
    of_rows: Vec<f64>,
    total: f64,
}

impl PairSums {
    pub(crate) fn of(pairs: DMatrix<f64>) -> Self {
        let of_rows: Vec<f64> = pairs.row_iter().map(|row| row.sum()).collect();
        Self {
            total: of_rows.iter().sum(),
            of_rows,
            pairs,
        }
    }

    /// Sums (treated, untreated, across) when `treated` are the treated wells.
    pub(crate) fn split(&self, treated: &[usize]) -> (f64, f64, f64) {
        let (mut within, mut of_treated) = (0.0, 0.0);
        for &i in treated {
            of_treated += self.of_rows[i];
            within += treated.iter().map(|&j| self.pairs[(j, i)]).sum::<f64>();
        }
        let across = of_treated - within;
        (within, self.total - within - 2.0 * across, across)
    }
}

/// Tests `statistic` over the ways to choose as many of `items` as are `labelled`.
///
/// `values` seed the draws; they must be in an order that depends on them alone.
pub(crate) fn test(
    labelled: &[usize],
    values: &[f64],
    items: usize,
    mut statistic: impl FnMut(&[usize]) -> f64,
) -> PermutationTest {
    let observed = statistic(labelled);
    let mut others = Vec::new();
    if combinations(items, labelled.len()) <= ENUMERATED {
        each_combination(items, labelled.len(), |chosen| {
            others.push(statistic(chosen));
        });
    } else {
        let mut rng = rng_of(values.iter().map(|value| value.to_bits()));
        let mut order: Vec<usize> = (0..items).collect();
        let mut chosen = vec![0; labelled.len()];
        others.push(observed);
        for _ in 0..DRAWS {
            for slot in 0..chosen.len() {
                order.swap(slot, rng.random_range(slot..items));
            }
            chosen.copy_from_slice(&order[..labelled.len()]);
            chosen.sort_unstable();
            others.push(statistic(&chosen));
        }
    }
    /// Share of the largest statistic by which two that are equal may differ after rounding.
    const ROUNDING: f64 = 1e-12;
    let largest = others
        .iter()
        .fold(0.0f64, |most, value| most.max(value.abs()));
    let least = observed - ROUNDING * largest;
    let as_large = others.iter().filter(|value| **value >= least).count();
    PermutationTest {
        statistic: observed,
        p_value: as_large as f64 / others.len() as f64,
    }
}

/// Ways to choose `chosen` of `items`, or a number above [`ENUMERATED`] when there are more.
fn combinations(items: usize, chosen: usize) -> usize {
    let mut ways = 1;
    for i in 0..chosen.min(items - chosen) {
        ways = ways * (items - i) / (i + 1);
        if ways > ENUMERATED {
            break;
        }
    }
    ways
}

/// Calls `visit` with every choice, ascending.
fn each_combination(items: usize, chosen: usize, mut visit: impl FnMut(&[usize])) {
    let mut choice: Vec<usize> = (0..chosen).collect();
    loop {
        visit(&choice);
        // The last place that can still move up; those after it follow.
        let Some(place) = (0..chosen).rfind(|&i| choice[i] < items - chosen + i) else {
            return;
        };
        let first = choice[place] + 1;
        for (slot, value) in choice[place..].iter_mut().zip(first..) {
            *slot = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn every_choice_is_visited_once() {
        let mut seen = Vec::new();
        each_combination(5, 3, |choice| seen.push(choice.to_vec()));
        assert_eq!(seen.len(), 10);
        assert_eq!(
            (&seen[0][..], &seen[9][..]),
            (&[0, 1, 2][..], &[2, 3, 4][..])
        );
        assert!(seen.is_sorted());
        seen.dedup();
        assert_eq!(seen.len(), combinations(5, 3));
        each_combination(3, 3, |choice| assert_eq!(choice, [0, 1, 2]));
    }

    #[test]
    fn many_ways_are_not_counted_to_the_end() {
        assert_eq!(combinations(18, 6), 18_564);
        assert_eq!(combinations(18, 12), 18_564);
        assert_eq!(combinations(7, 0), 1);
        assert!(combinations(4096, 2048) > ENUMERATED);
    }

    #[test]
    fn drawn_and_enumerated_agree() {
        // The largest 3 of 60 by their sum: the chance is 1 / 34,220.
        let values: Vec<f64> = (0..60).map(f64::from).collect();
        let sum = |chosen: &[usize]| chosen.iter().map(|&i| values[i]).sum::<f64>();
        let best = test(&[57, 58, 59], &values, 60, sum);
        assert!(best.p_value >= 1e-4 && best.p_value <= 3e-4, "{best:?}");
        // A sum at the middle of its symmetric distribution.
        let middle = test(&[0, 30, 59], &values, 60, sum);
        assert!((middle.p_value - 0.5).abs() < 0.02, "{middle:?}");
        assert_eq!(middle, test(&[0, 30, 59], &values, 60, sum));
    }

    #[test]
    fn sums_over_pairs() {
        let pooled = Pooled::of(
            array![[0.0f32], [1.0]].view(),
            array![[5.0f32], [2.0], [-0.0]].view(),
            (1, 1),
        )
        .unwrap();
        assert_eq!(pooled.rows.as_slice(), [0.0, 0.0, 1.0, 2.0, 5.0]);
        let sums = PairSums::of(pooled.distances());
        // Treated 0 and 1, untreated 0, 2 and 5.
        assert_eq!(
            sums.split(&[0, 2]),
            (2.0, 20.0, 0.0 + 2.0 + 5.0 + 1.0 + 1.0 + 4.0)
        );
    }
}
