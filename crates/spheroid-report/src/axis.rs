//! Round numbers for axes.
//!
//! # Source
//! P. Heckbert, "Nice numbers for graph labels", Graphics Gems (1990), pp. 61–63: steps of 1, 2 or
//! 5 times a power of ten. Differs from it in that the step is always rounded up, so that the
//! number of ticks is bounded.

use crate::number::Place;

/// A linear axis with round ticks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    /// The distance of ticks is `multiple` times 10 to the power of `exponent`.
    multiple: f64,
    exponent: i32,
}

impl Axis {
    /// From the least to the greatest of `values`, with at most `intervals + 1` ticks.
    ///
    /// Values that are all equal stand in the middle; without any the axis runs from 0 to 1.
    pub(crate) fn within(values: impl IntoIterator<Item = f64>, intervals: usize) -> Self {
        let (low, high) = widened(values);
        let raw = (high - low) / intervals as f64;
        let exponent = raw.log10().floor() as i32;
        let fraction = raw / 10f64.powi(exponent);
        // The tolerance keeps a span of 1 in 10 intervals at steps of 0.1 despite rounding.
        let (multiple, exponent) = [1.0, 2.0, 5.0]
            .into_iter()
            .find(|multiple| fraction <= multiple * (1.0 + 1e-9))
            .map_or((1.0, exponent + 1), |multiple| (multiple, exponent));
        Self {
            low,
            high,
            multiple,
            exponent,
        }
    }

    /// Like [`Axis::within`], then widened so that both ends are ticks.
    pub(crate) fn around(values: impl IntoIterator<Item = f64>, intervals: usize) -> Self {
        let axis = Self::within(values, intervals);
        let step = axis.step();
        Self {
            low: (axis.low / step + 1e-9).floor() * step,
            high: (axis.high / step - 1e-9).ceil() * step,
            ..axis
        }
    }

    /// The same axis with ticks at whole numbers only.
    pub(crate) fn whole(self) -> Self {
        if self.exponent < 0 {
            Self {
                multiple: 1.0,
                exponent: 0,
                ..self
            }
        } else {
            self
        }
    }

    /// Values and labels of the ticks, ascending.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        let step = self.step();
        let first = (self.low / step - 1e-9).ceil();
        let last = (self.high / step + 1e-9).floor();
        // Counting from `first` in integers: adding 1 to a large float might not change it.
        let count = (last - first).max(-1.0) as usize + usize::from(last >= first);
        let place = Place(self.exponent);
        (0..count)
            .map(|index| (first + index as f64) * step)
            .map(|value| (value, place.show(value)))
            .collect()
    }

    /// Where `value` lies: 0 at the lower end, 1 at the upper.
    pub(crate) fn position(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Positions and labels of the ticks, ascending.
    pub(crate) fn marks(&self) -> Vec<(f64, String)> {
        let ticks = self.ticks().into_iter();
        ticks
            .map(|(value, label)| (self.position(value), label))
            .collect()
    }

    fn step(&self) -> f64 {
        self.multiple * 10f64.powi(self.exponent)
    }
}

/// A logarithmic axis with ticks at powers of ten, or at 1, 2 and 5 times them when few.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LogAxis {
    /// Decimal logarithms of the ends.
    low: f64,
    high: f64,
}

impl LogAxis {
    /// From the least to the greatest of `values`, which are positive and at least one.
    ///
    /// Values that are all equal stand in the middle of a decade.
    pub(crate) fn within(values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = values
            .into_iter()
            .map(f64::log10)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(v), high.max(v))
            });
        if high - low > 1e-6 {
            Self { low, high }
        } else {
            Self {
                low: low - 0.5,
                high: high + 0.5,
            }
        }
    }

    /// Positions and labels of the ticks, ascending, about `most`.
    pub(crate) fn marks(&self, most: usize) -> Vec<(f64, String)> {
        let ticks = |multiples: &[f64], first: f64, every: usize| {
            let mut marks = Vec::new();
            for exponent in (first as i32..=self.high.ceil() as i32).step_by(every) {
                let values = multiples.iter().map(|m| m * 10f64.powi(exponent));
                let on_axis = values.filter(|value| self.contains(*value));
                marks.extend(on_axis.map(|v| (self.position(v), Place(exponent).show(v))));
            }
            marks
        };
        let fine = ticks(&[1.0, 2.0, 5.0], self.low.floor(), 1);
        let first = (self.low - 1e-9).ceil();
        let decades = ticks(&[1.0], first, 1);
        if fine.len() < 2 {
            // Less than a factor of 2.5: the axis is nearly linear.
            let ends = [self.low, self.high].map(|log| 10f64.powf(log));
            let ticks = Axis::within(ends, most.min(3)).ticks().into_iter();
            ticks.map(|(v, label)| (self.position(v), label)).collect()
        } else if fine.len() <= most || decades.len() < 2 {
            fine
        } else {
            ticks(&[1.0], first, decades.len().div_ceil(most))
        }
    }

    /// Where a positive `value` lies: 0 at the lower end, 1 at the upper.
    pub(crate) fn position(&self, value: f64) -> f64 {
        ((value.log10() - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Whether `value` lies between the ends.
    pub(crate) fn contains(&self, value: f64) -> bool {
        (self.low - 1e-9..=self.high + 1e-9).contains(&value.log10())
    }
}

/// The range of `values`, made wide enough to divide by.
fn widened(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .into_iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(v), high.max(v))
        });
    if low > high {
        return (0.0, 1.0);
    }
    let size = low.abs().max(high.abs());
    if high - low > size * 1e-6 && size > 1e-100 {
        return (low, high);
    }
    let middle = low + (high - low) / 2.0;
    let half = if size > 1e-100 { size * 0.1 } else { 1.0 };
    (middle - half, middle + half)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn steps_are_one_two_or_five() {
        assert_eq!(
            labels(&Axis::around([0.0, 10.0], 5)),
            ["0", "2", "4", "6", "8", "10"]
        );
        assert_eq!(
            labels(&Axis::around([0.3, 1.7], 4)),
            ["0.0", "0.5", "1.0", "1.5", "2.0"]
        );
        assert_eq!(labels(&Axis::around([-1.0, 1.0], 2)), ["−1", "0", "1"]);
        assert_eq!(labels(&Axis::around([0.0, 1.0], 10)).len(), 11);
        assert_eq!(labels(&Axis::around([0.0, 1e7], 2)), ["0", "5e6", "1.0e7"]);
    }

    #[test]
    fn within_keeps_the_range() {
        let axis = Axis::within([0.3, 1.7], 4);
        assert_eq!(labels(&axis), ["0.5", "1.0", "1.5"]);
        assert_eq!((axis.position(0.3), axis.position(1.7)), (0.0, 1.0));
        assert!((axis.position(1.0) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn equal_values_stand_in_the_middle() {
        for value in [0.0, 5.0, -3e-7, 1e100, 5e-324] {
            let axis = Axis::within([value, value], 4);
            assert!((axis.position(value) - 0.5).abs() < 1e-9, "{value}");
            assert!(axis.ticks().len() > 1, "{value}");
        }
        assert_eq!(labels(&Axis::within([], 2)), ["0.0", "0.5", "1.0"]);
    }

    #[test]
    fn whole_numbers_have_no_ticks_between() {
        assert_eq!(
            labels(&Axis::within([1.0, 3.0], 8).whole()),
            ["1", "2", "3"]
        );
        assert_eq!(labels(&Axis::within([4.0], 8).whole()), ["4"]);
        assert_eq!(
            labels(&Axis::within([0.0, 40.0], 4).whole()),
            ["0", "10", "20", "30", "40"]
        );
    }

    fn log_labels(values: [f64; 2], most: usize) -> Vec<String> {
        let marks = LogAxis::within(values).marks(most).into_iter();
        marks.map(|(_, label)| label).collect()
    }

    #[test]
    fn logarithmic_axes_have_powers_of_ten() {
        assert_eq!(
            log_labels([0.01, 100.0], 5),
            ["0.01", "0.1", "1", "10", "100"]
        );
        assert_eq!(log_labels([0.5, 10.0], 5), ["0.5", "1", "2", "5", "10"]);
        assert_eq!(log_labels([0.9, 1.6], 5), ["1.0", "1.5"]);
        assert_eq!(
            log_labels([1e-4, 1e4], 5),
            ["0.0001", "0.01", "1", "100", "10000"]
        );
        let axis = LogAxis::within([0.01, 100.0]);
        assert!((axis.position(1.0) - 0.5).abs() < 1e-12);
        assert!((axis.position(10.0) - 0.75).abs() < 1e-12);
        assert_eq!((axis.position(1e-9), axis.position(1e9)), (0.0, 1.0));
        assert!(axis.contains(0.01) && axis.contains(100.0) && !axis.contains(101.0));
        let single = LogAxis::within([3.0]);
        assert!((single.position(3.0) - 0.5).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn logarithmic_ticks_are_few_and_ascend(
            low in -100f64..100.0, decades in 0f64..100.0, most in 2usize..8,
        ) {
            let values = [10f64.powf(low), 10f64.powf((low + decades).min(100.0))];
            let marks = LogAxis::within(values).marks(most);
            prop_assert!(marks.len() >= 2 && marks.len() <= most.max(7), "{marks:?}");
            prop_assert!(marks.windows(2).all(|m| m[0].0 < m[1].0 && m[0].1 != m[1].1), "{marks:?}");
        }

        #[test]
        fn ticks_are_few_distinct_and_on_the_axis(
            a in -1e100f64..1e100, b in -1e100f64..1e100, shrink in 0i32..200, n in 1usize..12,
        ) {
            let (a, b) = (a * 10f64.powi(-shrink), b * 10f64.powi(-shrink));
            for axis in [Axis::within([a, b], n), Axis::around([a, b], n)] {
                let ticks = axis.ticks();
                prop_assert!(ticks.len() <= n + 3);
                prop_assert!(ticks.windows(2).all(|t| t[0].0 < t[1].0 && t[0].1 != t[1].1));
                for value in ticks.iter().map(|(value, _)| *value).chain([a, b]) {
                    prop_assert!((0.0..=1.0).contains(&axis.position(value)));
                }
                let position_follows_value =
                    (axis.position(a) <= axis.position(b)) == (a <= b) || a == b;
                prop_assert!(position_follows_value);
            }
            prop_assert!(Axis::around([a, b], n).ticks().len() >= 2);
        }
    }
}
