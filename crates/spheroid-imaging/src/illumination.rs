use ndarray::{Array2, ArrayView2, Axis, Zip};

use crate::ImagingError;

/// Number of terms of a polynomial of degree 2 in two variables.
const TERMS: usize = 6;
/// At most this many blocks along either side of the frame.
const GRID: usize = 64;

/// The smooth light behind a bright-field plane: what the frame would show without a specimen.
///
/// A polynomial of degree 2 in row and column, which holds the gain of the lamp, a slope of the
/// light and vignetting. It is fitted to the means of at most 64 × 64 blocks, in two steps that
/// take the specimen for what it is, darker than the light:
///
/// 1. quantile regressions at 0.8 lay a level, a plane and the curved surface through the bright
///    blocks in turn, so that more than half of the frame may be dark (spheroid, debris, the wall
///    of the well);
/// 2. least squares over the blocks close to the surface, repeated until the choice is stable,
///    removes the bias of the quantile and leaves out bright rims.
///
/// # Example
/// ```
/// use ndarray::Array2;
/// use spheroid_imaging::Background;
///
/// // Light that falls from left to right, and a dark square in it.
/// let plane = Array2::from_shape_fn((90, 120), |(row, column)| {
///     let light = 0.8 - 0.002 * column as f32;
///     if row.abs_diff(45) < 20 && column.abs_diff(60) < 20 { 0.4 * light } else { light }
/// });
/// let background = Background::estimate(plane.view())?;
/// assert!((background.at(45, 60) - 0.68).abs() < 1e-3);
/// # Ok::<(), spheroid_imaging::ImagingError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Background {
    /// Of 1, x, y, x², xy, y², with x and y from −1 to 1 over the frame.
    coefficients: [f64; TERMS],
    rows: usize,
    columns: usize,
}

impl Background {
    /// Estimates the background of `plane`, in any unit of intensity.
    ///
    /// # Errors
    /// When the plane is empty, a pixel is not finite, or the fitted light is not above 0 all over
    /// the frame, as for a picture taken with the lamp off.
    pub fn estimate(plane: ArrayView2<'_, f32>) -> Result<Self, ImagingError> {
        let (rows, columns) = plane.dim();
        if plane.is_empty() {
            return Err(ImagingError::Empty {
                planes: 1,
                rows,
                columns,
            });
        }
        let blocks = block_means(plane)?;
        let coefficients = fit(&blocks);
        let background = Self {
            coefficients,
            rows,
            columns,
        };
        let lowest = background.lowest();
        if lowest.is_finite() && lowest > 0.0 {
            Ok(background)
        } else {
            Err(ImagingError::NoBackground { lowest })
        }
    }

    /// Background at a pixel.
    pub fn at(&self, row: usize, column: usize) -> f64 {
        let basis = basis(
            centred(row as f64, self.rows),
            centred(column as f64, self.columns),
        );
        dot(&self.coefficients, &basis)
    }

    /// Background at every pixel.
    pub fn image(&self) -> Array2<f32> {
        let mut image = Array2::zeros((self.rows, self.columns));
        for (row, mut values) in image.rows_mut().into_iter().enumerate() {
            let [constant, linear, square] = self.along_row(row);
            for (column, value) in values.iter_mut().enumerate() {
                let x = column as f32;
                *value = constant + x * (linear + x * square);
            }
        }
        image
    }

    /// `plane` divided by the background.
    ///
    /// # Errors
    /// When the plane has another size than that of the estimate.
    pub fn divide_out(&self, plane: ArrayView2<'_, f32>) -> Result<Array2<f32>, ImagingError> {
        let (rows, columns) = plane.dim();
        if (rows, columns) != (self.rows, self.columns) {
            return Err(ImagingError::Shape {
                expected_rows: self.rows,
                expected_columns: self.columns,
                rows,
                columns,
            });
        }
        let mut flat = self.image();
        Zip::from(&mut flat)
            .and(plane)
            .for_each(|value, &intensity| *value = intensity / *value);
        Ok(flat)
    }

    /// Constant, linear and square coefficient of the background along a row, in the column index.
    fn along_row(&self, row: usize) -> [f32; 3] {
        let [one, x, y, xx, xy, yy] = self.coefficients;
        let v = centred(row as f64, self.rows);
        // u = a + b · column
        let b = if self.columns > 1 {
            2.0 / (self.columns - 1) as f64
        } else {
            0.0
        };
        let a = centred(0.0, self.columns);
        let (constant, linear) = (one + v * (y + v * yy), x + v * xy);
        [
            (constant + a * (linear + a * xx)) as f32,
            (b * (linear + 2.0 * a * xx)) as f32,
            (b * b * xx) as f32,
        ]
    }

    /// Smallest value on a grid that includes the corners.
    fn lowest(&self) -> f64 {
        let steps = || (0..=16).map(|step| f64::from(step) / 8.0 - 1.0);
        steps()
            .flat_map(|v| steps().map(move |u| dot(&self.coefficients, &basis(v, u))))
            .fold(f64::INFINITY, f64::min)
    }
}

/// `plane` divided by its estimated [`Background`]: background about 1, whatever the lamp.
///
/// # Errors
/// As [`Background::estimate`].
pub fn flatten(plane: ArrayView2<'_, f32>) -> Result<Array2<f32>, ImagingError> {
    Background::estimate(plane)?.divide_out(plane)
}

/// Mean intensity of a block and the polynomial terms at its centre.
struct Block {
    basis: [f64; TERMS],
    mean: f64,
}

impl Block {
    fn residual(&self, surface: &[f64; TERMS]) -> f64 {
        self.mean - dot(surface, &self.basis)
    }
}

fn block_means(plane: ArrayView2<'_, f32>) -> Result<Vec<Block>, ImagingError> {
    let (rows, columns) = plane.dim();
    let (down, across) = (rows.min(GRID), columns.min(GRID));
    let row_edge = |i: usize| i * rows / down;
    let column_edge = |j: usize| j * columns / across;
    let mut blocks = Vec::with_capacity(down * across);
    let mut column_sums = vec![0.0_f32; columns];
    for i in 0..down {
        let (top, bottom) = (row_edge(i), row_edge(i + 1));
        column_sums.fill(0.0);
        for row in plane.axis_iter(Axis(0)).skip(top).take(bottom - top) {
            for (sum, &value) in column_sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
        for j in 0..across {
            let (left, right) = (column_edge(j), column_edge(j + 1));
            let sum: f64 = column_sums[left..right]
                .iter()
                .map(|&sum| f64::from(sum))
                .sum();
            let mean = sum / ((bottom - top) * (right - left)) as f64;
            let v = centred((top + bottom - 1) as f64 / 2.0, rows);
            let u = centred((left + right - 1) as f64 / 2.0, columns);
            blocks.push(Block {
                basis: basis(v, u),
                mean,
            });
        }
    }
    if blocks.iter().all(|block| block.mean.is_finite()) {
        return Ok(blocks);
    }
    let culprit = plane.indexed_iter().find(|(_, value)| !value.is_finite());
    // Without a culprit the sums overflowed: name the largest value instead.
    let ((row, column), &value) = culprit
        .or_else(|| {
            plane
                .indexed_iter()
                .max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))
        })
        .expect("an empty plane was refused");
    Err(ImagingError::NotFinite { row, column, value })
}

/// Position of a pixel from −1 at the first to 1 at the last of `pixels`; 0 for a single one.
fn centred(position: f64, pixels: usize) -> f64 {
    if pixels > 1 {
        2.0 * position / (pixels - 1) as f64 - 1.0
    } else {
        0.0
    }
}

fn basis(v: f64, u: f64) -> [f64; TERMS] {
    [1.0, u, v, u * u, u * v, v * v]
}

fn dot(a: &[f64; TERMS], b: &[f64; TERMS]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn fit(blocks: &[Block]) -> [f64; TERMS] {
    /// Terms of each surface that is laid through the bright blocks, and how far from the surface
    /// before, in shares of it, a block may lie to count. Freedom grows only as the specimen is
    /// left out: a curved surface would at once bend down into a large spheroid.
    const STAGES: [(usize, f64); 3] = [(1, f64::INFINITY), (3, 0.35), (6, 0.2)];
    /// Share of the blocks that lie below these surfaces.
    const QUANTILE: f64 = 0.8;
    const QUANTILE_STEPS: usize = 30;
    const SELECTION_STEPS: usize = 20;
    /// Blocks within this many standard deviations of the surface are background.
    const WIDTH: f64 = 3.0;
    /// Relative deviation below which a block is background however quiet the others are.
    const LEAST_DEVIATION: f64 = 0.002;
    /// Share of blocks whose deviations set the first scale; more are background.
    const CLOSEST: f64 = 0.3;
    /// The 0.3 quantile of |z| of a standard normal z.
    const CLOSEST_IN_SIGMAS: f64 = 0.385;

    let scale = blocks
        .iter()
        .map(|block| block.mean.abs())
        .fold(0.0, f64::max);
    if scale == 0.0 {
        return [0.0; TERMS];
    }
    let mut coefficients = [0.0; TERMS];
    for (terms, band) in STAGES {
        let before = coefficients;
        for step in 0..QUANTILE_STEPS {
            let surface = coefficients;
            coefficients = least_squares(blocks, terms, |block| {
                if block.residual(&before).abs() > band * dot(&before, &block.basis).abs() {
                    return 0.0;
                }
                let residual = block.residual(&surface);
                let side = if residual > 0.0 {
                    QUANTILE
                } else {
                    1.0 - QUANTILE
                };
                if step == 0 {
                    1.0
                } else {
                    side / residual.abs().max(1e-4 * scale)
                }
            });
        }
    }

    let mut deviations: Vec<f64> = blocks
        .iter()
        .map(|block| block.residual(&coefficients).abs())
        .collect();
    deviations.sort_by(f64::total_cmp);
    let closest = deviations[(CLOSEST * (deviations.len() - 1) as f64) as usize];
    let least = LEAST_DEVIATION * scale;
    let mut sigma = (closest / CLOSEST_IN_SIGMAS).max(least);
    for _ in 0..SELECTION_STEPS {
        let (surface, width) = (coefficients, WIDTH * sigma);
        let near = |block: &&Block| block.residual(&surface).abs() <= width;
        if !blocks.iter().any(|block| near(&block)) {
            break;
        }
        coefficients = least_squares(blocks, TERMS, |block| if near(&block) { 1.0 } else { 0.0 });
        if coefficients == surface {
            break;
        }
        let (sum, kept) = blocks
            .iter()
            .filter(near)
            .fold((0.0, 0.0), |(sum, kept), block| {
                (sum + block.residual(&coefficients).powi(2), kept + 1.0)
            });
        sigma = f64::sqrt(sum / kept).max(least);
    }
    coefficients
}

/// Weighted least squares of the first `terms` terms by the normal equations; the others are 0.
///
/// A ridge of 10⁻⁹ of the total weight holds terms at 0 that the blocks do not determine, such as
/// the curvature of a plane of two rows.
fn least_squares(blocks: &[Block], terms: usize, weight: impl Fn(&Block) -> f64) -> [f64; TERMS] {
    let mut normal = [[0.0; TERMS + 1]; TERMS];
    let mut total = 0.0;
    for block in blocks {
        let weight = weight(block);
        total += weight;
        for (row, &term) in normal.iter_mut().zip(&block.basis[..terms]) {
            let weighted = weight * term;
            for (slot, &other) in row.iter_mut().zip(&block.basis[..terms]) {
                *slot += weighted * other;
            }
            row[TERMS] += weighted * block.mean;
        }
    }
    for (diagonal, row) in normal.iter_mut().enumerate().skip(1) {
        row[diagonal] += 1e-9 * total;
    }
    solve(normal)
}

/// Solves a symmetric positive definite system, given with its right-hand side as last column, by
/// Gaussian elimination; the order of the pivots does not matter for such a system.
fn solve(mut system: [[f64; TERMS + 1]; TERMS]) -> [f64; TERMS] {
    for pivot in 0..TERMS {
        let pivot_row = system[pivot];
        if pivot_row[pivot] == 0.0 {
            continue;
        }
        for (index, row) in system.iter_mut().enumerate() {
            if index != pivot {
                let factor = row[pivot] / pivot_row[pivot];
                for (slot, above) in row.iter_mut().zip(&pivot_row) {
                    *slot -= factor * above;
                }
            }
        }
    }
    std::array::from_fn(|i| {
        if system[i][i] == 0.0 {
            0.0
        } else {
            system[i][TERMS] / system[i][i]
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    /// Vignetted, sloping light of a 12-bit camera with noise, and what a closure takes from it.
    fn scene(
        (rows, columns): (usize, usize),
        transmitted: impl Fn(f64, f64) -> f64,
    ) -> (Array2<f32>, Array2<f32>) {
        let mut state = 7_u32;
        let light = Array2::from_shape_fn((rows, columns), |(row, column)| {
            let (v, u) = (centred(row as f64, rows), centred(column as f64, columns));
            (0.6 * (1.0 + 0.10 * u - 0.05 * v - 0.12 * (u * u + v * v))) as f32
        });
        let plane = Array2::from_shape_fn((rows, columns), |(row, column)| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = f64::from(state >> 8) / f64::from(1_u32 << 24) - 0.5;
            let (v, u) = (centred(row as f64, rows), centred(column as f64, columns));
            (f64::from(light[[row, column]]) * transmitted(v, u) * (1.0 + 0.03 * noise)) as f32
        });
        (plane, light)
    }

    fn worst(plane: &Array2<f32>, light: &Array2<f32>) -> f32 {
        let background = Background::estimate(plane.view()).unwrap().image();
        let ratios = &background / light;
        ratios
            .iter()
            .fold(0.0, |worst, ratio| (ratio - 1.0).abs().max(worst))
    }

    #[test]
    fn light_is_found_without_specimen() {
        let (plane, light) = scene((205, 246), |_, _| 1.0);
        assert!(worst(&plane, &light) < 0.01);
    }

    #[test]
    fn a_spheroid_over_half_of_the_frame_is_not_background() {
        // Area of the ellipse: π/4 · 0.64 = 0.5 of the frame.
        let (plane, light) = scene(
            (205, 246),
            |v, u| if u * u + v * v < 0.64 { 0.35 } else { 1.0 },
        );
        assert!(worst(&plane, &light) < 0.02, "{}", worst(&plane, &light));
    }

    #[test]
    fn a_dark_wall_in_the_corners_and_a_bright_rim_are_not_background() {
        let (plane, light) = scene((205, 246), |v, u| {
            let r = (u * u + v * v).sqrt();
            match r {
                r if r < 0.45 => 0.4,
                r if r < 0.49 => 1.15,
                r if r > 1.15 => 0.3,
                _ => 1.0,
            }
        });
        assert!(worst(&plane, &light) < 0.02, "{}", worst(&plane, &light));
    }

    #[test]
    fn flattening_is_blind_to_gain() {
        let (plane, _) = scene(
            (120, 100),
            |v, u| if u * u + v * v < 0.3 { 0.4 } else { 1.0 },
        );
        let once = flatten(plane.view()).unwrap();
        let twice = flatten(plane.mapv(|v| v * 1.7).view()).unwrap();
        for (a, b) in once.iter().zip(&twice) {
            assert_abs_diff_eq!(a, b, epsilon = 1e-4);
        }
        let edge_mean = once.row(0).mean().unwrap();
        assert_abs_diff_eq!(edge_mean, 1.0, epsilon = 0.01);
    }

    #[test]
    fn image_and_single_pixels_agree() {
        let (plane, _) = scene((31, 47), |_, _| 1.0);
        let background = Background::estimate(plane.view()).unwrap();
        let image = background.image();
        for (row, column) in [(0, 0), (30, 46), (15, 20)] {
            assert_abs_diff_eq!(
                f64::from(image[[row, column]]),
                background.at(row, column),
                epsilon = 1e-6
            );
        }
    }

    #[test]
    fn the_smallest_planes_are_flat() {
        for shape in [(1, 1), (1, 9), (9, 1), (2, 2)] {
            let flat = flatten(Array2::from_elem(shape, 0.3).view()).unwrap();
            assert!(
                flat.iter().all(|v| (v - 1.0).abs() < 1e-5),
                "{shape:?}: {flat}"
            );
        }
    }

    #[test]
    fn planes_without_light_or_with_holes_are_refused() {
        let dark = Array2::zeros((20, 20));
        let error = flatten(dark.view()).unwrap_err();
        assert!(
            matches!(error, ImagingError::NoBackground { lowest: 0.0 }),
            "{error}"
        );
        for bad in [f32::NAN, f32::INFINITY] {
            let mut plane = Array2::from_elem((20, 30), 0.5);
            plane[[3, 17]] = bad;
            let error = flatten(plane.view()).unwrap_err();
            assert!(
                matches!(
                    error,
                    ImagingError::NotFinite {
                        row: 3,
                        column: 17,
                        ..
                    }
                ),
                "{error}"
            );
        }
        let empty = Array2::zeros((0, 4));
        assert!(matches!(
            flatten(empty.view()),
            Err(ImagingError::Empty { .. })
        ));
        let background = Background::estimate(Array2::ones((4, 4)).view()).unwrap();
        let error = background
            .divide_out(Array2::ones((4, 5)).view())
            .unwrap_err();
        assert_eq!(error.to_string(), "expected 4 × 4 pixels, got 4 × 5");
    }
}
