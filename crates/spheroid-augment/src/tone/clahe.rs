use ndarray::{Array3, ArrayView3, s};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, within};
use spheroid_imaging::SampleType;

use crate::{AugmentError, Image, Pixel, Range, ToneContract, Transform, geometry::mirror};

/// Equalises tones tile by tile, with a limit on the contrast, and blends between the tiles.
///
/// The histograms have 256 places for `u8` and 65,536 for `u16` and floating point; the planes of a stack
/// are counted together, so that equal tones of one place stay equal. Floating point is clamped to the
/// range and interpolated between two places.
///
/// With 65,536 places a tile has few pixels a place, and every limit below places ÷ pixels of a tile cuts
/// at one pixel: use larger limits than with 8 bits.
///
/// # Source
/// Zuiderveld, *Contrast limited adaptive histogram equalization*, Graphics Gems IV (1994), as OpenCV's
/// `createCLAHE`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clahe {
    /// Largest frequency of a tone in a tile, in mean frequencies, 0.01 to 65,536.
    pub clip_limit: Range,
    /// Number of tiles along rows and columns, 1 to 16 each.
    pub tiles: [usize; 2],
}

impl Default for Clahe {
    fn default() -> Self {
        Self {
            clip_limit: Range::new(1.0, 4.0),
            tiles: [8, 8],
        }
    }
}

/// The limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaheDraw {
    /// Largest frequency of a tone in a tile, in mean frequencies.
    pub clip_limit: f64,
}

const LIMITS: [f64; 2] = [0.01, 65_536.0];

impl Transform for Clahe {
    type Draw = ClaheDraw;

    fn name(&self) -> &'static str {
        "clahe"
    }

    fn check(&self) -> Result<(), ParamError> {
        let rule = "ascending, from 0.01 to 65536";
        self.clip_limit
            .check("clip_limit", LIMITS[0], LIMITS[1], rule)?;
        match self.tiles.iter().find(|tiles| !(1..=16).contains(*tiles)) {
            Some(&tiles) => Err(ParamError::new("tiles", tiles, "from 1 to 16")),
            None => Ok(()),
        }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> ClaheDraw {
        ClaheDraw {
            clip_limit: self.clip_limit.draw(rng),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &ClaheDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        let rule = "from 0.01 to 65536";
        let limit = within("clip_limit", draw.clip_limit, LIMITS[0], LIMITS[1], rule)?;
        if !T::INTEGER
            && let Some(odd) = image
                .samples()
                .iter()
                .find(|pixel| !pixel.to_unit().is_finite())
        {
            return Err(AugmentError::NotFinite {
                transform: self.name(),
                value: odd.to_unit(),
            });
        }
        let places = Places {
            levels: T::LEVELS,
            whole: T::INTEGER,
        };
        Ok(image.change_unit(|samples| {
            Tiles::new(samples.view(), self.tiles, limit, places).apply(samples);
        }))
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        ToneContract::mixed(true)
    }
}

/// The map of tones of every tile.
struct Tiles {
    /// Rows and columns of a tile.
    size: [usize; 2],
    counts: [usize; 2],
    places: Places,
    /// A value for every level of every tile, tiles in row-major order.
    maps: Vec<f32>,
}

impl Tiles {
    fn new(
        samples: ArrayView3<'_, f32>,
        counts: [usize; 2],
        clip_limit: f64,
        places: Places,
    ) -> Self {
        let (planes, rows, columns) = samples.dim();
        // An image that the tiles do not divide is mirrored at its lower and right edge.
        let even = rows % counts[0] == 0 && columns % counts[1] == 0;
        let size = if even {
            [rows / counts[0], columns / counts[1]]
        } else {
            [rows / counts[0] + 1, columns / counts[1] + 1]
        };
        let levels = places.levels;
        let area = planes * size[0] * size[1];
        let limit = ((clip_limit * area as f64 / levels as f64) as usize).max(1);
        let mut maps = Vec::with_capacity(counts[0] * counts[1] * levels);
        let mut histogram = vec![0_usize; levels];
        for tile in 0..counts[0] * counts[1] {
            let (top, left) = (tile / counts[1] * size[0], tile % counts[1] * size[1]);
            histogram.fill(0);
            for row in top..top + size[0] {
                for column in left..left + size[1] {
                    let (row, column) =
                        (mirror(row as isize, rows), mirror(column as isize, columns));
                    for pixel in samples.slice(s![.., row, column]) {
                        histogram[places.of(*pixel).round() as usize] += 1;
                    }
                }
            }
            clip(&mut histogram, limit);
            let scale = (levels - 1) as f32 / area as f32;
            let mut sum = 0;
            maps.extend(histogram.iter().map(|count| {
                sum += count;
                (sum as f32 * scale).round_ties_even()
            }));
        }
        Self {
            size,
            counts,
            places,
            maps,
        }
    }

    fn apply(&self, samples: &mut Array3<f32>) {
        let full = (self.places.levels - 1) as f32;
        let (_, rows, columns) = samples.dim();
        let neighbours = |axis: usize, length: usize| -> Vec<(usize, usize, f32)> {
            let last = self.counts[axis] as isize - 1;
            (0..length)
                .map(|at| {
                    let position = at as f32 * (1.0 / self.size[axis] as f32) - 0.5;
                    let first = position.floor();
                    let tile = |index: isize| index.clamp(0, last) as usize;
                    (
                        tile(first as isize),
                        tile(first as isize + 1),
                        position - first,
                    )
                })
                .collect()
        };
        let (down, right) = (neighbours(0, rows), neighbours(1, columns));
        for mut plane in samples.outer_iter_mut() {
            for (mut line, &(above, below, down)) in plane.outer_iter_mut().zip(&down) {
                for (pixel, &(left, next, right)) in line.iter_mut().zip(&right) {
                    let place = self.places.of(*pixel);
                    let value =
                        |row: usize, column: usize| self.at(row * self.counts[1] + column, place);
                    let upper = value(above, left) * (1.0 - right) + value(above, next) * right;
                    let lower = value(below, left) * (1.0 - right) + value(below, next) * right;
                    let blended = upper * (1.0 - down) + lower * down;
                    // Halves to even, as OpenCV rounds.
                    let value = if self.places.whole {
                        blended.round_ties_even()
                    } else {
                        blended
                    };
                    *pixel = value / full;
                }
            }
        }
    }

    /// The map of `tile` at a place, interpolated between whole ones.
    fn at(&self, tile: usize, place: f32) -> f32 {
        let levels = self.places.levels;
        let map = &self.maps[tile * levels..(tile + 1) * levels];
        let lower = place as usize;
        let rest = place - lower as f32;
        if rest == 0.0 {
            return map[lower];
        }
        map[lower] + (map[lower + 1] - map[lower]) * rest
    }
}

/// How pixels are counted.
#[derive(Clone, Copy)]
struct Places {
    levels: usize,
    /// Whether pixels are whole counts, which stand at their place exactly.
    whole: bool,
}

impl Places {
    /// Where a value of the unit scale stands among the levels.
    fn of(self, value: f32) -> f32 {
        let place = value.clamp(0.0, 1.0) * (self.levels - 1) as f32;
        let nearest = place.round();
        // A tone of 16 bits stands at its place, as far as `f32` can hold it.
        if self.whole || (place - nearest).abs() < 0.01 {
            nearest
        } else {
            place
        }
    }
}

/// Cuts the histogram at `limit` and spreads what was cut evenly, the remainder at equal distances.
fn clip(histogram: &mut [usize], limit: usize) {
    let mut cut = 0;
    for count in histogram.iter_mut() {
        cut += count.saturating_sub(limit);
        *count = (*count).min(limit);
    }
    let (each, rest) = (cut / histogram.len(), cut % histogram.len());
    for count in histogram.iter_mut() {
        *count += each;
    }
    let step = histogram.len().checked_div(rest).unwrap_or(1).max(1);
    for count in histogram.iter_mut().step_by(step).take(rest) {
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_keeps_the_number_of_pixels() {
        let mut histogram = vec![0, 10, 3, 0, 0, 0, 0, 1];
        clip(&mut histogram, 4);
        assert_eq!(histogram, [1, 5, 4, 1, 1, 1, 0, 1]);
        assert_eq!(histogram.iter().sum::<usize>(), 14);
    }

    fn differences<T: Pixel>(name: &str, pixel: impl Fn(f32) -> T) -> Vec<f32> {
        let cases = crate::reference::cases::<Params>("reference.json", name);
        let difference = |case: crate::reference::Case<Params>| {
            let image = Image::new(case.image.mapv(&pixel)).unwrap();
            let settings = Clahe {
                tiles: case.params.tiles,
                ..Clahe::default()
            };
            let draw = ClaheDraw {
                clip_limit: case.params.clip_limit,
            };
            let view = settings.apply(image, &draw).unwrap();
            let pairs = view.samples().into_iter().zip(&case.out);
            pairs
                .map(|(found, expected)| (found.to_counts() - expected).abs())
                .collect::<Vec<_>>()
        };
        cases.into_iter().flat_map(difference).collect()
    }

    #[derive(Deserialize)]
    struct Params {
        clip_limit: f64,
        tiles: [usize; 2],
    }

    #[test]
    fn agrees_with_opencv_at_8_and_16_bits() {
        let found = differences("clahe_u8", |value| value as u8);
        assert!(found.len() > 10_000 && found.iter().all(|&difference| difference == 0.0));
        let found = differences("clahe_u16", |value| value as u16);
        assert!(found.len() > 5_000 && found.iter().all(|&difference| difference == 0.0));
    }

    #[test]
    fn floating_point_goes_the_way_of_16_bits() {
        let stack = Array3::from_shape_fn((1, 32, 32), |(_, r, c)| {
            (20_000 + 37 * ((r * 5 + c * 11) % 97)) as u16
        });
        let clahe = Clahe {
            tiles: [2, 2],
            ..Clahe::default()
        };
        let draw = ClaheDraw { clip_limit: 200.0 };
        let image = Image::new(&stack).unwrap();
        let view = clahe.apply(image.view(), &draw).unwrap();
        let unit = clahe.apply(image.view().into_unit(), &draw).unwrap();
        for (unit, &stored) in unit.samples().iter().zip(view.samples()) {
            assert!((unit - stored.to_unit()).abs() < 2.0 / 65_535.0);
        }
    }
}
