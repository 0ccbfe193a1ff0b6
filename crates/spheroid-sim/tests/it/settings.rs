use spheroid_core::{Dose, Group, PlateFormat, WellId};
use spheroid_sim::{
    Drug, EffectMix, Hill, Optics, PlateSim, PlateSimConfig, Screen, SimError, TreatmentPlan,
};

use crate::{NO_EFFECT, calm, day, one_drug};

const MIX: EffectMix = EffectMix {
    shrink: 1.0,
    ..NO_EFFECT
};

/// The setting that the error names.
fn refused(config: PlateSimConfig) -> &'static str {
    match config.build() {
        Err(SimError::Param(error)) => error.param,
        other => panic!("{other:?}"),
    }
}

#[test]
fn wrong_settings_are_named() {
    let base = PlateSimConfig::default;
    let drawn = |single_dose_wells, drug_screened_wells, replicates| Screen::Drawn {
        single_dose_wells,
        drug_screened_wells,
        replicates,
    };
    let cases = [
        ("rows", PlateSimConfig { rows: 31, ..base() }),
        (
            "columns",
            PlateSimConfig {
                columns: 4097,
                ..base()
            },
        ),
        (
            "planes",
            PlateSimConfig {
                planes: 0,
                ..base()
            },
        ),
        (
            "plate",
            PlateSimConfig {
                plate: String::new(),
                ..base()
            },
        ),
        (
            "plate",
            PlateSimConfig {
                plate: "../up".to_owned(),
                ..base()
            },
        ),
        (
            "days",
            PlateSimConfig {
                days: vec![],
                ..base()
            },
        ),
        (
            "days",
            PlateSimConfig {
                days: vec![day(8.0), day(8.0)],
                ..base()
            },
        ),
        (
            "days",
            PlateSimConfig {
                days: vec![day(0.5), day(10.0)],
                ..base()
            },
        ),
        (
            "drug_day",
            PlateSimConfig {
                drug_day: day(10.0),
                ..base()
            },
        ),
        (
            "untreated_wells",
            PlateSimConfig {
                untreated_wells: 0,
                ..base()
            },
        ),
        (
            "untreated_wells + screen",
            PlateSimConfig {
                untreated_wells: 15,
                ..base()
            },
        ),
        (
            "untreated_wells + screen",
            PlateSimConfig {
                screen: drawn(usize::MAX, usize::MAX, 1),
                ..base()
            },
        ),
        (
            "replicates",
            PlateSimConfig {
                screen: drawn(6, 40, 0),
                ..base()
            },
        ),
    ];
    for (param, config) in cases {
        assert_eq!(refused(config), param);
    }
    let plain = Optics::default();
    for (param, optics) in [
        (
            "background",
            Optics {
                background: 1.0,
                ..plain
            },
        ),
        (
            "full_well",
            Optics {
                full_well: 0.0,
                ..plain
            },
        ),
        (
            "cell",
            Optics {
                cell: f64::NAN,
                ..plain
            },
        ),
        ("size", Optics { size: 2.0, ..plain }),
        (
            "grain",
            Optics {
                grain: -0.1,
                ..plain
            },
        ),
    ] {
        assert_eq!(refused(PlateSimConfig { optics, ..base() }), param);
    }
}

#[test]
fn no_spread_accepts_nan_or_what_is_beyond_its_range() {
    type Set = fn(&mut PlateSimConfig, f64);
    let spreads: [(&str, Set); 7] = [
        ("growth_spread", |c, v| c.growth_spread = v),
        ("look_spread", |c, v| c.look_spread = v),
        ("gain_spread", |c, v| c.gain_spread = v),
        ("focus_drift", |c, v| c.focus_drift = v),
        ("position_spread", |c, v| c.position_spread = v),
        ("response_spread", |c, v| c.response_spread = v),
        ("effect_strength", |c, v| c.effect_strength = v),
    ];
    for (param, set) in spreads {
        for value in [f64::NAN, -0.1, 11.0, f64::INFINITY] {
            let mut config = PlateSimConfig::default();
            set(&mut config, value);
            assert_eq!(refused(config), param);
        }
        let mut config = PlateSimConfig::default();
        set(&mut config, 0.0);
        assert!(config.build().is_ok());
    }
}

#[test]
fn a_screen_that_contradicts_itself_is_refused() {
    type Change = fn(&mut Vec<Drug>, &mut Vec<TreatmentPlan>);
    let cases: [(&str, Change); 14] = [
        ("emax", |drugs, _| drugs[0].hill.emax = 1.1),
        ("ec50", |drugs, _| drugs[0].hill.ec50 = 0.0),
        ("slope", |drugs, _| drugs[0].hill.slope = f64::NAN),
        ("scatter", |drugs, _| drugs[0].mix.scatter = -1.0),
        ("mix", |drugs, _| drugs[0].mix = NO_EFFECT),
        ("drugs", |drugs, _| drugs.push(drugs[0].clone())),
        ("drugs", |drugs, _| drugs[0].name.clear()),
        ("treatments", |_, plans| plans.push(plans[0].clone())),
        ("treatments", |_, plans| {
            plans[0].name = "untreated".to_owned()
        }),
        ("treatments", |_, plans| plans[0].group = Group::Untreated),
        ("treatments", |_, plans| plans[0].doses.clear()),
        ("treatments", |_, plans| {
            plans[0].doses[0].drug = "unknown".to_owned()
        }),
        ("concentration", |_, plans| {
            plans[0].doses[0].concentration = f64::NAN
        }),
        ("wells", |_, plans| plans[0].wells = 0),
    ];
    for (param, change) in cases {
        let Screen::Given {
            mut drugs,
            mut treatments,
        } = one_drug(MIX, 1.0, 2)
        else {
            panic!()
        };
        change(&mut drugs, &mut treatments);
        let screen = Screen::Given { drugs, treatments };
        assert_eq!(refused(PlateSimConfig { screen, ..calm() }), param);
    }
}

#[test]
fn a_well_without_a_spheroid_is_an_error() {
    let plate = calm().build().unwrap();
    let edge = WellId::new(0, 0).unwrap();
    let error = plate.render(edge, day(7.0)).unwrap_err();
    assert!(
        matches!(error, SimError::EmptyWell { well, .. } if well == edge),
        "{error}"
    );
}

#[test]
fn the_layout_fills_the_inner_wells_and_scatters_the_groups() {
    let plate = PlateSimConfig::default().build().unwrap();
    let wells: Vec<WellId> = plate.wells().iter().map(|well| well.well).collect();
    assert!(wells.iter().copied().eq(PlateFormat::W96.inner_wells()));
    let count = |group| {
        plate
            .wells()
            .iter()
            .filter(|w| plate.truth()[w.treatment].group == group)
            .count()
    };
    assert_eq!(count(Group::Untreated), 14);
    assert_eq!(count(Group::SingleDose), 6);
    assert_eq!(count(Group::DrugScreened), 40);
    // Blocks would make nearly all neighbours in a row equal; chance makes about one in ten.
    let same = plate
        .wells()
        .windows(2)
        .filter(|pair| pair[0].treatment == pair[1].treatment);
    assert!(same.count() < 15);
}

#[test]
fn the_truth_of_a_given_screen_follows_its_formulas() {
    let hill = Hill {
        emax: 0.8,
        ec50: 2.0,
        slope: 1.0,
    };
    let drug = |name: &str| Drug {
        name: name.to_owned(),
        hill,
        mix: MIX,
    };
    let dose = |drug: &str| Dose {
        drug: drug.to_owned(),
        concentration: 2.0,
        unit: "uM".to_owned(),
    };
    let plan = |name: &str, doses| TreatmentPlan {
        name: name.to_owned(),
        group: Group::DrugScreened,
        doses,
        wells: 2,
    };
    let screen = Screen::Given {
        drugs: vec![drug("a"), drug("b")],
        treatments: vec![
            plan("one", vec![dose("a")]),
            plan("both", vec![dose("b"), dose("a")]),
        ],
    };
    let plate = PlateSimConfig { screen, ..calm() }.build().unwrap();
    // Three days after dosing; Weibull onset with scale 1.8 and shape 2.5.
    let onset = 1.0 - (-(3.0f64 / 1.8).powf(2.5)).exp();
    let kills: Vec<f64> = plate.truth().iter().map(|truth| truth.kill).collect();
    let expected = [0.0, 0.4 * onset, 0.64 * onset];
    assert!(
        kills
            .iter()
            .zip(expected)
            .all(|(a, b)| (a - b).abs() < 1e-12),
        "{kills:?}"
    );
    assert_eq!(plate.plate_map().treatments()["both"].doses[0].drug, "a");
}

#[test]
fn a_plate_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<PlateSim>();
    shared::<SimError>();
}
