use burn::tensor::{Device, Tensor, TensorData};
use proptest::prelude::*;
use pulp::Arch;
use spheroid_testkit::normal;

use super::{
    conv2d,
    passes::{forward, input_gradient, weight_gradient},
};
use crate::{tiles::Tile, unfolded::Geometry};

/// Sizes of `images`, of `weights`, stride, padding.
type Case = ([usize; 4], [usize; 4], usize, usize);

/// Results, gradient of images and gradient of weights for results whose gradients are `upstream`, by the
/// definition.
fn by_definition(
    (image_dims, weight_dims, stride, padding): Case,
    images: &[f64],
    weights: &[f64],
    upstream: impl Fn(usize) -> f64,
) -> [Vec<f64>; 3] {
    let [count, inputs, rows, columns] = image_dims;
    let [outputs, _, kernel_rows, kernel_columns] = weight_dims;
    let out_rows = (rows + 2 * padding - kernel_rows) / stride + 1;
    let out_columns = (columns + 2 * padding - kernel_columns) / stride + 1;
    let mut results = Vec::new();
    let mut image_gradient = vec![0.0; images.len()];
    let mut weight_gradient = vec![0.0; weights.len()];
    for index in 0..count * outputs * out_rows * out_columns {
        let (rest, x) = (index / out_columns, index % out_columns);
        let (rest, y) = (rest / out_rows, rest % out_rows);
        let (image, output) = (rest / outputs, rest % outputs);
        let mut sum = 0.0;
        for tap in 0..inputs * kernel_rows * kernel_columns {
            let (rest, kx) = (tap / kernel_columns, tap % kernel_columns);
            let (input, ky) = (rest / kernel_rows, rest % kernel_rows);
            let (row, column) = (y * stride + ky, x * stride + kx);
            if (padding..rows + padding).contains(&row)
                && (padding..columns + padding).contains(&column)
            {
                let place = (image * inputs + input) * rows + row - padding;
                let place = place * columns + column - padding;
                let weight = (output * inputs + input) * kernel_rows + ky;
                let weight = weight * kernel_columns + kx;
                sum += images[place] * weights[weight];
                image_gradient[place] += upstream(index) * weights[weight];
                weight_gradient[weight] += upstream(index) * images[place];
            }
        }
        results.push(sum);
    }
    [results, image_gradient, weight_gradient]
}

/// The largest share of the largest value by which Winograd's weight gradient was off in 180 draws is 1.2e-5; results and
/// the gradient of images were off by 3.5e-6.
const TOLERANCE: f64 = 4e-5;

fn assert_near(found: Tensor<4>, expected: &[f64], what: &str) {
    let found: Vec<f32> = found.into_data().try_to_vec().unwrap();
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1.0, |a: f64, b| a.max(b.abs()));
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs();
        assert!(
            error < TOLERANCE * largest,
            "{what} {index}: {found}, {expected}"
        );
    }
}

fn random(shape: [usize; 4], seed: u64, device: &Device) -> (Tensor<4>, Vec<f64>) {
    let values = normal(shape.iter().product(), seed);
    let tensor = Tensor::from_data(TensorData::new(values.clone(), shape), device);
    (tensor, values.into_iter().map(f64::from).collect())
}

fn check(case: Case) {
    let device = Device::flex().autodiff();
    let (image_dims, weight_dims, stride, padding) = case;
    let (images, image_values) = random(image_dims, 1, &device);
    let (weights, weight_values) = random(weight_dims, 2, &device);
    let (images, weights) = (images.require_grad(), weights.require_grad());
    let results = conv2d(images.clone(), weights.clone(), stride, padding);
    // Every result has a gradient of its own.
    let upstream = |index: usize| ((index % 97) as f64 - 48.0) / 50.0;
    let length = results.dims().iter().product();
    let factors: Vec<f32> = (0..length).map(|index| upstream(index) as f32).collect();
    let factors = Tensor::<1>::from_floats(factors.as_slice(), &device).reshape(results.dims());
    let gradients = (results.clone() * factors).sum().backward();
    let expected = by_definition(case, &image_values, &weight_values, |index| {
        f64::from(upstream(index) as f32)
    });
    assert_near(results, &expected[0], &format!("{case:?}: result"));
    let gradient = images.grad(&gradients).unwrap();
    assert_near(gradient, &expected[1], &format!("{case:?}: image"));
    let gradient = weights.grad(&gradients).unwrap();
    assert_near(gradient, &expected[2], &format!("{case:?}: weight"));
}

#[test]
fn layers_of_networks_are_as_defined() {
    for (images, outputs, kernel, stride, padding) in [
        ([2, 1, 28, 28], 16, 3, 1, 1),
        ([3, 16, 24, 24], 16, 3, 1, 1),
        ([5, 16, 14, 14], 32, 3, 2, 1),
        ([9, 17, 7, 7], 9, 3, 2, 1),
        ([7, 40, 3, 3], 25, 3, 1, 1),
        ([2, 3, 33, 31], 10, 7, 2, 3),
        ([3, 8, 13, 12], 12, 1, 2, 0),
        ([3, 8, 6, 5], 12, 1, 1, 0),
        ([40, 2, 1, 1], 3, 3, 1, 1),
        ([33, 3, 4, 4], 5, 3, 1, 1),
        // Many outputs of small planes.
        ([7, 40, 3, 3], 48, 3, 1, 1),
        ([9, 17, 7, 7], 40, 3, 2, 1),
        ([5, 33, 6, 6], 33, 3, 1, 1),
        ([2, 3, 8, 8], 64, 7, 2, 3),
        // Winograd with many tiles: of one task, of several, with rests, without padding, of more than a part.
        ([3, 32, 24, 24], 32, 3, 1, 1),
        ([2, 33, 14, 13], 41, 3, 1, 1),
        ([2, 32, 11, 9], 35, 3, 1, 0),
        ([2, 40, 10, 8], 32, 3, 1, 2),
        ([33, 32, 9, 9], 32, 3, 1, 1),
        // With few.
        ([2, 64, 3, 3], 64, 3, 1, 1),
        ([3, 129, 6, 6], 100, 3, 1, 1),
        ([1, 97, 7, 5], 130, 3, 1, 0),
    ] {
        check((
            images,
            [outputs, images[1], kernel, kernel],
            stride,
            padding,
        ));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sizes_are_as_defined(
        images in [1usize..5, 1usize..5, 1usize..12, 1usize..20],
        weights in [1usize..40, 1usize..2, 1usize..6, 1usize..6],
        stride in 1usize..4,
        padding in 0usize..4,
    ) {
        let weights = [weights[0], images[1], weights[2], weights[3]];
        prop_assume!(images[2] + 2 * padding >= weights[2] && images[3] + 2 * padding >= weights[3]);
        check((images, weights, stride, padding));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn many_channels_are_as_defined(
        images in [1usize..4, 32usize..100, 3usize..14, 3usize..14],
        outputs in 32usize..100,
        padding in 0usize..3,
    ) {
        check((images, [outputs, images[1], 3, 3], 1, padding));
    }
}

/// Every set of instructions that this processor has.
fn instructions() -> Vec<Arch> {
    let mut found = vec![Arch::Scalar];
    #[cfg(target_arch = "x86_64")]
    {
        found.extend(pulp::x86::V3::try_new().map(Arch::V3));
        found.extend(pulp::x86::V4::try_new().map(Arch::V4));
    }
    found
}

#[test]
fn all_instructions_give_the_same() {
    for (images, inputs, size, outputs, kernel, stride) in [
        (7, 5, [13, 12], 20, 3, 1),
        (7, 5, [9, 10], 9, 3, 2),
        (7, 5, [5, 6], 40, 3, 1),
        (7, 33, [13, 12], 41, 3, 1),
        (2, 65, [6, 5], 50, 3, 1),
    ] {
        let geometry = Geometry {
            images,
            inputs,
            outputs,
            size,
            kernel: [kernel; 2],
            stride,
            padding: 1,
        };
        let out = geometry.out_size().unwrap();
        let numbers = |count: usize, factor: usize| -> Vec<f32> {
            (0..count)
                .map(|at| ((at * factor) % 1009) as f32 / 500.0 - 1.0)
                .collect()
        };
        let values = numbers(images * inputs * size[0] * size[1], 7919);
        let weights = numbers(outputs * inputs * kernel * kernel, 104_729);
        let gradient = numbers(images * outputs * out[0] * out[1], 1_299_709);
        let passes = |arch| {
            let tile = Tile::new(arch);
            [
                forward(tile, &values, &weights, geometry, out),
                input_gradient(tile, &gradient, &weights, geometry, out),
                weight_gradient(tile, &values, &gradient, geometry, out),
            ]
        };
        let plain = passes(Arch::Scalar);
        for arch in instructions() {
            for (found, plain) in passes(arch).iter().zip(&plain) {
                assert_eq!(found.len(), plain.len());
                let largest = plain.iter().fold(1.0, |a: f32, b| a.max(b.abs()));
                for (found, plain) in found.iter().zip(plain) {
                    assert!(
                        f64::from((found - plain).abs() / largest) < TOLERANCE,
                        "{arch:?}: {found}, {plain}"
                    );
                }
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let device = Device::flex().autodiff();
    // Channels of images and results, and strides.
    for (inputs, outputs, size, stride) in [
        (5, 9, 12, 1),
        (5, 9, 12, 2),
        (33, 40, 12, 1),
        (90, 80, 3, 1),
    ] {
        let (images, _) = random([21, inputs, size, size], 1, &device);
        let (weights, _) = random([outputs, inputs, 3, 3], 2, &device);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| {
                let (images, weights) = (
                    images.clone().require_grad(),
                    weights.clone().require_grad(),
                );
                let results = conv2d(images.clone(), weights.clone(), stride, 1);
                let gradients = results.clone().powi_scalar(2).sum().backward();
                let gradients = [images.grad(&gradients), weights.grad(&gradients)];
                (
                    results.into_data(),
                    gradients.map(|gradient| gradient.unwrap().into_data()),
                )
            })
        };
        let alone = run(1);
        for threads in [2, 3, 8, 40] {
            let (results, gradients) = run(threads);
            results.assert_eq(&alone.0, true);
            for (gradient, alone) in gradients.iter().zip(&alone.1) {
                gradient.assert_eq(alone, true);
            }
        }
    }
}

#[test]
fn gradients_that_nobody_asks_for_are_not_made() {
    let device = Device::flex().autodiff();
    let (images, _) = random([2, 1, 5, 5], 1, &device);
    let (weights, _) = random([3, 1, 3, 3], 2, &device);
    let weights = weights.require_grad();
    let gradients = conv2d(images.clone(), weights.clone(), 1, 1)
        .sum()
        .backward();
    assert!(images.grad(&gradients).is_none());
    assert_eq!(weights.grad(&gradients).unwrap().dims(), [3, 1, 3, 3]);
}
