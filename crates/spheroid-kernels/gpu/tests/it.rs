//! The kernels on whatever graphics driver there is, software drivers too, against the CPU.

use burn::tensor::{Device, DeviceKind, Tensor, TensorData};
use spheroid_kernels::{
    Denominator, Extras, InfoNceConfig, NtXentConfig, Placement, RowLosses, SupConConfig, is_fused,
};

fn gpu() -> Device {
    Device::wgpu(DeviceKind::DefaultDevice)
}

/// Numbers between −1 and 1 that look random.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Losses, hits, and gradients of rows and temperature, when every loss has a weight of its own.
struct Found {
    losses: Vec<f32>,
    hits: Vec<f32>,
    rows: Vec<f32>,
    temperature: f32,
}

fn found(
    device: Device,
    z: &[f32],
    rows: usize,
    temperature: f32,
    losses: impl Fn(Tensor<2>, Tensor<1>) -> RowLosses,
) -> Found {
    let device = device.autodiff();
    let data = TensorData::new(z.to_vec(), [rows, z.len() / rows]);
    let z = Tensor::<2>::from_data(data, &device).require_grad();
    assert!(is_fused(&z));
    let temperature = Tensor::<1>::from_floats([temperature], &device).require_grad();
    let found = losses(z.clone(), temperature.clone());
    let count = found.losses.dims()[0];
    let weights = TensorData::new(numbers(count, 77), [count]);
    let weights = Tensor::<1>::from_data(weights, &device);
    let gradients = (found.losses.clone() * weights).sum().backward();
    let numbers = |data: TensorData| data.try_to_vec::<f32>().unwrap();
    Found {
        losses: numbers(found.losses.into_data()),
        hits: numbers(found.hits.into_data()),
        rows: numbers(z.grad(&gradients).unwrap().into_data()),
        temperature: temperature.grad(&gradients).unwrap().into_scalar(),
    }
}

fn assert_near(found: &[f32], expected: &[f32], share: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0, |most: f32, v| most.max(v.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs();
        assert!(
            error <= share * (largest + 1e-3),
            "{what} {i}: {found} instead of {expected}, largest {largest}"
        );
    }
}

fn check(
    what: &str,
    z: &[f32],
    rows: usize,
    temperature: f32,
    losses: impl Fn(Tensor<2>, Tensor<1>) -> RowLosses,
) {
    let expected = found(Device::flex(), z, rows, temperature, &losses);
    let found = found(gpu(), z, rows, temperature, &losses);
    let share = 1e-5 + 1e-6 / temperature;
    let what = format!("{what}, {rows} rows of {}, {temperature}", z.len() / rows);
    assert_near(
        &found.losses,
        &expected.losses,
        share,
        &format!("losses, {what}"),
    );
    assert_near(
        &found.rows,
        &expected.rows,
        share,
        &format!("gradient, {what}"),
    );
    assert_eq!(found.hits, expected.hits, "{what}");
    let pull = expected.losses.iter().map(|loss| loss.abs()).sum::<f32>() / temperature;
    assert!(
        (found.temperature - expected.temperature).abs() <= share * pull,
        "{what}: {} instead of {}",
        found.temperature,
        expected.temperature
    );
}

fn sup_con(denominator: Denominator, placement: Placement) -> spheroid_kernels::SupCon {
    let mut config = SupConConfig::new(1.0);
    config.denominator = denominator;
    config.placement = placement;
    config.build().unwrap()
}

#[test]
fn every_loss_is_that_of_the_cpu() {
    for (rows, features) in [(2, 3), (30, 20), (200, 128), (130, 70)] {
        for temperature in [0.01, 0.07, 0.5] {
            let z = numbers(rows * features, 3);
            check("NT-Xent", &z, rows, temperature, |z, temperature| {
                let extras = Extras {
                    temperature: Some(temperature),
                    ..Extras::default()
                };
                let nt_xent = NtXentConfig::new(1.0).build().unwrap();
                nt_xent.losses(z, extras).unwrap()
            });
            let groups: Vec<usize> = (0..rows / 2).collect();
            check("InfoNCE", &z, rows, temperature, |z, temperature| {
                let [image, text] = [0, rows / 2].map(|at| z.clone().narrow(0, at, rows / 2));
                let info_nce = InfoNceConfig::new(1.0).build().unwrap();
                let losses = info_nce.losses(image, text, &groups, Some(temperature));
                losses.unwrap()
            });
            let groups: Vec<usize> = (0..rows).map(|i| i % 7 / 2).collect();
            if rows < 7 {
                continue;
            }
            for denominator in [Denominator::All, Denominator::Negatives] {
                for placement in [Placement::Outside, Placement::Inside] {
                    let what = format!("SupCon {denominator:?} {placement:?}");
                    let bank = numbers(features * 37, 9);
                    check(&what, &z, rows, temperature, |z, temperature| {
                        let data = TensorData::new(bank.clone(), [37, features]);
                        let extras = Extras {
                            bank: Some(Tensor::from_data(data, &z.device())),
                            temperature: Some(temperature),
                        };
                        let losses = sup_con(denominator, placement).losses(z, &groups, extras);
                        losses.unwrap()
                    });
                }
            }
        }
    }
}

#[test]
fn the_same_input_gives_the_same_bits() {
    let z = numbers(300 * 40, 5);
    let nt_xent = NtXentConfig::new(0.1).build().unwrap();
    let run = || {
        let found = found(gpu(), &z, 300, 0.1, |z, temperature| {
            let extras = Extras {
                temperature: Some(temperature),
                ..Extras::default()
            };
            nt_xent.losses(z, extras).unwrap()
        });
        let all = [found.losses, found.rows].concat();
        all.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn rows_without_a_direction_are_named() {
    let nt_xent = NtXentConfig::new(0.1).build().unwrap();
    for (value, name) in [
        (0.0, "row 3 is all zeros"),
        (f32::NAN, "row 3 holds"),
        (f32::INFINITY, "row 3 holds"),
    ] {
        let mut z = numbers(6 * 4, 5);
        z[12..16].fill(value);
        let z = Tensor::<2>::from_data(TensorData::new(z, [6, 4]), &gpu());
        let error = nt_xent.forward(z).unwrap_err().to_string();
        assert!(error.starts_with(name), "{error}");
    }
}

#[test]
fn huge_and_tiny_rows_are_as_good_as_others() {
    let z = numbers(8 * 5, 2);
    let nt_xent = NtXentConfig::new(0.2).build().unwrap();
    let loss = |factor: f32| {
        let z: Vec<f32> = z.iter().map(|v| v * factor).collect();
        let z = Tensor::<2>::from_data(TensorData::new(z, [8, 5]), &gpu());
        nt_xent.forward(z).unwrap().into_scalar::<f32>()
    };
    for factor in [1e-18, 1e18] {
        assert!(
            (loss(factor) - loss(1.0)).abs() < 1e-5,
            "{factor}: {} {}",
            loss(factor),
            loss(1.0)
        );
    }
}
