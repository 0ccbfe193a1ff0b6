//! Numbers as text.

/// The decimal place to which a column of numbers is rounded: 10 to this power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(pub i32);

impl Place {
    /// The place that leaves the largest of `values` with `digits` significant digits.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>, digits: i32) -> Self {
        let largest = values
            .into_iter()
            .fold(0.0, |largest: f64, v| largest.max(v.abs()));
        let leading = if largest > 0.0 {
            largest.log10().floor() as i32
        } else {
            0
        };
        Self(leading + 1 - digits)
    }

    /// `value` rounded to the place, with a true minus sign; `1.2e7` where zeros would pile up.
    pub(crate) fn show(self, value: f64) -> String {
        let Self(place) = self;
        let text = if (-6..=4).contains(&place) {
            format!("{value:.*}", (-place).max(0) as usize)
        } else if value == 0.0 {
            "0".to_owned()
        } else {
            let leading = value.abs().log10().floor() as i32;
            format!("{value:.*e}", (leading - place).max(0) as usize)
        };
        let is_zero = !text.contains(|c: char| ('1'..='9').contains(&c));
        if is_zero {
            text.replace('-', "")
        } else {
            text.replace('-', "−")
        }
    }
}

/// A p-value to the thousandth.
pub(crate) fn p_text(p: f64) -> String {
    if p < 0.001 {
        "<0.001".to_owned()
    } else {
        Place(-3).show(p)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_shares_its_decimals() {
        let place = Place::of([12.345, 0.5, -3.0], 4);
        assert_eq!(place, Place(-2));
        assert_eq!(place.show(12.345), "12.35");
        assert_eq!(place.show(0.5), "0.50");
        assert_eq!(place.show(-3.0), "−3.00");
    }

    #[test]
    fn zero_has_no_sign() {
        assert_eq!(Place(-2).show(-0.001), "0.00");
        assert_eq!(Place(-2).show(-0.0), "0.00");
        assert_eq!(Place::of([0.0], 3).show(0.0), "0.00");
        assert_eq!(Place::of([], 3).show(0.0), "0.00");
    }

    #[test]
    fn small_p_values_are_not_zero() {
        let texts = [0.0, 0.000_999, 0.001, 0.0124, 1.0].map(p_text);
        assert_eq!(texts, ["<0.001", "<0.001", "0.001", "0.012", "1.000"]);
    }

    #[test]
    fn extremes_are_scientific() {
        assert_eq!(Place::of([1.5e9], 3).show(1.5e9), "1.50e9");
        assert_eq!(Place::of([2.5e-8], 2).show(-2.5e-8), "−2.5e−8");
        assert_eq!(Place(7).show(0.0), "0");
        assert_eq!(Place::of([1e100], 3).show(1e-100), "1e−100");
        assert_eq!(Place::of([5e-324], 3).show(5e-324), "4.94e−324");
    }
}
