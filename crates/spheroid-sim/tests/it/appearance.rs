use ndarray::{Array2, Axis, Zip, s};
use spheroid_core::Group;
use spheroid_sim::{EffectMix, PlateSim, PlateSimConfig};

use crate::{NO_EFFECT, calm, day, middle, one_drug};

/// A plate with one untreated well, the others having lost 90 % to a drug of one mix.
fn dosed(mix: EffectMix) -> PlateSim {
    PlateSimConfig {
        untreated_wells: 1,
        screen: one_drug(mix, 9.0, 6),
        ..calm()
    }
    .build()
    .unwrap()
}

/// Measurements on the middle plane in focus.
#[derive(Debug, Clone, Copy)]
struct Seen {
    area: f64,
    /// Pixels outside the body that are darker than the field.
    debris: f64,
    /// Mean optical depth of the middle, and the depth of the body's mean transmission.
    core: f64,
    depth: f64,
    /// Grain over six cells against that over neighbouring pixels.
    coarseness: f64,
}

fn measure(image: &Array2<f64>) -> Seen {
    let field = image.iter().copied().fold(0.0, f64::max) * 0.93;
    let depth = image.mapv(|v| -(v / field).max(1e-3).ln());
    let centre = (image.nrows() as f64 - 1.0) / 2.0;
    let radius = |(i, j): (usize, usize)| (i as f64 - centre).hypot(j as f64 - centre);
    // The body is what is dark within the largest radius of a spheroid.
    let (mut area, mut debris, mut total) = (0.0, 0.0, 0.0);
    let (mut core, mut cores) = (0.0, 0.0);
    for (at, &depth) in depth.indexed_iter() {
        let r = radius(at);
        if r < 44.0 && depth > 0.25 {
            area += 1.0;
            total += (-depth).exp();
        } else if (44.0..70.0).contains(&r) && depth > 0.12 {
            debris += 1.0;
        }
        if r < 10.0 {
            core += depth;
            cores += 1.0;
        }
    }
    let middle = depth.slice(s![78..114, 78..114]);
    let step = |lag: usize| {
        let ahead = middle.slice(s![.., lag..]);
        let behind = middle.slice(s![.., ..middle.ncols() - lag]);
        Zip::from(&ahead)
            .and(&behind)
            .fold(0.0, |sum, a, b| sum + (a - b) * (a - b))
            / ahead.len() as f64
    };
    let coarseness = step(5) / step(2);
    Seen {
        area,
        debris,
        core: core / cores,
        depth: -(total / area).ln(),
        coarseness,
    }
}

/// Medians over the treated wells, without and with the drug, on day 10.
fn before_and_after(mix: EffectMix) -> (Seen, Seen) {
    let plate = dosed(mix);
    let config = PlateSimConfig {
        effect_strength: 0.0,
        ..plate.config().clone()
    };
    let untouched = config.build().unwrap();
    let look = |plate: &PlateSim| {
        let wells = plate.wells().iter().filter(|well| well.treatment == 1);
        let seen: Vec<Seen> = wells
            .map(|well| measure(&middle(&plate.render(well.well, day(10.0)).unwrap())))
            .collect();
        let median = |part: fn(&Seen) -> f64| {
            let mut values: Vec<f64> = seen.iter().map(part).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Seen {
            area: median(|s| s.area),
            debris: median(|s| s.debris),
            core: median(|s| s.core),
            depth: median(|s| s.depth),
            coarseness: median(|s| s.coarseness),
        }
    };
    (look(&untouched), look(&plate))
}

#[test]
fn shrinking_takes_area_and_nothing_else() {
    let (before, after) = before_and_after(EffectMix {
        shrink: 1.0,
        ..NO_EFFECT
    });
    assert!(after.area < 0.75 * before.area, "{before:?} {after:?}");
    assert!(after.debris < 1.6 * before.debris, "{before:?} {after:?}");
}

#[test]
fn scattering_sheds_debris_and_takes_no_area() {
    let (before, after) = before_and_after(EffectMix {
        scatter: 1.0,
        ..NO_EFFECT
    });
    assert!(after.area > before.area, "{before:?} {after:?}");
    assert!(after.debris > 2.0 * before.debris, "{before:?} {after:?}");
    assert!(after.depth < before.depth, "{before:?} {after:?}");
}

#[test]
fn necrosis_darkens_the_core_and_keeps_the_area() {
    let (before, after) = before_and_after(EffectMix {
        necrosis: 1.0,
        ..NO_EFFECT
    });
    assert!(after.core > 1.25 * before.core, "{before:?} {after:?}");
    assert!(
        (after.area / before.area - 1.0).abs() < 0.02,
        "{before:?} {after:?}"
    );
}

#[test]
fn coarsening_changes_the_grain_and_neither_area_nor_darkness() {
    let (before, after) = before_and_after(EffectMix {
        coarsen: 1.0,
        ..NO_EFFECT
    });
    assert!(
        after.coarseness > 1.5 * before.coarseness,
        "{before:?} {after:?}"
    );
    assert!(
        (after.area / before.area - 1.0).abs() < 0.04,
        "{before:?} {after:?}"
    );
    assert!(
        (after.depth / before.depth - 1.0).abs() < 0.06,
        "{before:?} {after:?}"
    );
}

#[test]
fn the_effect_comes_after_the_drug_and_grows() {
    let plate = dosed(EffectMix {
        necrosis: 1.0,
        ..NO_EFFECT
    });
    let well = plate
        .wells()
        .iter()
        .find(|well| well.treatment == 1)
        .unwrap()
        .well;
    let config = PlateSimConfig {
        effect_strength: 0.0,
        ..plate.config().clone()
    };
    let untouched = config.build().unwrap();
    assert_eq!(
        plate.render(well, day(7.0)).unwrap(),
        untouched.render(well, day(7.0)).unwrap()
    );
    let darker = |at: f64| {
        let core = |plate: &PlateSim| measure(&middle(&plate.render(well, day(at)).unwrap())).core;
        core(&plate) - core(&untouched)
    };
    let (first, second, third) = (darker(8.0), darker(9.0), darker(10.0));
    assert!(0.0 < first && first < 0.35 * third && second > 0.6 * third && second < third);
}

#[test]
fn untreated_wells_grow_by_their_own_rates() {
    let plate = PlateSimConfig {
        growth_spread: 0.1,
        ..calm()
    }
    .build()
    .unwrap();
    let mut growth = Vec::new();
    for well in plate
        .wells()
        .iter()
        .filter(|w| plate.truth()[w.treatment].group == Group::Untreated)
    {
        let area = |at: f64| measure(&middle(&plate.render(well.well, day(at)).unwrap())).area;
        let areas = [1.0, 4.0, 7.0, 8.0, 9.0, 10.0].map(area);
        assert!(
            areas.windows(2).all(|pair| pair[0] < pair[1]),
            "{}: {areas:?}",
            well.well
        );
        growth.push(areas[5] / areas[2]);
    }
    growth.sort_by(f64::total_cmp);
    assert_eq!(growth.len(), 14);
    assert!(growth[13] > 1.03 * growth[0], "{growth:?}");
}

#[test]
fn sizes_stay_a_quarter_to_a_half_of_the_frame() {
    let plate = calm().build().unwrap();
    let well = plate.wells()[0].well;
    for (rows, columns) in [(64, 64), (192, 192), (192, 256)] {
        let plate = PlateSimConfig {
            rows,
            columns,
            ..calm()
        }
        .build()
        .unwrap();
        let image = middle(&plate.render(well, day(7.0)).unwrap());
        let field = image.iter().copied().fold(0.0, f64::max);
        let centre = image.row(rows / 2);
        let dark = centre.iter().filter(|&&v| v < 0.7 * field).count();
        let share = dark as f64 / rows as f64;
        assert!((0.25..0.45).contains(&share), "{rows} x {columns}: {share}");
    }
}

#[test]
fn the_lamp_varies_only_when_asked() {
    let levels = |gain_spread: f64| {
        let plate = PlateSimConfig {
            gain_spread,
            ..calm()
        }
        .build()
        .unwrap();
        let mut levels: Vec<f64> = plate.wells()[..20]
            .iter()
            .map(|well| {
                let image = middle(&plate.render(well.well, day(7.0)).unwrap());
                // Near the middle of the upper edge, beyond any spheroid.
                image.slice(s![8..24, 80..112]).mean().unwrap()
            })
            .collect();
        levels.sort_by(f64::total_cmp);
        levels[19] / levels[0]
    };
    let (steady, unsteady) = (levels(0.0), levels(0.1));
    assert!(steady < 1.15 && unsteady > 1.25, "{steady} {unsteady}");
}

#[test]
fn the_sharpest_plane_moves_only_with_the_focus() {
    let sharpest = |focus_drift: f64| -> Vec<usize> {
        let plate = PlateSimConfig {
            focus_drift,
            ..calm()
        }
        .build()
        .unwrap();
        plate.wells()[..24]
            .iter()
            .map(|well| {
                let stack = plate.render(well.well, day(7.0)).unwrap();
                let sharpness: Vec<f64> = stack
                    .axis_iter(Axis(0))
                    .map(|plane| {
                        let plane = plane.slice(s![70..122, 70..122]).mapv(f64::from);
                        let (a, b) = (plane.slice(s![.., 2..]), plane.slice(s![.., ..50]));
                        (&a - &b).mapv(|step| step * step).sum()
                    })
                    .collect();
                (0..3)
                    .max_by(|&a, &b| sharpness[a].total_cmp(&sharpness[b]))
                    .unwrap()
            })
            .collect()
    };
    assert!(sharpest(0.0).iter().all(|&plane| plane == 1));
    let drifting = sharpest(1.0);
    assert!(
        (0..3).all(|plane| drifting.contains(&plane)),
        "{drifting:?}"
    );
}
