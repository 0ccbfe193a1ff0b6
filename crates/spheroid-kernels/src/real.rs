//! The float types that the CPU computes with, and what is asked of their vectors.

use std::ops::{Add, AddAssign, Mul, Sub, SubAssign};

use bytemuck::Pod;
use pulp::Simd;

/// `f32` or `f64`.
pub(crate) trait Real:
    Pod
    + Default
    + PartialOrd
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + SubAssign
    + Mul<Output = Self>
    + Send
    + Sync
{
    type Vector<S: Simd>: Pod;

    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn minus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn times<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// `a · b + c`.
    fn mul_add<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;
    fn max<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn reduce_add<S: Simd>(simd: S, a: Self::Vector<S>) -> Self;
    fn reduce_max<S: Simd>(simd: S, a: Self::Vector<S>) -> Self;
    /// 2 to the power of every value up to 126; exactly 0 below −126.
    fn exp2<S: Simd>(simd: S, x: Self::Vector<S>) -> Self::Vector<S>;

    /// Values of a vector.
    #[inline(always)]
    fn lanes<S: Simd>() -> usize {
        size_of::<Self::Vector<S>>() / size_of::<Self>()
    }
}

macro_rules! vectors {
    ($float:ty, $vector:ident, $add:ident, $sub:ident, $mul:ident, $mul_add:ident, $max:ident,
     $splat:ident, $reduce_sum:ident, $reduce_max:ident) => {
        type Vector<S: Simd> = S::$vector;

        #[inline(always)]
        fn from_f64(value: f64) -> Self {
            value as $float
        }

        #[inline(always)]
        fn to_f64(self) -> f64 {
            self.into()
        }

        #[inline(always)]
        fn splat<S: Simd>(simd: S, value: Self) -> S::$vector {
            simd.$splat(value)
        }

        #[inline(always)]
        fn plus<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
            simd.$add(a, b)
        }

        #[inline(always)]
        fn minus<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
            simd.$sub(a, b)
        }

        #[inline(always)]
        fn times<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
            simd.$mul(a, b)
        }

        #[inline(always)]
        fn mul_add<S: Simd>(simd: S, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
            simd.$mul_add(a, b, c)
        }

        #[inline(always)]
        fn max<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
            simd.$max(a, b)
        }

        #[inline(always)]
        fn reduce_add<S: Simd>(simd: S, a: S::$vector) -> Self {
            simd.$reduce_sum(a)
        }

        #[inline(always)]
        fn reduce_max<S: Simd>(simd: S, a: S::$vector) -> Self {
            simd.$reduce_max(a)
        }
    };
}

impl Real for f32 {
    vectors!(
        f32,
        f32s,
        add_f32s,
        sub_f32s,
        mul_f32s,
        mul_add_e_f32s,
        max_f32s,
        splat_f32s,
        reduce_sum_f32s,
        reduce_max_f32s
    );

    /// Off by 2 units in the last place at most.
    #[inline(always)]
    fn exp2<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
        // Minimax polynomial of 2^f on −½ to ½ (Remez; relative error 1.9e-9).
        const POLYNOMIAL: [f32; 6] = [
            0.000_153_458_12,
            0.001_339_993_1,
            0.009_618_489,
            0.055_503_288,
            0.240_226_47,
            std::f32::consts::LN_2,
        ];
        // Adding it leaves the nearest integer in the lowest bits.
        const ROUND: f32 = 12_582_912.0;
        let least = simd.splat_f32s(-126.0);
        let round = simd.splat_f32s(ROUND);
        let vanishes = simd.less_than_f32s(x, least);
        let x = simd.max_f32s(x, least);
        let shifted = simd.add_f32s(x, round);
        let fraction = simd.sub_f32s(x, simd.sub_f32s(shifted, round));
        let mut power = simd.splat_f32s(POLYNOMIAL[0]);
        for coefficient in &POLYNOMIAL[1..] {
            power = simd.mul_add_e_f32s(power, fraction, simd.splat_f32s(*coefficient));
        }
        power = simd.mul_add_e_f32s(power, fraction, simd.splat_f32s(1.0));
        // The integer goes where a float has its exponent.
        let exponent =
            simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
        let bits = simd.add_u32s(simd.transmute_u32s_f32s(power), exponent);
        simd.select_f32s(
            vanishes,
            simd.splat_f32s(0.0),
            simd.transmute_f32s_u32s(bits),
        )
    }
}

impl Real for f64 {
    vectors!(
        f64,
        f64s,
        add_f64s,
        sub_f64s,
        mul_f64s,
        mul_add_e_f64s,
        max_f64s,
        splat_f64s,
        reduce_sum_f64s,
        reduce_max_f64s
    );

    #[inline(always)]
    fn exp2<S: Simd>(_: S, mut x: S::f64s) -> S::f64s {
        for value in bytemuck::cast_slice_mut::<S::f64s, f64>(std::slice::from_mut(&mut x)) {
            *value = if *value < -126.0 { 0.0 } else { value.exp2() };
        }
        x
    }
}

/// Whole vectors; a vector asks for no more alignment than its values.
#[inline(always)]
pub(crate) fn vectors<S: Simd, T: Real>(values: &[T]) -> &[T::Vector<S>] {
    bytemuck::cast_slice(values)
}

#[inline(always)]
pub(crate) fn vectors_mut<S: Simd, T: Real>(values: &mut [T]) -> &mut [T::Vector<S>] {
    bytemuck::cast_slice_mut(values)
}

#[cfg(test)]
pub(crate) mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;

    /// Powers of 2.
    pub(crate) struct Exp2<T>(pub(crate) Vec<T>);

    impl<T: Real> WithSimd for Exp2<T> {
        type Output = Vec<T>;

        #[inline(always)]
        fn with_simd<S: Simd>(mut self, simd: S) -> Vec<T> {
            for vector in vectors_mut::<S, T>(&mut self.0) {
                *vector = T::exp2(simd, *vector);
            }
            self.0
        }
    }

    #[test]
    fn exponentials_are_right_to_two_units_in_the_last_place() {
        let x: Vec<f32> = (0..1 << 16).map(|i| (i as f32 - 32768.0) / 261.0).collect();
        for arch in [Arch::new(), Arch::Scalar] {
            let powers = arch.dispatch(Exp2(x.clone()));
            for (x, power) in x.iter().zip(powers) {
                let exact = f64::from(*x).exp2();
                assert!(
                    (f64::from(power) - exact).abs() <= 2.0 * f64::from(f32::EPSILON) * exact,
                    "2^{x} = {power}"
                );
            }
        }
    }
}
