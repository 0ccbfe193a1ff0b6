/// How far a number may lie from its reference: `absolute + relative · |reference|`.
///
/// Anything looser than these three carries its reason in the test that uses it.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    /// Share of the reference's magnitude.
    pub relative: f64,
    /// In the unit of the value.
    pub absolute: f64,
}

impl Tolerance {
    /// Closed forms in `f64`.
    pub const F64: Self = Self {
        relative: 1e-12,
        absolute: 1e-12,
    };
    /// Reductions and networks in `f32`.
    pub const F32: Self = Self {
        relative: 1e-5,
        absolute: 1e-6,
    };
    /// Central differences of an `f32` function.
    pub const GRADIENT: Self = Self {
        relative: 1e-2,
        absolute: 1e-3,
    };
}

/// Asserts that `found` and `expected` have one length and agree element by element.
///
/// # Panics
/// When they do not, or when a value is not finite; names the first position.
pub fn assert_close<A, B>(found: &[A], expected: &[B], tolerance: Tolerance)
where
    A: Copy + Into<f64>,
    B: Copy + Into<f64>,
{
    assert_eq!(found.len(), expected.len(), "lengths differ");
    for (i, (&a, &b)) in found.iter().zip(expected).enumerate() {
        let (a, b) = (a.into(), b.into());
        let most = tolerance.absolute + tolerance.relative * b.abs();
        assert!(
            (a - b).abs() <= most,
            "element {i}: found {a}, expected {b} ± {most}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_relative_and_absolute() {
        assert_close(&[1.0 + 1e-13, 0.0], &[1.0, 1e-13], Tolerance::F64);
    }

    #[test]
    #[should_panic(expected = "element 1")]
    fn nan_never_agrees() {
        assert_close(&[0.0, f64::NAN], &[0.0, f64::NAN], Tolerance::F64);
    }

    #[test]
    #[should_panic(expected = "lengths differ")]
    fn a_missing_element_is_seen() {
        assert_close(&[0.0f32], &[0.0f32, 1.0], Tolerance::F32);
    }
}
