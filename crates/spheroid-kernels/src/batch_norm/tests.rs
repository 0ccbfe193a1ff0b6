use burn::tensor::{Device, Tensor, activation::relu, module};

use super::{Then, batch_norm, scale_and_shift};

/// Numbers that look random: `index` picks a sequence.
fn numbers(count: usize, index: usize) -> Vec<f32> {
    let number = |at: usize| ((at * 7919 + index * 104_729) % 1009) as f32 / 200.0 - 1.7;
    (0..count).map(number).collect()
}

/// Result, mean, variance and all gradients, of our operation or of the same made of burn's.
fn run(dims: [usize; 4], kind: usize, ours: bool) -> Vec<Vec<f32>> {
    let device = Device::flex().autodiff();
    let maps_of = |index| {
        let values = numbers(dims.iter().product(), index);
        Tensor::<1>::from_floats(values.as_slice(), &device).reshape(dims)
    };
    let maps = maps_of(1).require_grad();
    let shortcut = maps_of(2).require_grad();
    let channel = |index| Tensor::<1>::from_floats(numbers(dims[1], index).as_slice(), &device);
    let (gamma, beta) = (channel(3).require_grad(), channel(4).require_grad());
    let upstream = maps_of(5);
    let (result, mean, variance) = if ours {
        let then = match kind {
            0 => Then::Nothing,
            1 => Then::Relu,
            3 => Then::Relu6,
            _ => Then::AddRelu(shortcut.clone()),
        };
        let found = batch_norm(maps.clone(), gamma.clone(), beta.clone(), 1e-5, then);
        (found.maps, found.mean, found.variance)
    } else {
        let found = module::batch_norm_train(maps.clone(), gamma.clone(), beta.clone(), 1e-5);
        let result = match kind {
            0 => found.output,
            1 => relu(found.output),
            3 => found.output.clamp(0.0, 6.0),
            _ => relu(found.output + shortcut.clone()),
        };
        (result, found.mean, found.variance)
    };
    let gradients = (result.clone() * upstream).sum().backward();
    let mut values: Vec<Vec<f32>> = Vec::new();
    let mut push = |data: burn::tensor::TensorData| values.push(data.try_to_vec().unwrap());
    push(result.into_data());
    push(mean.into_data());
    push(variance.into_data());
    push(maps.grad(&gradients).unwrap().into_data());
    push(gamma.grad(&gradients).unwrap().into_data());
    push(beta.grad(&gradients).unwrap().into_data());
    if kind == 2 {
        push(shortcut.grad(&gradients).unwrap().into_data());
    }
    values
}

#[test]
fn values_and_gradients_are_those_of_burn() {
    for dims in [[4, 3, 5, 7], [2, 17, 1, 1], [3, 2, 16, 16]] {
        for kind in 0..4 {
            let [ours, burns] = [true, false].map(|ours| run(dims, kind, ours));
            assert_eq!(ours.len(), burns.len());
            for (index, (ours, burns)) in ours.iter().zip(&burns).enumerate() {
                let largest = burns.iter().fold(1.0, |a: f32, b| a.max(b.abs()));
                assert_eq!(ours.len(), burns.len());
                for (ours, burns) in ours.iter().zip(burns) {
                    let near = (ours - burns).abs() < 2e-5 * largest;
                    assert!(near, "{dims:?} {kind} {index}: {ours}, {burns}");
                }
            }
        }
    }
}

#[test]
fn without_gradients_the_result_is_the_same() {
    let dims = [3, 4, 2, 5];
    let run = |device: &Device| {
        let maps = Tensor::<1>::from_floats(numbers(120, 1).as_slice(), device).reshape(dims);
        let [gamma, beta] = [1.0, 0.5].map(|value| Tensor::<1>::full([4], value, device));
        let gamma = if device.is_autodiff() {
            gamma.require_grad()
        } else {
            gamma
        };
        batch_norm(maps, gamma, beta, 1e-5, Then::Relu)
            .maps
            .into_data()
    };
    let plain = run(&Device::flex());
    plain.assert_eq(&run(&Device::flex().autodiff()), true);
}

#[test]
fn maps_are_scaled_and_shifted_by_channel() {
    let dims = [3, 4, 2, 5];
    let device = Device::flex();
    let tensor =
        |index| Tensor::<1>::from_floats(numbers(120, index).as_slice(), &device).reshape(dims);
    let channels = |index| Tensor::<1>::from_floats(numbers(4, index).as_slice(), &device);
    let expected = |then: Then| {
        let [scale, shift] = [2, 3].map(|index| channels(index).reshape([1, 4, 1, 1]));
        then.apply(tensor(1) * scale + shift).into_data()
    };
    let thens = || {
        [
            Then::Nothing,
            Then::Relu,
            Then::Relu6,
            Then::AddRelu(tensor(4)),
        ]
    };
    for (then, same) in thens().into_iter().zip(thens()) {
        // The maps of others stay as they are.
        let held = tensor(1);
        let found = scale_and_shift(held.clone(), channels(2), channels(3), then);
        held.into_data().assert_eq(&tensor(1).into_data(), true);
        found
            .into_data()
            .assert_approx_eq::<f32>(&expected(same), Default::default());
    }
}
