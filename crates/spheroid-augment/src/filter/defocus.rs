use ndarray::Array3;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, within};
use spheroid_imaging::SampleType;

use crate::{AugmentError, Image, Pixel, Range, ToneContract, Transform, geometry::mirror};

/// Blurs with a disc, as a lens does out of focus.
///
/// A pixel weighs by how far it lies inside of the disc's edge, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defocus {
    /// Radius of the disc in pixels, 0 to 50.
    pub radius: Range,
}

/// The disc.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefocusDraw {
    /// Radius in pixels.
    pub radius: f64,
}

const MOST_RADIUS: f64 = 50.0;

impl Transform for Defocus {
    type Draw = DefocusDraw;

    fn name(&self) -> &'static str {
        "defocus"
    }

    fn check(&self) -> Result<(), ParamError> {
        self.radius
            .check("radius", 0.0, MOST_RADIUS, "ascending, from 0 to 50")
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> DefocusDraw {
        DefocusDraw {
            radius: self.radius.draw(rng),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &DefocusDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        let radius = within("radius", draw.radius, 0.0, MOST_RADIUS, "from 0 to 50")?;
        let disc = disc(radius);
        if disc.len() == 1 {
            return Ok(image);
        }
        Ok(image.change_unit(|samples| convolve(samples, &disc)))
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::mixed(false)
    }
}

/// A pixel of the disc.
struct Spot {
    row: isize,
    column: isize,
    weight: f32,
}

fn disc(radius: f64) -> Vec<Spot> {
    let reach = (radius + 0.5).ceil() as isize;
    let weight = |row: isize, column: isize| {
        (radius + 0.5 - (row as f64).hypot(column as f64)).clamp(0.0, 1.0)
    };
    let places = (-reach..=reach).flat_map(|row| (-reach..=reach).map(move |column| (row, column)));
    let inside: Vec<(isize, isize, f64)> = places
        .map(|(row, column)| (row, column, weight(row, column)))
        .filter(|spot| spot.2 > 0.0)
        .collect();
    let sum: f64 = inside.iter().map(|spot| spot.2).sum();
    let spot = |(row, column, weight)| Spot {
        row,
        column,
        weight: (weight / sum) as f32,
    };
    inside.into_iter().map(spot).collect()
}

fn convolve(samples: &mut Array3<f32>, disc: &[Spot]) {
    let (_, rows, columns) = samples.dim();
    let reach = disc
        .iter()
        .map(|spot| spot.row.unsigned_abs())
        .max()
        .unwrap_or(0);
    let width = columns + 2 * reach;
    let mut padded = vec![0.0; (rows + 2 * reach) * width];
    let values = samples
        .as_slice_mut()
        .expect("samples are in row-major order");
    for plane in values.chunks_exact_mut(rows * columns) {
        for (row, line) in padded.chunks_exact_mut(width).enumerate() {
            let source = mirror(row as isize - reach as isize, rows) * columns;
            for (column, value) in line.iter_mut().enumerate() {
                *value = plane[source + mirror(column as isize - reach as isize, columns)];
            }
        }
        for (row, out) in plane.chunks_exact_mut(columns).enumerate() {
            out.fill(0.0);
            for spot in disc {
                let down = (row + reach).wrapping_add_signed(spot.row);
                let from = down * width + reach.wrapping_add_signed(spot.column);
                for (out, value) in out.iter_mut().zip(&padded[from..from + columns]) {
                    *out += spot.weight * value;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::cases;

    #[test]
    fn agrees_with_scipy() {
        let cases = cases::<DefocusDraw>("reference.json", "defocus");
        assert!(cases.len() >= 3);
        for case in cases {
            let defocus = Defocus {
                radius: Range::only(1.0),
            };
            case.check(&defocus, &case.params);
        }
    }

    #[test]
    fn no_radius_is_no_blur() {
        assert_eq!(disc(0.0).len(), 1);
        assert_eq!(disc(0.5).len(), 1);
        assert!(disc(0.6).len() > 1);
    }
}
