//! Segmentation against the outlines that the simulator knows.

use ndarray::Array2;
use spheroid_imaging::{FocalStack, Samples, Scale, Segmentation, flatten, segment, sharpest_plane};
use spheroid_sim::PlateSimConfig;

fn segmented(stack: &FocalStack) -> Segmentation {
    let plane = sharpest_plane(stack).unwrap();
    let flat = flatten(stack.plane_f32(plane, Scale::Container).unwrap().view()).unwrap();
    segment(flat.view()).unwrap()
}

fn dice(found: &Segmentation, truth: &Array2<bool>) -> f64 {
    let at = |position: usize, length: usize| {
        (((position as f64 + 0.5) / found.scale) as usize).min(length - 1)
    };
    let (rows, columns) = found.mask.dim();
    let (mut both, mut either) = (0.0, 0.0);
    for ((row, column), &inside) in truth.indexed_iter() {
        let mask = found.mask[(at(row, rows), at(column, columns))];
        both += f64::from(u8::from(mask && inside));
        either += f64::from(u8::from(mask)) + f64::from(u8::from(inside));
    }
    2.0 * both / either
}

#[test]
fn outlines_agree() {
    let mut scores = Vec::new();
    for seed in 0..4 {
        let config = PlateSimConfig { seed: 100 + seed, ..PlateSimConfig::default() };
        let plate = config.build().unwrap();
        for well in plate.wells().iter().step_by(if std::env::var_os("ALL").is_some() { 1 } else { 6 }) {
            let day = plate.days()[plate.days().len() - 1];
            let stack = FocalStack::new(Samples::U16(plate.render(well.well, day).unwrap())).unwrap();
            let found = segmented(&stack);
            let score = dice(&found, &plate.mask(well.well, day).unwrap());
            scores.push((score, well.well, seed, found.flags.clone(), plate.truth()[well.treatment].mix));
        }
    }
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    for s in scores.iter().take(12) { println!("{s:?}"); }
    println!("n {} median {}", scores.len(), scores[scores.len() / 2].0);
    println!("flagged {}", scores.iter().filter(|s| !s.3.is_empty()).count());
}
