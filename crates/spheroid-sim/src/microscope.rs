use ndarray::{Array2, Array3, Axis};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use spheroid_core::{Day, WellId};

use crate::{
    PlateSimConfig,
    blur::{Frame, gaussian},
    camera,
    scene::{self, Appearance, Field},
    stream::Stream,
};

/// Pieces of dust on the camera's window.
const DUST: usize = 5;

/// Images one well on one day: planes by rows by columns, 12 bits widened to 16.
pub(crate) fn image(
    config: &PlateSimConfig,
    well: WellId,
    day: Day,
    look: Appearance,
) -> Array3<u16> {
    let seed = config.seed;
    let setting = Setting::draw(config, well, day);
    let depth = scene::optical_depth(seed, well, day, look, setting.field);
    let light = setting.light(&mut Stream::Dust.of_plate(seed));
    let optics = config.optics;
    let cell = setting.field.cell();
    let curvature = curvature(&gaussian(&depth, 0.5 * cell), cell);
    let noise = &mut Stream::Noise.of_image(seed, well, day);
    let mut stack = Array3::zeros((config.planes, config.rows, config.columns));
    for (plane, pixels) in stack.axis_iter_mut(Axis(0)).enumerate() {
        let height = plane as f64 - (config.planes - 1) as f64 / 2.0;
        let away = height - setting.focus;
        let sharp = transmission(&depth, &curvature, optics.phase * away);
        let mut seen = gaussian(&sharp, cell * optics.sharpest.hypot(optics.defocus * away));
        seen.data
            .iter_mut()
            .zip(&light.data)
            .for_each(|(seen, light)| *seen *= light);
        camera::expose(&seen.data, optics.full_well as f32, noise, pixels);
    }
    stack
}

/// Where the spheroid of that image lies, true within its outline.
pub(crate) fn mask(
    config: &PlateSimConfig,
    well: WellId,
    day: Day,
    look: Appearance,
) -> Array2<bool> {
    let field = Setting::draw(config, well, day).field;
    let inside = scene::inside(config.seed, well, look, field);
    Array2::from_shape_vec((config.rows, config.columns), inside)
        .expect("one value for each pixel of the frame")
}

/// What differs from image to image and is not biology.
struct Setting {
    field: Field,
    /// Best focus, in steps of the planes from the middle one.
    focus: f64,
    gain: f64,
    /// Change of the light over the shorter side, down and across.
    slope: (f64, f64),
    /// Distance from the middle of the well at which its wall begins to shade, in shorter sides.
    wall: f64,
}

impl Setting {
    fn draw(config: &PlateSimConfig, well: WellId, day: Day) -> Self {
        fn normal(rng: &mut impl Rng) -> f64 {
            StandardNormal.sample(rng)
        }
        let stays = &mut Stream::Placement.of_well(config.seed, well);
        let varies = &mut Stream::Image.of_image(config.seed, well, day);
        let side = config.rows.min(config.columns) as f64;
        let mut place = |length: usize| {
            let offset = config.position_spread * (normal(stays) + normal(varies) / 4.0);
            // Most of the spheroid stays in the frame.
            (length as f64 - 1.0) / 2.0 + offset.clamp(-0.3, 0.3) * side
        };
        let centre = (place(config.rows), place(config.columns));
        Self {
            field: Field {
                rows: config.rows,
                columns: config.columns,
                centre,
                optics: config.optics,
            },
            // 0.6² + 0.8² = 1: part of the drift is the well's own height.
            focus: config.focus_drift * (0.6 * normal(stays) + 0.8 * normal(varies)),
            gain: (config.gain_spread * normal(varies)).exp(),
            slope: (0.05 * normal(stays), 0.05 * normal(stays)),
            wall: stays.random_range(0.56..0.66),
        }
    }

    /// The empty field: lamp, vignette, a slope from the meniscus, the well's wall and dust.
    fn light(&self, dust: &mut impl Rng) -> Frame {
        let Field { rows, columns, .. } = self.field;
        let side = self.field.side();
        let level = (self.field.optics.background * self.gain) as f32;
        let (down, across) = (self.slope.0 as f32, self.slope.1 as f32);
        let wall = self.wall as f32;
        let unit = (1.0 / side) as f32;
        let mut light = Frame::filled(rows, columns, 0.0);
        for (i, line) in light.data.chunks_exact_mut(columns).enumerate() {
            let y = (i as f32 - (rows - 1) as f32 / 2.0) * unit;
            for (j, value) in line.iter_mut().enumerate() {
                let x = (j as f32 - (columns - 1) as f32 / 2.0) * unit;
                let square = x * x + y * y;
                let shade = 0.65 + 0.35 * scene::fall(square.sqrt(), wall, wall + 0.2);
                *value = level * (1.0 - 0.16 * square + down * y + across * x) * shade;
            }
        }
        for _ in 0..DUST {
            let row = dust.random_range(0.0..rows as f64);
            let column = dust.random_range(0.0..columns as f64);
            let size = dust.random_range(0.003..0.009) * side;
            let loss = dust.random_range(0.03..0.09);
            let near = |middle: f64, end: usize| {
                let from = (middle - 3.0 * size).max(0.0) as usize;
                from..((middle + 3.0 * size).ceil() as usize).min(end)
            };
            for i in near(row, rows) {
                for j in near(column, columns) {
                    let q = ((i as f64 - row).powi(2) + (j as f64 - column).powi(2))
                        / (2.0 * size * size);
                    light.data[i * columns + j] *= (1.0 - loss * (-q).exp()) as f32;
                }
            }
        }
        light
    }
}

/// Laplacian in units of cells; 0 on the border of the frame.
fn curvature(depth: &Frame, cell: f64) -> Frame {
    let (rows, columns) = (depth.rows, depth.columns);
    let scale = (cell * cell) as f32;
    let mut out = Frame::filled(rows, columns, 0.0);
    for i in 1..rows - 1 {
        let line = |row: usize| &depth.data[row * columns..(row + 1) * columns];
        let (above, here, below) = (line(i - 1), line(i), line(i + 1));
        let target = &mut out.data[i * columns + 1..(i + 1) * columns - 1];
        let across = here.windows(3);
        for (((target, across), above), below) in target
            .iter_mut()
            .zip(across)
            .zip(&above[1..])
            .zip(&below[1..])
        {
            *target = scale * (across[0] + across[2] + above + below - 4.0 * across[1]);
        }
    }
    out
}

/// Beer–Lambert transmission with the phase contrast of a plane away from focus: bright where rays
/// meet, dark where they part, and the reverse on the other side of the focus.
///
/// # Source
/// The transport of intensity equation to first order, Teague (1983),
/// doi:10.1364/JOSA.73.001434, with the phase proportional to the optical depth.
fn transmission(depth: &Frame, curvature: &Frame, phase: f64) -> Frame {
    let phase = phase as f32;
    let data = depth
        .data
        .iter()
        .zip(&curvature.data)
        .map(|(&depth, &bend)| {
            let absorbed = if depth == 0.0 { 1.0 } else { (-depth).exp() };
            absorbed * (1.0 - phase * bend).clamp(0.6, 1.5)
        })
        .collect();
    Frame {
        rows: depth.rows,
        columns: depth.columns,
        data,
    }
}
