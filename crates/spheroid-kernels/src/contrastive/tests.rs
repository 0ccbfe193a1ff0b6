use burn::tensor::{DType, Device, Tensor, TensorData};
use proptest::prelude::*;

use super::{formula, losses, task::Task};
use crate::{
    Denominator, Extras, InfoNceConfig, KernelError, NtXentConfig, Placement, SupConConfig,
    contrastive::Arrangement,
};

/// Numbers between −1 and 1 that look random.
fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Losses, hits, and gradients of rows and temperature when loss `i` weighs `weights[i]`.
struct Found {
    losses: Vec<f64>,
    hits: Vec<f64>,
    rows: Vec<f64>,
    temperature: f64,
}

type Losses = fn(Tensor<2>, Tensor<1>, Task) -> (Tensor<1>, Tensor<1>, Tensor<1>);

fn found(compute: Losses, z: &[f64], temperature: f64, task: &Task, dtype: DType) -> Found {
    let device = Device::flex().autodiff();
    let shape = [task.rows(), z.len() / task.rows()];
    let z = Tensor::<2>::from_data(TensorData::new(z.to_vec(), shape), (&device, dtype));
    let temperature = Tensor::<1>::from_data([temperature], (&device, dtype));
    let (z, temperature) = (z.require_grad(), temperature.require_grad());
    let (losses, hits, _) = compute(z.clone(), temperature.clone(), task.clone());
    let weights = numbers(task.losses(), 99);
    let weights = TensorData::new(weights, [task.losses()]);
    let weights = Tensor::<1>::from_data(weights, (&device, dtype));
    let gradients = (losses.clone() * weights).sum().backward();
    let numbers = |data: TensorData| data.convert::<f64>().try_to_vec::<f64>().unwrap();
    Found {
        losses: numbers(losses.into_data()),
        hits: numbers(hits.into_data()),
        rows: numbers(z.grad(&gradients).unwrap().into_data()),
        temperature: numbers(temperature.grad(&gradients).unwrap().into_data())[0],
    }
}

/// Within a share of the largest of `expected`, or `rounding` where all of it cancels.
fn assert_near(found: &[f64], expected: &[f64], [share, rounding]: [f64; 2], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs();
        assert!(
            error <= share * largest + rounding,
            "{what} {i}: {found} instead of {expected}"
        );
    }
}

/// By how much the nearest row of the same group is nearer, as a cosine, than the nearest of all others.
fn leads(z: &[f64], task: &Task) -> Vec<f64> {
    let unit: Vec<Vec<f64>> = z
        .chunks_exact(z.len() / task.rows())
        .map(|row| {
            let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
            row.iter().map(|v| v / norm).collect()
        })
        .collect();
    let [first, second] = task.parts();
    let met = |i: usize| match task.arrangement {
        Arrangement::Within { .. } => 0..task.rows(),
        Arrangement::Between if first.contains(&i) => second.clone(),
        Arrangement::Between => first.clone(),
    };
    let groups = task.groups();
    let lead = |i: usize| {
        let nearest = |same: bool| {
            met(i)
                .filter(|j| *j != i && (groups[*j] == groups[i]) == same)
                .map(|j| unit[i].iter().zip(&unit[j]).map(|(a, b)| a * b).sum())
                .fold(-1e9, f64::max)
        };
        nearest(true) - nearest(false)
    };
    (0..task.losses()).map(lead).collect()
}

/// The operation against the tensor formula in double precision.
fn check(z: &[f64], temperature: f64, task: &Task) {
    let single: Vec<f64> = z.iter().map(|v| f64::from(*v as f32)).collect();
    let expected = found(
        |z, temperature, task| formula::contrast(z, temperature, &task),
        &single,
        temperature,
        task,
        DType::F64,
    );
    let what = format!(
        "{:?}",
        (
            task.arrangement,
            task.denominator,
            task.placement,
            temperature
        )
    );
    let rows = single.chunks_exact(single.len() / task.rows());
    let shortest = rows
        .map(|row| row.iter().map(|v| v * v).sum::<f64>().sqrt())
        .fold(f64::MAX, f64::min);
    let leads = leads(&single, task);
    for (dtype, epsilon) in [(DType::F64, 1e-14), (DType::F32, 3e-7)] {
        let found = found(losses, &single, temperature, task, dtype);
        let what = format!("{what} {dtype:?}");
        // What a cosine is off by is divided by the temperature, and in gradients by the length of the row.
        let rounding = epsilon / temperature;
        let share = 30.0 * epsilon + rounding;
        let losses = format!("loss of {what}");
        assert_near(&found.losses, &expected.losses, [share, rounding], &losses);
        let gradient = format!("gradient of {what}");
        let rounding = rounding / shortest;
        // The formula has a gradient for a bank too.
        let (rows, bank) = found.rows.split_at(task.losses() * z.len() / task.rows());
        assert_near(
            rows,
            &expected.rows[..rows.len()],
            [share, rounding],
            &gradient,
        );
        assert!(bank.iter().all(|gradient| *gradient == 0.0), "{what}");
        for (i, lead) in leads.iter().enumerate() {
            // Nobody can tell which is nearer when rounding decides.
            let decided = lead.abs() > 4.0 * epsilon;
            assert!(
                !decided || found.hits[i] == expected.hits[i],
                "hit {i} of {what}: {} with a lead of {lead}",
                found.hits[i]
            );
        }
        let pull = task.losses() as f64 / temperature;
        let error = (found.temperature - expected.temperature).abs();
        assert!(
            error <= share * pull / temperature,
            "temperature of {what}: {} instead of {}",
            found.temperature,
            expected.temperature
        );
    }
}

fn groups(rows: usize, of: usize, seed: u64) -> Vec<usize> {
    let numbers = numbers(rows, seed);
    let mut groups: Vec<usize> = numbers
        .iter()
        .map(|v| ((v + 1.0) / 2.0 * of as f64) as usize)
        .collect();
    // At least one pair.
    groups[1] = groups[0];
    groups
}

#[test]
fn the_whole_family_agrees_with_the_formula() {
    for (rows, features, of) in [
        (2, 3, 1),
        (7, 1, 3),
        (30, 20, 8),
        (130, 9, 1000),
        (410, 33, 12),
    ] {
        for (bank, temperature) in [(0, 0.01), (5, 0.07), (rows, 0.5), (0, 1.0)] {
            let groups = groups(rows, of, 3);
            let z = numbers((rows + bank) * features, 7);
            for denominator in [Denominator::All, Denominator::Negatives] {
                let one_group = groups.iter().all(|g| *g == groups[0]);
                if denominator == Denominator::Negatives && one_group && bank == 0 {
                    continue;
                }
                for placement in [Placement::Outside, Placement::Inside] {
                    let arrangement = Arrangement::Within { bank };
                    let task = Task::new(arrangement, denominator, placement, &groups);
                    check(&z, temperature, &task);
                }
            }
            let sides = numbers(2 * rows * features, 11);
            let (all, outside) = (Denominator::All, Placement::Outside);
            let task = Task::new(Arrangement::Between, all, outside, &groups);
            check(&sides, temperature, &task);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn sizes_do_not_matter(
        rows in 2usize..460, features in 1usize..70, bank in 0usize..230, of in 1usize..40,
        temperature in 0.015f64..1.0, seed in 0u64..1000, inside: bool,
    ) {
        let placement = if inside { Placement::Inside } else { Placement::Outside };
        let arrangement = Arrangement::Within { bank };
        let task = Task::new(arrangement, Denominator::All, placement, &groups(rows, of, seed));
        check(&numbers((rows + bank) * features, seed + 1), temperature, &task);
    }
}

/// Loss of NT-Xent and gradients of some rows, by the definition.
struct ByDefinition {
    cosines: Vec<f64>,
    unit: Vec<Vec<f64>>,
    norms: Vec<f64>,
}

impl ByDefinition {
    fn new(z: &[f32], rows: usize) -> Self {
        use rayon::prelude::*;
        let z: Vec<Vec<f64>> = z
            .chunks(z.len() / rows)
            .map(|row| row.iter().map(|v| f64::from(*v)).collect())
            .collect();
        let norms: Vec<f64> = z
            .iter()
            .map(|row| row.iter().map(|v| v * v).sum::<f64>().sqrt())
            .collect();
        let unit: Vec<Vec<f64>> = z
            .iter()
            .zip(&norms)
            .map(|(row, norm)| row.iter().map(|v| v / norm).collect())
            .collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let cosines = (0..rows * rows)
            .into_par_iter()
            .map(|cell| dot(&unit[cell / rows], &unit[cell % rows]))
            .collect();
        Self {
            cosines,
            unit,
            norms,
        }
    }

    fn loss_and_gradients(&self, temperature: f64, of: &[usize]) -> (f64, Vec<f64>) {
        let rows = self.unit.len();
        let partner = |i: usize| (i + rows / 2) % rows;
        let logarithms: Vec<f64> = (0..rows)
            .map(|i| {
                let row = &self.cosines[i * rows..][..rows];
                let others = || row.iter().enumerate().filter(|(j, _)| *j != i);
                let best = others().fold(f64::MIN, |best, (_, cosine)| best.max(*cosine));
                let sum: f64 = others()
                    .map(|(_, c)| ((c - best) / temperature).exp())
                    .sum();
                best / temperature + sum.ln()
            })
            .collect();
        let losses =
            (0..rows).map(|i| logarithms[i] - self.cosines[i * rows + partner(i)] / temperature);
        let loss = losses.sum::<f64>() / rows as f64;
        let scale = 1.0 / (rows as f64 * temperature);
        let mut gradients = Vec::new();
        for &i in of {
            let mut pull = vec![0.0; self.unit[0].len()];
            for j in (0..rows).filter(|j| *j != i) {
                let similarity = self.cosines[i * rows + j] / temperature;
                let mut weight =
                    (similarity - logarithms[i]).exp() + (similarity - logarithms[j]).exp();
                if j == partner(i) {
                    weight -= 2.0;
                }
                for (pull, value) in pull.iter_mut().zip(&self.unit[j]) {
                    *pull += scale * weight * value;
                }
            }
            let along: f64 = pull.iter().zip(&self.unit[i]).map(|(a, b)| a * b).sum();
            let across = pull
                .iter()
                .zip(&self.unit[i])
                .map(|(p, u)| (p - u * along) / self.norms[i]);
            gradients.extend(across);
        }
        (loss, gradients)
    }
}

#[test]
fn nt_xent_agrees_with_its_definition_at_every_size() {
    for rows in [2, 4, 6, 30, 128, 1000, 4096] {
        for features in [1, 20, 128, 512] {
            let z: Vec<f32> = numbers(rows * features, 5)
                .iter()
                .map(|v| *v as f32)
                .collect();
            let definition = ByDefinition::new(&z, rows);
            let of: Vec<usize> = (0..rows).step_by(rows.div_ceil(64)).collect();
            for temperature in [0.01, 0.07, 0.5, 1.0] {
                let (loss, expected) = definition.loss_and_gradients(temperature, &of);
                let device = Device::flex().autodiff();
                let data = TensorData::new(z.clone(), [rows, features]);
                let z = Tensor::<2>::from_data(data, &device).require_grad();
                let nt_xent = NtXentConfig::new(temperature).build().unwrap();
                let found = nt_xent.forward(z.clone()).unwrap();
                let gradient = z.grad(&found.backward()).unwrap().into_data();
                let gradient = gradient.try_to_vec::<f32>().unwrap();
                let gradient: Vec<f64> = of
                    .iter()
                    .flat_map(|i| &gradient[i * features..][..features])
                    .map(|v| f64::from(*v))
                    .collect();
                let found = f64::from(found.into_scalar::<f32>());
                let what = format!("{rows} rows of {features} at {temperature}");
                // Losses of pairs alone are 0, and gradients where all is as wanted nearly so.
                assert!(
                    (found - loss).abs() <= 1e-5 * loss.abs() + 1e-6,
                    "{what}: {found} instead of {loss}"
                );
                let largest = expected.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
                for (found, expected) in gradient.iter().zip(&expected) {
                    let error = (found - expected).abs();
                    assert!(
                        error <= 1e-5 * largest + 1e-7 / temperature / rows as f64,
                        "{what}: {found} instead of {expected}, largest {largest}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let groups = groups(700, 20, 1);
    let task = Task::new(
        Arrangement::Within { bank: 100 },
        Denominator::All,
        Placement::Outside,
        &groups,
    );
    let z = numbers(800 * 24, 2);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let found = pool.install(|| found(losses, &z, 0.1, &task, DType::F32));
        let numbers = [found.losses, found.rows, vec![found.temperature]].concat();
        numbers.into_iter().map(f64::to_bits).collect::<Vec<_>>()
    };
    let expected = with(1);
    for threads in [2, 3, 8] {
        assert_eq!(with(threads), expected, "{threads} threads");
    }
}

#[test]
#[cfg(feature = "ndarray")]
#[expect(deprecated, reason = "burn deprecates ndarray")]
fn ndarray_computes_the_same() {
    let z = numbers(90 * 7, 4);
    let loss = NtXentConfig::new(0.2).build().unwrap();
    let gradient = |device: Device| {
        let data = TensorData::new(z.clone(), [90, 7]);
        let z = Tensor::<2>::from_data(data, (&device.autodiff(), DType::F32)).require_grad();
        assert!(crate::is_fused(&z));
        let gradients = loss.forward(z.clone()).unwrap().backward();
        let gradient = z.grad(&gradients).unwrap().into_data();
        gradient.try_to_vec::<f32>().unwrap()
    };
    assert_eq!(gradient(Device::ndarray()), gradient(Device::flex()));
}

#[test]
fn half_floats_are_computed_as_single_ones() {
    let z = numbers(12 * 5, 4);
    let data = || TensorData::new(z.clone(), [12, 5]);
    let loss = NtXentConfig::new(0.2).build().unwrap();
    let device = Device::flex();
    let half = Tensor::<2>::from_data(data(), (&device, DType::F16));
    let found = loss.forward(half.clone()).unwrap();
    assert_eq!(found.dtype(), DType::F32);
    let expected = loss.forward(half.cast(DType::F32)).unwrap();
    assert_eq!(found.into_scalar::<f32>(), expected.into_scalar::<f32>());
}

#[test]
fn rows_that_are_alike_hit_nothing_and_rows_that_know_their_partner_all() {
    let loss = NtXentConfig::new(0.2).build().unwrap();
    let accuracy = |rows: Vec<f32>| {
        let z = Tensor::<2>::from_data(TensorData::new(rows, [6, 3]), &Device::flex());
        let losses = loss.losses(z, Extras::default()).unwrap();
        losses.accuracy().into_scalar::<f32>()
    };
    assert_eq!(accuracy(vec![1.0; 18]), 0.0);
    let apart = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    assert_eq!(accuracy(apart.repeat(2)), 1.0);
}

#[test]
fn a_bank_is_of_negatives_without_a_gradient() {
    let device = Device::flex().autodiff();
    let random = |rows: usize, seed| {
        let data = TensorData::new(numbers(rows * 4, seed), [rows, 4]);
        Tensor::<2>::from_data(data, (&device, DType::F32)).require_grad()
    };
    let (z, bank) = (random(6, 1), random(9, 2));
    let config = SupConConfig {
        denominator: Denominator::Negatives,
        ..SupConConfig::new(0.3)
    };
    // One group: all that there is to compare with is in the bank.
    let sup_con = config.build().unwrap();
    let extras = |bank| Extras {
        bank: Some(bank),
        ..Extras::default()
    };
    let losses = sup_con
        .losses(z.clone(), &[0; 6], extras(bank.clone()))
        .unwrap();
    assert_eq!(losses.losses.dims(), [6]);
    let gradients = losses.mean().backward();
    assert!(z.grad(&gradients).is_some() && bank.grad(&gradients).is_none());
    let narrow = bank.narrow(1, 0, 3);
    let error = sup_con.losses(z, &[0; 6], extras(narrow)).unwrap_err();
    assert!(matches!(
        error,
        KernelError::Bank {
            given: 3,
            features: 4
        }
    ));
}

#[test]
fn a_temperature_can_learn() {
    let device = Device::flex().autodiff();
    let data = || TensorData::new(numbers(16 * 6, 3), [8, 12]);
    let side = || Tensor::<2>::from_data(data(), (&device, DType::F32));
    let temperature = |value: f32| Tensor::<1>::from_floats([value], &device).require_grad();
    let info_nce = InfoNceConfig::new(0.5).build().unwrap();
    let groups: Vec<usize> = (0..8).collect();
    let at = |temperature| {
        let losses = info_nce.losses(side(), side(), &groups, Some(temperature));
        losses.unwrap().mean()
    };
    let learns = temperature(0.2);
    let gradients = at(learns.clone()).backward();
    let slope = learns.grad(&gradients).unwrap().into_scalar::<f32>();
    let [above, below] = [0.21, 0.19].map(|t| at(temperature(t)).into_scalar::<f32>());
    let expected = (above - below) / 0.02;
    assert!(
        (slope - expected).abs() < 0.01 * expected.abs(),
        "{slope} instead of {expected}"
    );
    let two = Tensor::<1>::from_floats([0.1, 0.2], &device);
    let result = info_nce.losses(side(), side(), &groups, Some(two));
    assert!(matches!(result, Err(KernelError::Temperature { given: 2 })));
    for bad in [0.0, -1.0, f32::NAN] {
        let result = info_nce.losses(side(), side(), &groups, Some(temperature(bad)));
        assert!(matches!(result, Err(KernelError::Param(_))), "{bad}");
    }
}
