use std::fmt;

use ndarray::{ArrayView2, ArrayView3, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{FocalStack, ImagingError, Sample, sample::with_samples};

/// A measure of how sharp a plane is: large in focus, small when blurred.
///
/// Values compare only among planes of one size, exposure and magnification. Intensities are taken
/// as stored, in `f32`; beyond the frame the nearest pixel is repeated.
///
/// # Source
/// Pertuz, Puig and Garcia, *Analysis of focus measure operators for shape-from-focus*, Pattern
/// Recognition 46 (2013), doi:10.1016/j.patcog.2012.11.011; their names in brackets.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FocusMeasure {
    /// Mean of `√(gx² + gy²)`, counts a pixel; central differences, one-sided at the edges, as
    /// `numpy.gradient` takes them. Weighs an edge by its height, not by its square, so that a speck
    /// of dirt on one plane does not decide.
    #[default]
    MeanGradient,
    /// Mean of `gx² + gy²`, counts²; Sobel's gradients without a factor (GRAT, Tenenbaum 1970).
    Tenengrad,
    /// Variance of the Laplacian with four neighbours, counts² (LAPV, Pech-Pacheco 2000). The
    /// sharpest in rank and the most troubled by noise.
    VarianceOfLaplacian,
    /// Mean of `(I(row, column + 2) − I(row, column))²`, counts² (BREN, Brenner 1976).
    Brenner,
    /// Variance of the intensities over their mean, counts (GLVN, Groen 1985). Knows nothing of
    /// neighbours: a change of light changes it.
    NormalisedVariance,
}

impl FocusMeasure {
    /// All measures.
    pub const ALL: [Self; 5] = [
        Self::MeanGradient,
        Self::Tenengrad,
        Self::VarianceOfLaplacian,
        Self::Brenner,
        Self::NormalisedVariance,
    ];

    /// Measures one plane.
    ///
    /// # Errors
    /// This returns an error when:
    /// * the plane has fewer than two rows or columns, or three columns for `Brenner`;
    /// * a pixel is not finite, or so large that the measure overflows;
    /// * the mean is not above 0, for `NormalisedVariance`.
    ///
    /// # Example
    /// ```
    /// use ndarray::arr2;
    /// use spheroid_imaging::FocusMeasure;
    ///
    /// let ramp = arr2(&[[0.0_f32, 3.0, 6.0], [4.0, 7.0, 10.0]]);
    /// assert_eq!(FocusMeasure::MeanGradient.of_plane(ramp.view())?, 5.0);
    /// assert_eq!(FocusMeasure::Brenner.of_plane(ramp.view())?, 36.0);
    /// # Ok::<(), spheroid_imaging::ImagingError>(())
    /// ```
    pub fn of_plane<T: Sample>(self, plane: ArrayView2<'_, T>) -> Result<f64, ImagingError> {
        let (rows, columns) = plane.dim();
        let least = if self == Self::Brenner { 3 } else { 2 };
        if rows < 2 || columns < least {
            return Err(ImagingError::TooSmall {
                what: "a measure of focus",
                rows,
                columns,
                least,
            });
        }
        let pixels = (rows * columns) as f64;
        let value = match self {
            Self::MeanGradient => {
                let mut sum = 0.0;
                let mut magnitudes = vec![0.0; columns];
                for_each_row(plane, Edge::Extrapolated, |[above, here, below]| {
                    let gx = here[2..]
                        .iter()
                        .zip(here)
                        .map(|(right, left)| 0.5 * (right - left));
                    let gy = below[1..]
                        .iter()
                        .zip(&above[1..])
                        .map(|(below, above)| 0.5 * (below - above));
                    for ((out, gx), gy) in magnitudes.iter_mut().zip(gx).zip(gy) {
                        *out = (gx * gx + gy * gy).sqrt();
                    }
                    sum += sum_of(&magnitudes);
                });
                sum / pixels
            }
            Self::Tenengrad => {
                let mut sum = 0.0;
                let mut energies = vec![0.0; columns];
                for_each_row(plane, Edge::Repeated, |[above, here, below]| {
                    for (column, out) in energies.iter_mut().enumerate() {
                        let at = |row: &[f32], offset: usize| row[column + offset];
                        let gx = (at(above, 2) - at(above, 0))
                            + 2.0 * (at(here, 2) - at(here, 0))
                            + (at(below, 2) - at(below, 0));
                        let gy = (at(below, 0) - at(above, 0))
                            + 2.0 * (at(below, 1) - at(above, 1))
                            + (at(below, 2) - at(above, 2));
                        *out = gx * gx + gy * gy;
                    }
                    sum += sum_of(&energies);
                });
                sum / pixels
            }
            Self::VarianceOfLaplacian => {
                let (mut sum, mut squares) = (0.0, 0.0);
                let mut laplacian = vec![0.0; columns];
                for_each_row(plane, Edge::Repeated, |[above, here, below]| {
                    for (column, out) in laplacian.iter_mut().enumerate() {
                        let sides = here[column] + here[column + 2];
                        let ends = above[column + 1] + below[column + 1];
                        *out = sides + ends - 4.0 * here[column + 1];
                    }
                    sum += sum_of(&laplacian);
                    squares += sum_of_squares(&laplacian);
                });
                let mean = sum / pixels;
                not_negative(squares / pixels - mean * mean)
            }
            Self::Brenner => {
                let mut sum = 0.0;
                let mut differences = vec![0.0; columns - 2];
                for_each_row(plane, Edge::Repeated, |[_, here, _]| {
                    let here = &here[1..=columns];
                    for ((out, right), left) in differences.iter_mut().zip(&here[2..]).zip(here) {
                        *out = right - left;
                    }
                    sum += sum_of_squares(&differences);
                });
                sum / (rows * (columns - 2)) as f64
            }
            Self::NormalisedVariance => {
                // Around the first pixel, so that nothing cancels.
                let origin = plane[(0, 0)].to_f64();
                let (mut sum, mut squares) = (0.0, 0.0);
                for row in plane.rows() {
                    for sample in row {
                        let value = sample.to_f64() - origin;
                        sum += value;
                        squares += value * value;
                    }
                }
                let mean = sum / pixels;
                let variance = not_negative(squares / pixels - mean * mean);
                let mean = mean + origin;
                if mean <= 0.0 {
                    return Err(ImagingError::NoIntensity { mean });
                }
                variance / mean
            }
        };
        if value.is_finite() {
            Ok(value)
        } else {
            Err(not_finite(plane))
        }
    }
}

impl fmt::Display for FocusMeasure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MeanGradient => "mean gradient",
            Self::Tenengrad => "Tenengrad",
            Self::VarianceOfLaplacian => "variance of Laplacian",
            Self::Brenner => "Brenner",
            Self::NormalisedVariance => "normalised variance",
        })
    }
}

/// How sharp each plane of a stack is, in the order of the planes.
///
/// # Errors
/// As [`FocusMeasure::of_plane`].
pub fn focus_profile(stack: &FocalStack, measure: FocusMeasure) -> Result<Vec<f64>, ImagingError> {
    with_samples!(stack.samples(), array => profile(array.view(), measure))
}

/// Index of the plane with the greatest [mean gradient](FocusMeasure::MeanGradient); the first of
/// equals.
///
/// # Errors
/// As [`FocusMeasure::of_plane`].
pub fn sharpest_plane(stack: &FocalStack) -> Result<usize, ImagingError> {
    with_samples!(stack.samples(), array => sharpest_of(array.view()))
}

/// As [`sharpest_plane`], of samples `[plane, row, column]` that are no [`FocalStack`]; at least one plane.
///
/// # Errors
/// As those.
pub fn sharpest_of<T: Sample>(samples: ArrayView3<'_, T>) -> Result<usize, ImagingError> {
    let mut sharpest = (0, f64::NEG_INFINITY);
    for (plane, value) in profile(samples, FocusMeasure::MeanGradient)?
        .into_iter()
        .enumerate()
    {
        if value > sharpest.1 {
            sharpest = (plane, value);
        }
    }
    Ok(sharpest.0)
}

fn profile<T: Sample>(
    samples: ArrayView3<'_, T>,
    measure: FocusMeasure,
) -> Result<Vec<f64>, ImagingError> {
    let planes = (0..samples.len_of(Axis(0))).into_par_iter();
    planes
        .map(|plane| measure.of_plane(samples.index_axis(Axis(0), plane)))
        .collect()
}

/// What lies beyond the frame.
#[derive(Clone, Copy, PartialEq)]
enum Edge {
    /// The nearest pixel.
    Repeated,
    /// The straight line through the two nearest, which makes central differences one-sided.
    Extrapolated,
}

impl Edge {
    fn beyond(self, nearest: f32, next: f32) -> f32 {
        match self {
            Self::Repeated => nearest,
            Self::Extrapolated => 2.0 * nearest - next,
        }
    }
}

/// Hands out every row with those above and below, in `f32` and with a pixel more at either end, so
/// that inner loops know no edges.
fn for_each_row<T: Sample>(
    plane: ArrayView2<'_, T>,
    edge: Edge,
    mut visit: impl FnMut([&[f32]; 3]),
) {
    let (rows, columns) = plane.dim();
    let load = |row: usize, out: &mut [f32]| {
        for (out, sample) in out[1..=columns].iter_mut().zip(plane.row(row)) {
            *out = sample.to_f64() as f32;
        }
        out[0] = edge.beyond(out[1], out[2]);
        out[columns + 1] = edge.beyond(out[columns], out[columns - 1]);
    };
    let beyond = |nearest: &[f32], next: &[f32]| -> Vec<f32> {
        let pairs = nearest.iter().zip(next);
        pairs
            .map(|(&nearest, &next)| edge.beyond(nearest, next))
            .collect()
    };
    let mut here = vec![0.0; columns + 2];
    let mut below = here.clone();
    load(0, &mut here);
    load(1, &mut below);
    let mut above = beyond(&here, &below);
    for row in 0..rows {
        visit([&above, &here, &below]);
        std::mem::swap(&mut above, &mut here);
        std::mem::swap(&mut here, &mut below);
        if row + 2 < rows {
            load(row + 2, &mut below);
        } else {
            below = beyond(&here, &above);
        }
    }
}

/// Zero for what rounding made negative. Unlike `max` it keeps NaN.
fn not_negative(value: f64) -> f64 {
    if value < 0.0 { 0.0 } else { value }
}

const LANES: usize = 8;

/// In `f64` and in lanes, whose order is fixed.
fn sum_of(values: &[f32]) -> f64 {
    sum_of_mapped(values, f64::from)
}

fn sum_of_squares(values: &[f32]) -> f64 {
    sum_of_mapped(values, |value| f64::from(value) * f64::from(value))
}

fn sum_of_mapped(values: &[f32], map: impl Fn(f32) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest: f64 = chunks.remainder().iter().map(|&value| map(value)).sum();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += map(value);
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// The pixel that is not finite or, where the measure itself overflowed, the largest.
fn not_finite<T: Sample>(plane: ArrayView2<'_, T>) -> ImagingError {
    let pixels = || {
        plane
            .indexed_iter()
            .map(|(at, sample)| (at, sample.to_f64()))
    };
    let ((row, column), value) = pixels()
        .find(|(_, value)| !value.is_finite())
        .or_else(|| pixels().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())))
        .expect("the plane has at least two rows and columns");
    let value = value as f32;
    ImagingError::NotFinite { row, column, value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Samples;
    use ndarray::{Array2, Array3, arr2, s};
    use serde::Deserialize;
    use spheroid_testkit::{Tolerance, assert_close, json_fixture};

    #[derive(Deserialize)]
    struct Measures {
        gradients: Vec<Gradient>,
    }

    #[derive(Deserialize)]
    struct Gradient {
        shape: [usize; 2],
        values: Vec<f32>,
        sharpness: f64,
    }

    fn sharpness(plane: ArrayView2<'_, f32>) -> Result<f64, ImagingError> {
        FocusMeasure::MeanGradient.of_plane(plane)
    }

    #[derive(Deserialize)]
    struct Focus {
        shape: [usize; 2],
        values: Vec<u16>,
        measures: std::collections::BTreeMap<FocusMeasure, f64>,
    }

    #[test]
    fn measures_are_those_of_scipy() {
        let planes: Vec<Focus> = json_fixture(env!("CARGO_MANIFEST_DIR"), "focus.json");
        assert_eq!(planes.len(), 4);
        for Focus {
            shape,
            values,
            measures,
        } in planes
        {
            let plane = Array2::from_shape_vec(shape, values).unwrap();
            assert_eq!(measures.len(), 5);
            for (measure, expected) in measures {
                let found = measure.of_plane(plane.view()).unwrap();
                assert_close(&[found], &[expected], Tolerance::F32);
            }
        }
    }

    #[test]
    fn every_measure_falls_with_blur() {
        let mut state = 3_u32;
        let sharp = Array2::from_shape_simple_fn((40, 50), || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            1000.0 + (state >> 24) as f32
        });
        let blurred = Array2::from_shape_fn((40, 50), |(row, column)| {
            let window = sharp.slice(s![
                row.saturating_sub(1)..(row + 2).min(40),
                column.saturating_sub(1)..(column + 2).min(50)
            ]);
            window.mean().unwrap()
        });
        let stack = ndarray::stack(Axis(0), &[blurred.view(), sharp.view()]).unwrap();
        let stack = FocalStack::new(Samples::F32(stack)).unwrap();
        for measure in FocusMeasure::ALL {
            let profile = focus_profile(&stack, measure).unwrap();
            assert!(profile[0] < 0.5 * profile[1], "{measure}: {profile:?}");
        }
    }

    #[test]
    fn no_measure_takes_what_is_no_number() {
        let infinite = f32::INFINITY;
        for measure in FocusMeasure::ALL {
            for value in [f32::NAN, infinite, -infinite] {
                let mut plane = Array2::from_elem((5, 6), 0.5);
                plane[(2, 3)] = value;
                let result = measure.of_plane(plane.view());
                assert!(
                    matches!(
                        result,
                        Err(ImagingError::NotFinite {
                            row: 2,
                            column: 3,
                            ..
                        })
                    ) || matches!(result, Err(ImagingError::NoIntensity { .. })) && value < 0.0,
                    "{measure} of {value}: {result:?}"
                );
            }
        }
    }

    #[test]
    fn black_planes_have_no_normalised_variance() {
        let error = FocusMeasure::NormalisedVariance.of_plane(Array2::<u8>::zeros((3, 3)).view());
        assert!(
            matches!(error, Err(ImagingError::NoIntensity { .. })),
            "{error:?}"
        );
        let narrow = FocusMeasure::Brenner.of_plane(Array2::<u8>::zeros((3, 2)).view());
        assert!(
            matches!(narrow, Err(ImagingError::TooSmall { least: 3, .. })),
            "{narrow:?}"
        );
    }

    #[test]
    fn gradients_are_those_of_numpy() {
        let Measures { gradients } = json_fixture(env!("CARGO_MANIFEST_DIR"), "measures.json");
        assert_eq!(gradients.len(), 4);
        for Gradient {
            shape,
            values,
            sharpness: expected,
        } in gradients
        {
            let plane = Array2::from_shape_vec(shape, values).unwrap();
            let found = FocusMeasure::MeanGradient.of_plane(plane.view()).unwrap();
            assert_close(&[found], &[expected], Tolerance::F32);
            let turned = FocusMeasure::MeanGradient.of_plane(plane.t()).unwrap();
            assert_close(&[turned], &[expected], Tolerance::F32);
        }
    }

    #[test]
    fn a_constant_plane_has_no_gradient() {
        assert_eq!(
            sharpness(Array2::from_elem((4, 5), 0.7_f32).view()).unwrap(),
            0.0
        );
    }

    #[test]
    fn the_plane_with_the_finest_detail_is_the_sharpest() {
        let mut samples = Array3::from_elem((4, 16, 16), 1000_u16);
        for plane in [1, 2] {
            samples.slice_mut(s![plane, .., ..;2]).fill(1400);
        }
        samples.slice_mut(s![3, .., 8..]).fill(1400);
        // Columns that alternate have central differences of 0 inside the frame.
        let stack = FocalStack::new(Samples::U16(samples.clone())).unwrap();
        assert_eq!(sharpest_plane(&stack).unwrap(), 1);
        samples.slice_mut(s![1..3, .., ..]).fill(1000);
        let stack = FocalStack::new(Samples::U16(samples.clone())).unwrap();
        assert_eq!(sharpest_plane(&stack).unwrap(), 3);
        let bytes = samples.mapv(|v| (v / 100) as u8);
        assert_eq!(
            sharpest_plane(&FocalStack::new(Samples::U8(bytes)).unwrap()).unwrap(),
            3
        );
    }

    #[test]
    fn of_equals_the_first_is_taken() {
        let stack = FocalStack::new(Samples::U8(Array3::zeros((3, 2, 2)))).unwrap();
        assert_eq!(sharpest_plane(&stack).unwrap(), 0);
    }

    #[test]
    fn planes_without_a_gradient_are_refused() {
        for shape in [(0, 3), (1, 3), (3, 1)] {
            let error = sharpness(Array2::zeros(shape).view()).unwrap_err();
            assert!(
                matches!(error, ImagingError::TooSmall { least: 2, .. }),
                "{error}"
            );
        }
        let error = sharpness(arr2(&[[0.0, 1.0], [f32::NAN, 1.0]]).view()).unwrap_err();
        assert!(
            matches!(
                error,
                ImagingError::NotFinite {
                    row: 1,
                    column: 0,
                    ..
                }
            ),
            "{error}"
        );
        let far = arr2(&[[f32::MAX, f32::MIN], [0.0, 0.0]]);
        assert!(matches!(
            sharpness(far.view()),
            Err(ImagingError::NotFinite { .. })
        ));
    }
}
