use std::f64::consts::TAU;

use rand::{Rng, RngExt};
use rand_distr::{Distribution, Exp1, StandardNormal};
use spheroid_core::{Day, WellId};

use crate::{
    EffectMix, Optics,
    blur::{Frame, gaussian},
    stream::Stream,
};

/// Diameter to which [`Optics::depth`] refers.
const REFERENCE_DIAMETER: f64 = 0.34;
/// Scattering and coarseness of a spheroid without a drug, in amounts of a full effect.
const NATURAL_SCATTER: f64 = 0.12;
const NATURAL_COARSE: f64 = 0.1;
/// Turn a day, in radians, of the grain towards an independent one.
const GRAIN_DRIFT: f64 = 0.25;
/// Width of the coarse grain against the fine one.
const COARSE: f64 = 2.2;
/// Rounds of the outline that make up its shape, and those that make it ragged.
const SHAPE_ORDERS: std::ops::RangeInclusive<usize> = 2..=6;
const RAGGED_ORDERS: std::ops::RangeInclusive<usize> = 9..=26;
/// Specks of debris that a well can have: those that lie anywhere, and those that are shed.
const PLAIN_DEBRIS: usize = 12;
const SHED_DEBRIS: usize = 180;

/// How a spheroid looks on one day, after its drug's effect.
///
/// The amounts of the kinds have a common scale: natural variation moves all of them alike, so an
/// effect of amount 1 stands out equally in each kind once that is measured well.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appearance {
    /// Mean radius of the outline, in shorter image sides.
    radius: f64,
    /// Factor on the density.
    density: f64,
    /// Root mean square of the ragged part of the outline, as a share of the radius.
    ragged: f64,
    /// Further optical depth of the core, as a share.
    core: f64,
    /// Factor on the standard deviation of the grain.
    grain: f64,
    /// Share of the grain's variance that is coarse, 0 to 1.
    coarse: f64,
    /// Share of the specks that can be shed.
    shed: f64,
}

impl Appearance {
    /// The look of a spheroid that would have `diameter` without a drug, with `effect` being the
    /// amount of each kind, 0 for none.
    pub(crate) fn new(diameter: f64, effect: EffectMix) -> Self {
        let scatter = (NATURAL_SCATTER + effect.scatter).max(0.0);
        Self {
            radius: diameter / 2.0 * (0.06 * effect.scatter - 0.26 * effect.shrink).exp(),
            density: (-0.25 * effect.scatter).exp(),
            ragged: 0.04 * scatter,
            core: (0.25 + 0.6 * effect.necrosis).max(0.0),
            grain: (0.7 * effect.coarsen).exp(),
            coarse: (NATURAL_COARSE + 0.85 * effect.coarsen).clamp(0.0, 1.0),
            shed: 1.0 - (-1.2 * scatter).exp(),
        }
    }
}

/// One image's field: where the spheroid lies, in pixels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Row and column of the spheroid's centre.
    pub(crate) centre: (f64, f64),
    pub(crate) optics: Optics,
}

impl Field {
    /// The shorter side, in pixels: the unit of length.
    pub(crate) fn side(self) -> f64 {
        self.rows.min(self.columns) as f64
    }

    /// Diameter of a cell, in pixels.
    pub(crate) fn cell(self) -> f64 {
        self.optics.cell * self.side()
    }
}

/// Optical depth of everything in a well on one day, pixel by pixel.
///
/// Outline, grain and debris belong to the well and stay over the days, the grain drifting slowly.
pub(crate) fn optical_depth(
    seed: u64,
    well: WellId,
    day: Day,
    look: Appearance,
    field: Field,
) -> Frame {
    let outline = Outline::draw(&mut Stream::Outline.of_well(seed, well));
    let mut depth = Frame::filled(field.rows, field.columns, 0.0);
    let grain = grain_of(seed, well, day, look, field);
    draw_body(&mut depth, look, &outline.radii(look), &grain, field);
    draw_debris(
        &mut depth,
        look,
        field,
        &mut Stream::Debris.of_well(seed, well),
    );
    depth
}

/// Which pixels lie within the outline of the spheroid, row by row.
pub(crate) fn inside(seed: u64, well: WellId, look: Appearance, field: Field) -> Vec<bool> {
    let outline = Outline::draw(&mut Stream::Outline.of_well(seed, well));
    let radii = outline.radii(look);
    let radius = (look.radius * field.side()) as f32;
    let pixels =
        (0..field.rows).flat_map(|row| (0..field.columns).map(move |column| (row, column)));
    let within = |(row, column): (usize, usize)| {
        let y = row as f32 - field.centre.0 as f32;
        let x = column as f32 - field.centre.1 as f32;
        (x * x + y * y).sqrt() < radius * radius_towards(&radii, x, y)
    };
    pixels.map(within).collect()
}

/// The outline's radius, in mean radii, in the direction of a point seen from the centre.
fn radius_towards(radii: &[f32], x: f32, y: f32) -> f32 {
    let angles = (radii.len() - 1) as f32;
    let turn = (y.atan2(x) / std::f32::consts::TAU).rem_euclid(1.0) * angles;
    let at = (turn as usize).min(radii.len() - 2);
    radii[at] + (turn - at as f32) * (radii[at + 1] - radii[at])
}

/// A closed curve around the centre as Fourier modes of its radius.
struct Outline {
    shape: Vec<(usize, f64, f64)>,
    ragged: Vec<(usize, f64, f64)>,
}

impl Outline {
    /// Angles at which the radius is tabulated.
    const ANGLES: usize = 1024;

    fn draw(rng: &mut impl Rng) -> Self {
        let mut modes = |orders: std::ops::RangeInclusive<usize>, sd: fn(usize) -> f64| {
            orders
                .map(|order| {
                    let a: f64 = StandardNormal.sample(rng);
                    let b: f64 = StandardNormal.sample(rng);
                    (order, a * sd(order), b * sd(order))
                })
                .collect()
        };
        Self {
            shape: modes(SHAPE_ORDERS, |order| 0.03 / order as f64),
            // Each order adds its standard deviation squared to the mean square.
            ragged: modes(RAGGED_ORDERS, |_| {
                (RAGGED_ORDERS.count() as f64).sqrt().recip()
            }),
        }
    }

    /// Radius at each angle, in mean radii.
    fn radii(&self, look: Appearance) -> Vec<f32> {
        let sum = |modes: &[(usize, f64, f64)], angle: f64| -> f64 {
            modes
                .iter()
                .map(|&(order, a, b)| {
                    let (sin, cos) = (order as f64 * angle).sin_cos();
                    a * cos + b * sin
                })
                .sum()
        };
        (0..=Self::ANGLES)
            .map(|i| {
                let angle = TAU * i as f64 / Self::ANGLES as f64;
                let radius = 1.0 + sum(&self.shape, angle) + look.ragged * sum(&self.ragged, angle);
                radius.clamp(0.5, 1.5) as f32
            })
            .collect()
    }
}

/// Half the side of the square around the centre in which the body is drawn, in shorter image
/// sides: the largest radius that growth and outline allow.
const HALF_PATCH: f64 = 0.36;

/// Grain of zero mean and unit variance over the square around the centre.
fn grain_of(seed: u64, well: WellId, day: Day, look: Appearance, field: Field) -> Frame {
    let half = (HALF_PATCH * field.side()).ceil() as usize;
    let cell = field.cell();
    let noise = |stream: Stream, width: f64| {
        band_limited(2 * half + 1, width * cell, &mut stream.of_well(seed, well))
    };
    let (sin, cos) = (GRAIN_DRIFT * day.days()).sin_cos();
    let fine = (1.0 - look.coarse).sqrt();
    let mut grain = noise(Stream::Grain, 1.0);
    let drifted = noise(Stream::Drift, 1.0);
    for (now, other) in grain.data.iter_mut().zip(&drifted.data) {
        *now = (fine * cos) as f32 * *now + (fine * sin) as f32 * other;
    }
    if look.coarse > 0.0 {
        let coarse = noise(Stream::Coarse, COARSE);
        let share = look.coarse.sqrt() as f32;
        grain
            .data
            .iter_mut()
            .zip(&coarse.data)
            .for_each(|(now, other)| *now += share * other);
    }
    grain
}

/// Noise with structures of about `width` pixels alone (a difference of Gaussians), zero mean and
/// unit variance.
fn band_limited(side: usize, width: f64, rng: &mut impl Rng) -> Frame {
    let white: Vec<f32> = (0..side * side)
        .map(|_| rng.random::<f32>() - 0.5)
        .collect();
    let white = Frame {
        rows: side,
        columns: side,
        data: white,
    };
    let mut band = gaussian(&white, 0.3 * width);
    let wide = gaussian(&white, 0.8 * width);
    band.data
        .iter_mut()
        .zip(&wide.data)
        .for_each(|(near, far)| *near -= far);
    let count = band.data.len() as f64;
    let mean = band.data.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let square = band.data.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / count;
    let scale = (square - mean * mean).sqrt().recip();
    band.data
        .iter_mut()
        .for_each(|v| *v = ((f64::from(*v) - mean) * scale) as f32);
    band
}

/// Adds the ball: a chord's length times a grainy density, darker in the core.
fn draw_body(depth: &mut Frame, look: Appearance, radii: &[f32], grain: &Frame, field: Field) {
    let radius = (look.radius * field.side()) as f32;
    let size = 2.0 * look.radius / REFERENCE_DIAMETER;
    let through_middle = (field.optics.depth * look.density * size) as f32;
    let (core, contrast) = (look.core as f32, (field.optics.grain * look.grain) as f32);
    let middle = (
        field.centre.0.round() as isize,
        field.centre.1.round() as isize,
    );
    let half = (grain.rows / 2) as isize;
    for (i, grains) in grain.data.chunks_exact(grain.columns).enumerate() {
        let row = middle.0 + i as isize - half;
        if !(0..field.rows as isize).contains(&row) {
            continue;
        }
        let y = row as f32 - field.centre.0 as f32;
        let line = &mut depth.data[row as usize * field.columns..][..field.columns];
        for (j, &grain) in grains.iter().enumerate() {
            let column = middle.1 + j as isize - half;
            if !(0..field.columns as isize).contains(&column) {
                continue;
            }
            let x = column as f32 - field.centre.1 as f32;
            let distance = (x * x + y * y).sqrt();
            if distance > 1.5 * radius {
                continue;
            }
            let from_centre = distance / (radius * radius_towards(radii, x, y));
            if from_centre < 1.0 {
                let chord = (1.0 - from_centre * from_centre).sqrt();
                let smooth = through_middle * chord * (1.0 + core * fall(from_centre, 0.4, 0.85));
                // The last term keeps the mean transmission: it undoes the excess of the mean of
                // exp(-depth) over exp(-mean depth) that the grain brings.
                let spread = contrast * smooth;
                line[column as usize] +=
                    (smooth + spread * grain.max(-2.5)).max(0.0) + spread * spread / 2.0;
            }
        }
    }
}

/// 1 up to `from`, 0 beyond `to`, smooth between.
pub(crate) fn fall(x: f32, from: f32, to: f32) -> f32 {
    let t = ((to - x) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// Adds specks around the body: each is dark with a bright ring, as a small lens is.
fn draw_debris(depth: &mut Frame, look: Appearance, field: Field, rng: &mut impl Rng) {
    let side = field.side();
    let shed = (look.shed * SHED_DEBRIS as f64).round() as usize;
    for k in 0..PLAIN_DEBRIS + shed {
        let angle = TAU * rng.random::<f64>();
        // Shed cells lie near the spheroid.
        let away = match k {
            0..PLAIN_DEBRIS => rng.random_range(0.05..0.5),
            _ => 0.01 + 0.05 * Distribution::<f64>::sample(&Exp1, rng),
        };
        let size = rng.random_range(0.25..0.5) * field.optics.cell * side;
        let strength = rng.random_range(0.3..0.8);
        let distance = (look.radius + away) * side;
        let centre = (
            field.centre.0 + distance * angle.sin(),
            field.centre.1 + distance * angle.cos(),
        );
        draw_speck(depth, centre, size, strength);
    }
}

/// Adds a Mexican hat, whose mean is 0.
fn draw_speck(depth: &mut Frame, (row, column): (f64, f64), size: f64, strength: f64) {
    let reach = 4.0 * size;
    let span = |middle: f64, end: usize| {
        let first = (middle - reach).ceil().max(0.0) as usize;
        let last = (middle + reach).floor().min(end as f64 - 1.0);
        if last < 0.0 {
            0..0
        } else {
            first..last as usize + 1
        }
    };
    for i in span(row, depth.rows) {
        for j in span(column, depth.columns) {
            let (y, x) = (i as f64 - row, j as f64 - column);
            let q = (x * x + y * y) / (2.0 * size * size);
            depth.data[i * depth.columns + j] += (strength * (1.0 - q) * (-q).exp()) as f32;
        }
    }
}
