use burn::tensor::{Device, Tensor, module, ops::MaxPoolOptions};
use proptest::prelude::*;

use super::max_pool2d;

/// Results and gradient, of our operation or of burn's.
fn run(
    dims: [usize; 4],
    [kernel, stride, padding]: [usize; 3],
    values: &[f32],
    ours: bool,
) -> [Vec<f32>; 2] {
    let device = Device::flex().autodiff();
    let maps = Tensor::<1>::from_floats(values, &device).reshape(dims);
    let maps = maps.require_grad();
    let results = if ours {
        max_pool2d(maps.clone(), kernel, stride, padding)
    } else {
        let options = MaxPoolOptions::new([kernel; 2]).with_stride([stride; 2]);
        module::max_pool2d(maps.clone(), options.with_padding([padding; 2]))
    };
    let upstream: Vec<f32> = (0..results.dims().iter().product())
        .map(|index: usize| (index % 31) as f32 - 14.0)
        .collect();
    let upstream = Tensor::<1>::from_floats(upstream.as_slice(), &device);
    let gradients = (results.clone() * upstream.reshape(results.dims()))
        .sum()
        .backward();
    [results, maps.grad(&gradients).unwrap()].map(|tensor| tensor.into_data().try_to_vec().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn windows_of_any_size_give_what_burn_gives(
        dims in [1usize..4, 1usize..4, 1usize..14, 1usize..14],
        kernel in 1usize..6,
        stride in 1usize..4,
        padding in 0usize..3,
    ) {
        prop_assume!(2 * padding <= kernel);
        prop_assume!(dims[2].min(dims[3]) + 2 * padding >= kernel);
        // No two values of a window are equal: burn does not say which of them wins.
        let count = dims.iter().product();
        let values: Vec<f32> = (0..count).map(|at: usize| ((at * 7919) % 10_007) as f32 - 5e3).collect();
        let windows = [kernel, stride, padding];
        prop_assert_eq!(run(dims, windows, &values, true), run(dims, windows, &values, false));
    }
}

#[test]
fn the_first_of_equal_values_has_the_gradient() {
    let values = [1.0, 2.0, 2.0, 0.0, 2.0, 1.0, 0.0, 0.0, 3.0];
    let [results, gradient] = run([1, 1, 3, 3], [3, 1, 0], &values, true);
    assert_eq!(results, [3.0]);
    assert_eq!(gradient[8], -14.0);
    let [results, gradient] = run([1, 1, 3, 3], [2, 1, 0], &values, true);
    assert_eq!(results, [2.0, 2.0, 2.0, 3.0]);
    assert_eq!(
        gradient,
        [0.0, -14.0 - 13.0, 0.0, 0.0, -12.0, 0.0, 0.0, 0.0, -11.0]
    );
}

#[test]
fn what_is_no_number_and_what_is_infinite_stays() {
    let values = [f32::NEG_INFINITY; 4];
    let [results, gradient] = run([1, 1, 2, 2], [2, 2, 1], &values, true);
    assert_eq!(results, values);
    assert_eq!(gradient, [-14.0, -13.0, -12.0, -11.0]);
    let values = [f32::NAN, 1.0, 2.0, 3.0];
    let [results, _] = run([1, 1, 2, 2], [2, 2, 0], &values, true);
    assert!(results[0].is_nan());
}

#[test]
fn without_gradients_the_result_is_the_same() {
    let values: Vec<f32> = (0..2 * 3 * 7 * 6)
        .map(|at| ((at * 37) % 101) as f32)
        .collect();
    let plain = Tensor::<1>::from_floats(values.as_slice(), &Device::flex());
    let plain = max_pool2d(plain.reshape([2, 3, 7, 6]), 3, 2, 1);
    let plain: Vec<f32> = plain.into_data().try_to_vec().unwrap();
    assert_eq!(plain, run([2, 3, 7, 6], [3, 2, 1], &values, true)[0]);
}
