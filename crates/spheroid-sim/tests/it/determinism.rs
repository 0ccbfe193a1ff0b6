use proptest::prelude::*;
use rayon::prelude::*;
use spheroid_core::StackSource;
use spheroid_sim::{PlateSim, PlateSimConfig, Screen};

use crate::{NO_EFFECT, calm, day, one_drug};

fn small(seed: u64) -> PlateSim {
    let screen = Screen::Drawn {
        single_dose_wells: 2,
        drug_screened_wells: 4,
        replicates: 2,
    };
    PlateSimConfig {
        seed,
        rows: 64,
        columns: 80,
        untreated_wells: 3,
        screen,
        ..PlateSimConfig::default()
    }
    .build()
    .unwrap()
}

#[test]
fn a_plate_keeps_the_contract_of_a_source() {
    spheroid_testkit::conformance::stack_source(&small(3));
}

#[test]
fn the_order_and_the_threads_do_not_matter() {
    let plate = small(3);
    let one_by_one: Vec<_> = (0..plate.len()).map(|i| plate.load(i).unwrap()).collect();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(4)
        .build()
        .unwrap();
    let backwards: Vec<_> = pool.install(|| {
        (0..plate.len())
            .into_par_iter()
            .rev()
            .map(|i| small(3).load(i).unwrap())
            .collect()
    });
    assert_eq!(one_by_one.len(), 9 * 4);
    assert!(one_by_one.iter().eq(backwards.iter().rev()));
}

#[test]
fn another_seed_is_another_plate() {
    let (one, other) = (small(3), small(4));
    assert_ne!(one.truth(), other.truth());
    assert_ne!(one.plate_map(), other.plate_map());
    let shared = one
        .wells()
        .iter()
        .find(|a| other.wells().iter().any(|b| a.well == b.well));
    let well = shared.map(|w| w.well).unwrap();
    assert_ne!(
        one.render(well, day(7.0)).unwrap(),
        other.render(well, day(7.0)).unwrap()
    );
}

#[test]
fn a_stack_does_not_depend_on_what_else_is_imaged() {
    let all = small(3);
    let few = PlateSimConfig {
        days: vec![day(8.0), day(12.0)],
        ..all.config().clone()
    };
    let few = few.build().unwrap();
    let well = all.wells()[0].well;
    assert_eq!(
        all.render(well, day(8.0)).unwrap(),
        few.render(well, day(8.0)).unwrap()
    );
}

#[test]
fn a_drug_that_kills_nothing_leaves_every_pixel_as_it_was() {
    let mix = spheroid_sim::EffectMix {
        scatter: 1.0,
        coarsen: 2.0,
        ..NO_EFFECT
    };
    let noisy = PlateSimConfig {
        rows: 64,
        columns: 64,
        ..PlateSimConfig::default()
    };
    let dosed = PlateSimConfig {
        screen: one_drug(mix, 0.0, 40),
        untreated_wells: 20,
        ..noisy
    };
    let plain = PlateSimConfig {
        screen: one_drug(mix, 0.0, 1),
        untreated_wells: 59,
        ..dosed.clone()
    };
    let (dosed, plain) = (dosed.build().unwrap(), plain.build().unwrap());
    assert_eq!(dosed.truth()[1].kill, 0.0);
    for well in dosed.wells().iter().filter(|well| well.treatment == 1) {
        let at = day(10.0);
        assert_eq!(
            dosed.render(well.well, at).unwrap(),
            plain.render(well.well, at).unwrap()
        );
    }
}

#[test]
fn a_well_keeps_its_look_over_the_days() {
    // Correlation of the specimen between days, against that between wells.
    let plate = calm().build().unwrap();
    let image = |index: usize, at: f64| {
        let stack = plate.render(plate.wells()[index].well, day(at)).unwrap();
        crate::middle(&stack)
    };
    let correlation = |a: &ndarray::Array2<f64>, b: &ndarray::Array2<f64>| {
        // The grain of the middle alone, where no outline is.
        let centre = ndarray::s![76..116, 76..116];
        let (a, b) = (a.slice(centre), b.slice(centre));
        let (a, b) = (&a - a.mean().unwrap(), &b - b.mean().unwrap());
        (&a * &b).sum() / ((&a * &a).sum() * (&b * &b).sum()).sqrt()
    };
    let first = image(0, 7.0);
    let next = correlation(&first, &image(0, 8.0));
    let later = correlation(&first, &image(0, 10.0));
    let other = correlation(&first, &image(1, 7.0));
    assert!(
        next > 0.8 && later < next && later > other + 0.3,
        "{next} {later} {other}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn only_replicated_12_bit_values_occur(seed in any::<u64>(), planes in 1usize..5) {
        let config = PlateSimConfig {
            seed, planes, rows: 32, columns: 48, gain_spread: 0.5, ..PlateSimConfig::default()
        };
        let plate = config.build().unwrap();
        let stack = plate.load(0).unwrap();
        prop_assert_eq!(stack.dim(), (planes, 32, 48));
        let stack = plate.render(plate.wells()[0].well, day(7.0)).unwrap();
        prop_assert!(stack.iter().all(|&v| v & 0xF == v >> 12));
    }
}
