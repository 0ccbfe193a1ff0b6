use burn::tensor::{Device, Tensor};

use super::AdamWStep;

fn numbers(index: usize) -> Vec<f32> {
    (0..70_001)
        .map(|at: usize| ((at * 7919 + index * 104_729) % 1009) as f32 / 504.5 - 1.0)
        .collect()
}

#[test]
fn steps_are_those_of_the_formula_in_double_precision() {
    // With gradients, tensors go through the tensor formula.
    for device in [Device::flex(), Device::flex().autodiff()] {
        check(&device);
    }
}

fn check(device: &Device) {
    let tensor = |values: &[f32]| Tensor::<1>::from_floats(values, device);
    let mut values = tensor(&numbers(0));
    let zeros = vec![0.0; numbers(0).len()];
    let mut moments = [tensor(&zeros), tensor(&zeros)];
    let mut expected: Vec<[f64; 3]> = numbers(0)
        .iter()
        .map(|v| [f64::from(*v), 0.0, 0.0])
        .collect();
    for time in 1..=5 {
        let step = AdamWStep {
            rate: 0.01,
            weight_decay: 0.1,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            time,
        };
        let gradient = numbers(time as usize);
        // Others hold tensors too: these must not change.
        let held = [values.clone(), moments[0].clone(), tensor(&gradient)];
        let before = held.clone().map(Tensor::into_data);
        (values, moments) = step.apply(values, held[2].clone(), moments);
        for (held, before) in held.into_iter().zip(&before) {
            held.into_data().assert_eq(before, true);
        }
        for ([value, first, second], gradient) in expected.iter_mut().zip(gradient) {
            let gradient = f64::from(gradient);
            *first = 0.9 * *first + 0.1 * gradient;
            *second = 0.999 * *second + 0.001 * gradient * gradient;
            let corrected = *first / (1.0 - 0.9f64.powi(time as i32));
            let length = (*second / (1.0 - 0.999f64.powi(time as i32))).sqrt() + 1e-8;
            *value = *value * (1.0 - 0.001) - 0.01 * corrected / length;
        }
    }
    let [first, second] = moments;
    for (index, tensor) in [values, first, second].into_iter().enumerate() {
        let found: Vec<f32> = tensor.into_data().try_to_vec().unwrap();
        for (found, expected) in found.iter().zip(&expected) {
            let near = (f64::from(*found) - expected[index]).abs() < 1e-6;
            assert!(near, "{index}: {found}, {}", expected[index]);
        }
    }
}
