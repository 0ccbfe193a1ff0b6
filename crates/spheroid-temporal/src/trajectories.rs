use std::{collections::HashSet, fmt};

use ndarray::{Array3, ArrayView2, ArrayView3, Axis, s};
use spheroid_core::{Day, WellId};

use crate::TemporalError;

/// A well of a plate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Well {
    /// Name of the plate.
    pub plate: String,
    /// Position on it.
    pub well: WellId,
}

impl fmt::Display for Well {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plate {}, well {}", self.plate, self.well)
    }
}

/// Representations of wells over days; the last day is the one to predict.
///
/// # Example
/// ```
/// use ndarray::array;
/// use spheroid_core::Day;
/// use spheroid_temporal::{Trajectories, Well};
///
/// let days = vec![Day::new(7.0)?, Day::new(10.0)?];
/// let well = Well { plate: "P1".into(), well: "B02".parse()? };
/// // One well, two days, three features.
/// let series = Trajectories::new(days, array![[[1., 2., 3.], [4., 5., 6.]]], vec![well])?;
/// assert_eq!(series.past().dim(), (1, 1, 3));
/// assert_eq!(series.target(), array![[4., 5., 6.]]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectories {
    days: Vec<Day>,
    values: Array3<f32>,
    wells: Vec<Well>,
}

impl Trajectories {
    /// Checks and joins the parts.
    ///
    /// # Shapes
    /// `values` `[well, day, feature]`, the axes as in `wells` and `days`.
    ///
    /// # Errors
    /// When an axis is empty or disagrees with its names, there are fewer than two days, the days do
    /// not rise, a well occurs twice or a value is not finite.
    pub fn new(
        days: Vec<Day>,
        values: Array3<f32>,
        wells: Vec<Well>,
    ) -> Result<Self, TemporalError> {
        let (n_wells, n_days, n_features) = values.dim();
        expect("wells on the first axis", wells.len(), n_wells)?;
        expect("days on the second axis", days.len(), n_days)?;
        at_least("wells", n_wells, 1)?;
        at_least("days", n_days, 2)?;
        at_least("features", n_features, 1)?;
        check_rising(&days)?;
        let mut seen = HashSet::new();
        if let Some(twice) = wells.iter().find(|well| !seen.insert(*well)) {
            return Err(TemporalError::DuplicateWell {
                well: twice.to_string(),
            });
        }
        for ((well, day, feature), &value) in values.indexed_iter() {
            if !value.is_finite() {
                let well = format!("{}, day {}", wells[well], days[day]);
                return Err(TemporalError::NotFinite {
                    well,
                    feature,
                    value,
                });
            }
        }
        Ok(Self {
            days,
            values,
            wells,
        })
    }

    /// Days, rising; the last is the target.
    pub fn days(&self) -> &[Day] {
        &self.days
    }

    /// The day to predict.
    pub fn target_day(&self) -> Day {
        self.days[self.days.len() - 1]
    }

    /// The days to predict from.
    pub fn past_days(&self) -> &[Day] {
        &self.days[..self.days.len() - 1]
    }

    /// Wells, in the order of the rows.
    pub fn wells(&self) -> &[Well] {
        &self.wells
    }

    /// Number of features.
    pub fn dim(&self) -> usize {
        self.values.len_of(Axis(2))
    }

    /// All days but the last, `[well, day, feature]`.
    pub fn past(&self) -> ArrayView3<'_, f32> {
        self.values.slice(s![.., ..self.days.len() - 1, ..])
    }

    /// The last day, `[well, feature]`.
    pub fn target(&self) -> ArrayView2<'_, f32> {
        self.values.index_axis(Axis(1), self.days.len() - 1)
    }

    /// The wells at `indices`, in that order.
    ///
    /// # Errors
    /// When `indices` is empty, holds an index twice or one beyond the wells.
    pub fn select_wells(&self, indices: &[usize]) -> Result<Self, TemporalError> {
        let wells = self.wells.len();
        if let Some(&index) = indices.iter().find(|&&index| index >= wells) {
            return Err(TemporalError::NoSuchWell { index, wells });
        }
        Self::new(
            self.days.clone(),
            self.values.select(Axis(0), indices),
            indices
                .iter()
                .map(|&index| self.wells[index].clone())
                .collect(),
        )
    }

    /// The given days; the last of them becomes the target.
    ///
    /// For scoring that is the last day before the drug acts and the day of reading; see the
    /// [crate](crate#which-days-may-be-given).
    ///
    /// # Errors
    /// When a day is not in the series, fewer than two are given or they do not rise.
    pub fn select_days(&self, days: &[Day]) -> Result<Self, TemporalError> {
        let columns = days
            .iter()
            .map(|&day| {
                self.days
                    .binary_search(&day)
                    .map_err(|_| TemporalError::NoSuchDay {
                        day,
                        present: join(&self.days),
                    })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Self::new(
            days.to_vec(),
            self.values.select(Axis(1), &columns),
            self.wells.clone(),
        )
    }
}

pub(crate) fn join(days: &[Day]) -> String {
    days.iter()
        .map(Day::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

pub(crate) fn expect(
    what: &'static str,
    expected: usize,
    found: usize,
) -> Result<(), TemporalError> {
    if expected == found {
        Ok(())
    } else {
        Err(TemporalError::Shape {
            what,
            expected,
            found,
        })
    }
}

pub(crate) fn check_rising(days: &[Day]) -> Result<(), TemporalError> {
    match days
        .iter()
        .zip(days.iter().skip(1))
        .find(|(earlier, later)| earlier >= later)
    {
        None => Ok(()),
        Some((&earlier, &later)) => Err(TemporalError::DayOrder { earlier, later }),
    }
}

pub(crate) fn at_least(
    what: &'static str,
    found: usize,
    least: usize,
) -> Result<(), TemporalError> {
    if found >= least {
        Ok(())
    } else {
        Err(TemporalError::TooFew { what, found, least })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ndarray::array;

    use super::*;

    pub(crate) fn days(days: &[f64]) -> Vec<Day> {
        days.iter().map(|&day| Day::new(day).unwrap()).collect()
    }

    /// Wells B02, B03, … of plate P.
    pub(crate) fn wells(count: usize) -> Vec<Well> {
        (0..count)
            .map(|i| Well {
                plate: "P".into(),
                well: WellId::new(1 + i / 40, 1 + i % 40).unwrap(),
            })
            .collect()
    }

    fn series() -> Trajectories {
        let values = array![[[1.], [2.], [3.]], [[4.], [5.], [6.]]];
        Trajectories::new(days(&[7., 8., 10.]), values, wells(2)).unwrap()
    }

    #[test]
    fn past_and_target_part_at_the_last_day() {
        let series = series();
        assert_eq!(series.past(), array![[[1.], [2.]], [[4.], [5.]]]);
        assert_eq!(series.target(), array![[3.], [6.]]);
        assert_eq!(series.past_days(), days(&[7., 8.]));
        assert_eq!(series.target_day(), Day::new(10.).unwrap());
    }

    #[test]
    fn selections_keep_values_with_their_names() {
        let one = series().select_wells(&[1]).unwrap();
        assert_eq!(one.wells(), &wells(2)[1..]);
        assert_eq!(one.target(), array![[6.]]);
        let cut = series().select_days(&days(&[7., 10.])).unwrap();
        assert_eq!(cut.past(), array![[[1.]], [[4.]]]);
        assert_eq!(cut.target(), array![[3.], [6.]]);
    }

    #[test]
    fn wrong_selections_are_refused() {
        let series = series();
        assert_eq!(
            series.select_wells(&[0, 2]),
            Err(TemporalError::NoSuchWell { index: 2, wells: 2 })
        );
        assert!(matches!(
            series.select_wells(&[]),
            Err(TemporalError::TooFew { .. })
        ));
        assert!(matches!(
            series.select_wells(&[1, 1]),
            Err(TemporalError::DuplicateWell { .. })
        ));
        assert!(matches!(
            series.select_days(&days(&[7., 9.])),
            Err(TemporalError::NoSuchDay { .. })
        ));
        assert!(matches!(
            series.select_days(&days(&[7.])),
            Err(TemporalError::TooFew { .. })
        ));
        assert!(matches!(
            series.select_days(&days(&[8., 7.])),
            Err(TemporalError::DayOrder { .. })
        ));
    }

    #[test]
    fn wrong_parts_are_refused() {
        let new = |d: &[f64], shape, n| {
            Trajectories::new(days(d), Array3::zeros(shape), wells(n)).unwrap_err()
        };
        assert!(matches!(
            new(&[7., 10.], (2, 2, 1), 3),
            TemporalError::Shape { .. }
        ));
        assert!(matches!(
            new(&[7., 10.], (2, 3, 1), 2),
            TemporalError::Shape { .. }
        ));
        assert!(matches!(
            new(&[7.], (2, 1, 1), 2),
            TemporalError::TooFew { .. }
        ));
        assert!(matches!(
            new(&[7., 10.], (0, 2, 1), 0),
            TemporalError::TooFew { .. }
        ));
        assert!(matches!(
            new(&[7., 10.], (2, 2, 0), 2),
            TemporalError::TooFew { .. }
        ));
        assert!(matches!(
            new(&[7., 7.], (2, 2, 1), 2),
            TemporalError::DayOrder { .. }
        ));
    }

    #[test]
    fn what_is_not_finite_is_named() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut values = Array3::zeros((2, 2, 3));
            values[[1, 0, 2]] = bad;
            let error = Trajectories::new(days(&[7., 10.]), values, wells(2)).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("plate P, well B03, day 7, feature 2 is {bad}: every value must be finite")
            );
        }
    }
}
