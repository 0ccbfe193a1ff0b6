//! Rendered plates: what changes, what must not, what is written, and whether spheroids are found.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod appearance;
mod determinism;
mod files;
mod segmentation;
mod settings;

use ndarray::{Array2, Array3, Axis};
use spheroid_core::{Day, Dose, Group};
use spheroid_sim::{Drug, EffectMix, Hill, Optics, PlateSimConfig, Screen, TreatmentPlan};

fn day(days: f64) -> Day {
    Day::new(days).unwrap()
}

/// A plate of small images without nuisances, so that one thing at a time can be seen.
fn calm() -> PlateSimConfig {
    PlateSimConfig {
        rows: 192,
        columns: 192,
        growth_spread: 0.0,
        look_spread: 0.0,
        gain_spread: 0.0,
        focus_drift: 0.0,
        position_spread: 0.0,
        response_spread: 0.0,
        ..PlateSimConfig::default()
    }
}

/// One drug of an even dose response, given at `concentration` to all treated wells.
fn one_drug(mix: EffectMix, concentration: f64, wells: usize) -> Screen {
    let hill = Hill {
        emax: 1.0,
        ec50: 1.0,
        slope: 1.0,
    };
    let dose = Dose {
        drug: "drug".to_owned(),
        concentration,
        unit: "uM".to_owned(),
    };
    Screen::Given {
        drugs: vec![Drug {
            name: "drug".to_owned(),
            hill,
            mix,
        }],
        treatments: vec![TreatmentPlan {
            name: "dosed".to_owned(),
            group: Group::DrugScreened,
            doses: vec![dose],
            wells,
        }],
    }
}

const NO_EFFECT: EffectMix = EffectMix {
    shrink: 0.0,
    scatter: 0.0,
    necrosis: 0.0,
    coarsen: 0.0,
};

/// The middle plane, from 0 to 1.
fn middle(stack: &Array3<u16>) -> Array2<f64> {
    let plane = stack.len_of(Axis(0)) / 2;
    stack
        .index_axis(Axis(0), plane)
        .mapv(|v| f64::from(v) / 65535.0)
}

#[test]
fn a_hard_plate_varies_more_and_shows_less() {
    let (hard, plain) = (PlateSimConfig::hard(), PlateSimConfig::default());
    let spreads = |config: &PlateSimConfig| {
        [
            config.growth_spread,
            config.look_spread,
            config.gain_spread,
            config.focus_drift,
            config.position_spread,
            config.response_spread,
        ]
    };
    let both = spreads(&hard).into_iter().zip(spreads(&plain));
    assert!(both.into_iter().all(|(hard, plain)| hard >= 1.49 * plain));
    assert!(hard.effect_strength < plain.effect_strength);
    // The true efficacy is that of the plain plate.
    let (hard, plain) = (hard.build().unwrap(), plain.build().unwrap());
    assert_eq!(hard.truth(), plain.truth());
}

#[test]
fn varied_plates_are_all_allowed_and_all_different() {
    let plates: Vec<_> = (0..300).map(PlateSimConfig::varied).collect();
    for pair in plates.windows(2) {
        assert_ne!(pair[0].optics, pair[1].optics);
        assert_ne!(pair[0].growth_spread, pair[1].growth_spread);
    }
    assert_eq!(plates[7], PlateSimConfig::varied(7));
    for plate in plates {
        let seed = plate.seed;
        assert!(plate.build().is_ok(), "{seed}");
    }
}

#[test]
fn every_setting_of_the_optics_is_seen() {
    let plain = Optics::default();
    let render = |optics| {
        let config = PlateSimConfig { optics, ..calm() };
        let plate = config.build().unwrap();
        let well = plate.wells()[0].well;
        let mask = plate.mask(well, day(9.0)).unwrap();
        (plate.render(well, day(9.0)).unwrap(), mask)
    };
    // Mean of the empty field, mean of the spheroid, root mean square step between neighbours within it and in the
    // field, in the middle plane and the one above.
    let measure = |optics| {
        let (stack, mask) = render(optics);
        let of = |plane: usize, inside: bool| {
            let image = stack.index_axis(Axis(0), plane).mapv(f64::from);
            let within = |(row, column): (usize, usize)| {
                mask[(row, column)] == inside && (inside || row < 20)
            };
            let places: Vec<_> = mask
                .indexed_iter()
                .map(|(at, _)| at)
                .filter(|at| within(*at))
                .collect();
            let mean = places.iter().map(|at| image[*at]).sum::<f64>() / places.len() as f64;
            let steps = places
                .iter()
                .filter(|(_, column)| column + 1 < image.ncols());
            let steps = steps
                .map(|&(row, column)| (image[(row, column + 1)] - image[(row, column)]).powi(2));
            (
                mean / 65535.0,
                (steps.sum::<f64>() / places.len() as f64).sqrt() / 65535.0,
            )
        };
        let ((field, noise), (body, grain), (_, above)) = (of(1, false), of(1, true), of(2, true));
        [
            field,
            noise,
            body,
            grain,
            above,
            mask.iter().filter(|inside| **inside).count() as f64,
        ]
    };
    let [field, noise, body, grain, above, area] = measure(plain);
    let darker = measure(Optics {
        background: 0.3,
        ..plain
    });
    assert!((darker[0] / field - 0.5).abs() < 0.02, "{darker:?}");
    let noisy = measure(Optics {
        full_well: 500.0,
        ..plain
    });
    assert!(noisy[1] > 3.0 * noise, "{noisy:?}");
    let small = measure(Optics { size: 0.7, ..plain });
    assert!((small[5] / area - 0.49).abs() < 0.02, "{small:?}");
    let dense = measure(Optics {
        depth: 2.0,
        ..plain
    });
    assert!(dense[2] < 0.75 * body, "{dense:?}");
    let smooth = measure(Optics {
        grain: 0.0,
        ..plain
    });
    assert!(smooth[3] < 0.7 * grain, "{smooth:?}");
    let blurred = measure(Optics {
        sharpest: 1.0,
        ..plain
    });
    assert!(blurred[3] < 0.8 * grain, "{blurred:?}");
    let far = measure(Optics {
        defocus: 1.5,
        ..plain
    });
    assert!(
        far[4] < 0.9 * above && (far[3] / grain - 1.0).abs() < 0.01,
        "{far:?}"
    );
    let phase = measure(Optics {
        phase: 0.0,
        ..plain
    });
    assert!(
        (phase[4] / above - 1.0).abs() > 0.1 && (phase[3] / grain - 1.0).abs() < 0.01,
        "{phase:?}"
    );
    let cells = [0.02, 0.05].map(|cell| measure(Optics { cell, ..plain })[3]);
    assert!(cells[1] < 0.7 * cells[0], "{cells:?}");
}
