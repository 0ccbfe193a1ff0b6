//! Segmentation against the outlines that the simulator knows, and of wells that went wrong.
//!
//! `cargo test --release -p spheroid-sim --test it segmentation -- --nocapture` prints the table.

use ndarray::{Array2, Zip, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;
use spheroid_core::{Day, WellId};
use spheroid_imaging::{
    Background, FocalStack, ImagingError, Samples, Scale, Segmentation, SegmentationFlag, flatten,
    segment, sharpest_plane,
};
use spheroid_sim::{EffectMix, PlateSim, PlateSimConfig, SimWell};

fn plate(seed: u64) -> PlateSim {
    let config = PlateSimConfig {
        seed,
        ..PlateSimConfig::default()
    };
    config.build().unwrap()
}

/// The sharpest plane of a well on the last day, as the camera gives it.
fn plane(plate: &PlateSim, well: WellId) -> Array2<f32> {
    let stack = plate.render(well, last_day(plate)).unwrap();
    let stack = FocalStack::new(Samples::U16(stack)).unwrap();
    let plane = sharpest_plane(&stack).unwrap();
    stack.plane_f32(plane, Scale::Container).unwrap()
}

fn last_day(plate: &PlateSim) -> Day {
    *plate.days().last().unwrap()
}

fn segmented(plane: &Array2<f32>) -> Result<Segmentation, ImagingError> {
    segment(flatten(plane.view())?.view())
}

/// Sørensen and Dice's overlap of mask and truth: 1 for equal ones, 0 for none.
fn dice(found: &Segmentation, truth: &Array2<bool>) -> f64 {
    let (rows, columns) = found.mask.dim();
    let at = |position: usize, length: usize| {
        (((position as f64 + 0.5) / found.scale) as usize).min(length - 1)
    };
    let (mut both, mut sum) = (0.0, 0.0);
    for ((row, column), &inside) in truth.indexed_iter() {
        let mask = found.mask[(at(row, rows), at(column, columns))];
        both += f64::from(mask && inside);
        sum += f64::from(mask) + f64::from(inside);
    }
    2.0 * both / sum
}

struct Score {
    dice: f64,
    flagged: bool,
    mix: EffectMix,
}

/// All wells of the plates of these seeds, the worst first.
fn scores(seeds: std::ops::Range<u64>) -> Vec<Score> {
    let mut scores: Vec<Score> = seeds
        .map(plate)
        .flat_map(|plate| {
            let score = |well: &SimWell| {
                let found = segmented(&plane(&plate, well.well)).unwrap();
                let truth = plate.mask(well.well, last_day(&plate)).unwrap();
                Score {
                    dice: dice(&found, &truth),
                    flagged: !found.flags.is_empty(),
                    mix: plate.truth()[well.treatment].mix,
                }
            };
            plate.wells().par_iter().map(score).collect::<Vec<_>>()
        })
        .collect();
    scores.sort_by(|a, b| a.dice.total_cmp(&b.dice));
    scores
}

/// The value below which that share of the ascending scores lie.
fn quantile(scores: &[&Score], share: f64) -> f64 {
    scores[(share * (scores.len() - 1) as f64).round() as usize].dice
}

#[test]
fn outlines_of_240_wells_agree_with_the_truth() {
    let scores = &scores(100..104)[..];
    assert_eq!(scores.len(), 240);
    type Amount = fn(&EffectMix) -> f64;
    let kinds: [(&str, Amount); 4] = [
        ("mostly shrinking", |mix| mix.shrink),
        ("mostly scattering", |mix| mix.scatter),
        ("mostly necrotic", |mix| mix.necrosis),
        ("mostly coarser", |mix| mix.coarsen),
    ];
    let untouched = |mix: &EffectMix| kinds.iter().all(|(_, amount)| amount(mix) == 0.0);
    let mut groups: Vec<(&str, Vec<&Score>)> = vec![("all", scores.iter().collect())];
    for (name, amount) in kinds {
        let most = |mix: &EffectMix| {
            !untouched(mix) && kinds.iter().all(|(_, other)| amount(mix) >= other(mix))
        };
        groups.push((
            name,
            scores.iter().filter(|score| most(&score.mix)).collect(),
        ));
    }
    let none = scores.iter().filter(|score| untouched(&score.mix));
    groups.push(("none", none.collect()));

    println!("| effect | wells | median Dice | 5th percentile | least | flagged |");
    println!("|---|---|---|---|---|---|");
    for (name, scores) in groups {
        let (median, low, least) = (
            quantile(&scores, 0.5),
            quantile(&scores, 0.05),
            scores[0].dice,
        );
        let flagged = scores.iter().filter(|score| score.flagged).count();
        let wells = scores.len();
        println!("| {name} | {wells} | {median:.3} | {low:.3} | {least:.3} | {flagged} |");
        assert!(wells >= 20, "{name}: {wells} wells");
        assert!(median >= 0.95 && least >= 0.9, "{name}: {median} {least}");
        assert_eq!(flagged, 0, "{name}");
    }
}

/// Ten planes of different wells, with their light.
fn sound() -> Vec<(Array2<f32>, ChaCha8Rng)> {
    (0..10)
        .map(|seed| {
            let plate = plate(200 + seed);
            let well = plate.wells()[seed as usize * 5].well;
            (plane(&plate, well), ChaCha8Rng::seed_from_u64(seed))
        })
        .collect()
}

fn blurred(plane: &Array2<f32>, sigma: f64) -> Array2<f32> {
    let radius = (3.0 * sigma) as isize;
    let kernel: Vec<f32> = (-radius..=radius)
        .map(|offset| (-0.5 * (offset as f64 / sigma).powi(2)).exp() as f32)
        .collect();
    let total: f32 = kernel.iter().sum();
    let along_rows = |plane: &Array2<f32>| {
        let last = plane.ncols() as isize - 1;
        Array2::from_shape_fn(plane.dim(), |(row, column)| {
            let at =
                |offset: isize| plane[(row, (column as isize + offset).clamp(0, last) as usize)];
            let sum: f32 = (-radius..=radius)
                .zip(&kernel)
                .map(|(offset, w)| w * at(offset))
                .sum();
            sum / total
        })
    };
    let turned = along_rows(plane)
        .reversed_axes()
        .as_standard_layout()
        .into_owned();
    along_rows(&turned)
        .reversed_axes()
        .as_standard_layout()
        .into_owned()
}

/// What can happen to a well, and the flags of which one must be raised; none where it must be an error.
fn broken() -> Vec<(&'static str, Array2<f32>, Vec<SegmentationFlag>)> {
    use SegmentationFlag::{EmptyWell, Fibre, OutOfFocus, SeveralObjects, TouchesBorder};
    let mut wells = Vec::new();
    for (plane, mut rng) in sound() {
        let (rows, columns) = plane.dim();
        let light = Background::estimate(plane.view()).unwrap();
        let mut empty = Array2::from_shape_fn((rows, columns), |at| {
            let noise: f64 = StandardNormal.sample(&mut rng);
            (light.at(at.0, at.1) * (1.0 + 0.02 * noise)) as f32
        });
        for _ in 0..8 {
            let (row, column) = (
                rng.random_range(10..rows - 10),
                rng.random_range(10..columns - 10),
            );
            empty
                .slice_mut(s![row..row + 5, column..column + 5])
                .mapv_inplace(|v| 0.5 * v);
        }
        let flat = flatten(plane.view()).unwrap();
        let centre = segment(flat.view()).unwrap();
        let (row, column) = {
            let inside = centre.mask.indexed_iter().filter(|&(_, &inside)| inside);
            let (n, r, c) = inside.fold((0, 0, 0), |(n, r, c), ((row, column), _)| {
                (n + 1, r + row, c + column)
            });
            let at = |sum: usize| (sum as f64 / n as f64 * centre.scale) as usize;
            (at(r), at(c))
        };
        let cut = plane.slice(s![.., column..]).to_owned();
        let moved = |plane: &Array2<f32>, by: usize| {
            Array2::from_shape_fn((rows, columns), |(r, c)| plane[(r, (c + by) % columns)])
        };
        let two = |by: usize| {
            let (left, right) = (moved(&flat, by), moved(&plane, columns - by));
            Zip::from(&left)
                .and(&right)
                .map_collect(|&a, &b| a.min(1.0) * b)
        };
        let mut fibre = plane.clone();
        for ((r, c), value) in fibre.indexed_iter_mut() {
            let across = (c as f64 - column as f64) - 0.6 * (r as f64 - row as f64);
            if across.abs() < 0.008 * columns as f64 {
                *value *= 0.4;
            }
        }
        wells.push(("empty", empty, vec![EmptyWell]));
        wells.push(("cut by the edge of the frame", cut, vec![TouchesBorder]));
        wells.push(("two spheroids", two(columns / 5), vec![SeveralObjects]));
        wells.push(("two that touch", two(columns / 7), vec![SeveralObjects]));
        wells.push((
            "defocused",
            blurred(&plane, 0.06 * rows as f64),
            vec![OutOfFocus],
        ));
        wells.push(("fibre", fibre, vec![Fibre]));
    }
    let even = |level| Array2::from_elem((512, 512), level);
    wells.push(("white", even(1.0), vec![EmptyWell]));
    wells.push(("lamp off", even(0.0), vec![]));
    wells
}

#[test]
fn empty_and_broken_wells_are_flagged() {
    let wells = broken();
    assert_eq!(wells.len(), 62);
    let mut missed = Vec::new();
    for (index, (name, plane, flags)) in wells.into_iter().enumerate() {
        match segmented(&plane) {
            Ok(found) if flags.iter().any(|&flag| found.has(flag)) => {}
            Ok(found) => missed.push((index, name, found.flags)),
            Err(ImagingError::NoBackground { .. }) if flags.is_empty() => {}
            Err(error) => panic!("{name}: {error}"),
        }
    }
    assert!(missed.is_empty(), "{missed:?}");
}
