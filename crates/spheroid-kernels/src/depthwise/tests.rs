use burn::tensor::{Device, Tensor, TensorData, Tolerance, module, ops::ConvOptions};
use proptest::prelude::*;
use spheroid_testkit::normal;

use super::depthwise_conv2d;

/// Results and both gradients, of our operation or of burn's.
fn run(
    maps: &Tensor<4>,
    weights: &Tensor<4>,
    [stride, padding]: [usize; 2],
    ours: bool,
) -> [Tensor<4>; 3] {
    let (maps, weights) = (maps.clone().require_grad(), weights.clone().require_grad());
    let results = if ours {
        depthwise_conv2d(maps.clone(), weights.clone(), stride, padding)
    } else {
        let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], maps.dims()[1]);
        module::conv2d(maps.clone(), weights.clone(), None, options)
    };
    // Every result has a gradient of its own.
    let gradients = results.clone().powi_scalar(2).sum().backward();
    [
        results.inner(),
        maps.grad(&gradients).unwrap(),
        weights.grad(&gradients).unwrap(),
    ]
}

fn random(shape: [usize; 4], seed: u64, device: &Device) -> Tensor<4> {
    let values = normal(shape.iter().product(), seed);
    Tensor::from_data(TensorData::new(values, shape), device)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_sizes_give_what_burn_gives(
        dims in [1usize..4, 1usize..5, 1usize..14, 1usize..14],
        kernel in [1usize..6, 1usize..6],
        stride in 1usize..4,
        padding in 0usize..4,
    ) {
        prop_assume!(dims[2] + 2 * padding >= kernel[0] && dims[3] + 2 * padding >= kernel[1]);
        let device = Device::flex().autodiff();
        let maps = random(dims, 1, &device);
        let weights = random([dims[1], 1, kernel[0], kernel[1]], 2, &device);
        let [ours, burns] = [true, false].map(|ours| run(&maps, &weights, [stride, padding], ours));
        for (ours, burns) in ours.into_iter().zip(burns) {
            let largest = burns.clone().abs().max().into_scalar::<f32>();
            let tolerance = Tolerance::absolute(1e-5 * largest.max(1.0));
            ours.into_data().assert_approx_eq::<f32>(&burns.into_data(), tolerance);
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let device = Device::flex().autodiff();
    let maps = random([5, 7, 12, 11], 1, &device);
    let weights = random([7, 1, 5, 5], 2, &device);
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let results = pool.unwrap().install(|| run(&maps, &weights, [2, 2], true));
        results.map(Tensor::into_data)
    };
    let alone = on(1);
    for threads in [2, 5] {
        for (found, alone) in on(threads).iter().zip(&alone) {
            found.assert_eq(alone, true);
        }
    }
}
