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

    fn step(&self) -> f64 {
        self.multiple * 10f64.powi(self.exponent)
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

    proptest! {
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
