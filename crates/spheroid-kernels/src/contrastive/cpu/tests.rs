use pulp::Arch;

use super::{EXCLUDED, FLOOR, backward, forward};
use crate::{
    Denominator, Placement,
    contrastive::{Arrangement, Task},
    real::tests::Exp2,
};

/// The widest instructions of the processor, narrower ones, and none.
fn arches() -> Vec<Arch> {
    let mut arches = vec![Arch::new(), Arch::Scalar];
    #[cfg(target_arch = "x86_64")]
    arches.extend(pulp::x86::V3::try_new().map(Arch::V3));
    arches
}

#[test]
fn all_instructions_give_the_same() {
    let z: Vec<f32> = (0..300 * 17)
        .map(|i| ((i * i) as f32 * 0.37).sin())
        .collect();
    let groups: Vec<usize> = (0..250).map(|i| i % 90).collect();
    for temperature in [0.02, 0.2] {
        for placement in [Placement::Outside, Placement::Inside] {
            let arrangement = Arrangement::Within { bank: 50 };
            let task = Task::new(arrangement, Denominator::Negatives, placement, &groups);
            let gradient = vec![1.0 / 250.0; 250];
            let found: Vec<Vec<f32>> = arches()
                .into_iter()
                .map(|arch| {
                    let outcome = forward(arch, &z, temperature, &task);
                    let kept = &outcome.kept;
                    let gradients = backward(arch, &z, temperature, kept, &gradient, &task);
                    [outcome.losses, gradients.rows, vec![gradients.temperature]].concat()
                })
                .collect();
            for other in &found[1..] {
                for (a, b) in found[0].iter().zip(other) {
                    assert!((a - b).abs() <= 1e-5 * (1.0 + a.abs()), "{a} and {b}");
                }
            }
        }
    }
}

#[test]
fn what_is_excluded_vanishes() {
    let x = [EXCLUDED, EXCLUDED - FLOOR, -127.0, -1e9];
    let x: Vec<f64> = x.into_iter().cycle().take(16).collect();
    let single = x.iter().map(|x| *x as f32).collect();
    assert_eq!(Arch::new().dispatch(Exp2::<f32>(single)), [0.0; 16]);
    assert_eq!(Arch::new().dispatch(Exp2::<f64>(x)), [0.0; 16]);
}
