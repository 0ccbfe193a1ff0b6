//! Rendered plates: what changes, what must not, what is written, and whether spheroids are found.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod appearance;
mod determinism;
mod files;
mod segmentation;
mod settings;

use ndarray::{Array2, Array3, Axis};
use spheroid_core::{Day, Dose, Group};
use spheroid_sim::{Drug, EffectMix, Hill, PlateSimConfig, Screen, TreatmentPlan};

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
