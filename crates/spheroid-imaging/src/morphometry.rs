use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_4, PI};

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use crate::{ImagingError, Segmentation};

/// Size, shape and darkness of a segmented spheroid: what a laboratory measures by hand.
///
/// # Units
/// Lengths in pixels of the original plane, areas in their squares.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Morphometry {
    /// Area of the mask, px².
    pub area: f64,
    /// Length of its outline, px, by the Crofton formula in four directions.
    pub perimeter: f64,
    /// 4π · area / perimeter²: 1 for a disc, less for any other shape. On a pixel grid a disc
    /// gives 1 within a few per cent, on either side.
    pub circularity: f64,
    /// Diameter of the disc of the same area, px.
    pub equivalent_diameter: f64,
    /// Row and column of the centre of area, where `(0, 0)` is the centre of the first pixel.
    pub centroid: (f64, f64),
    /// Mean intensity inside the mask relative to the background: 1 is as bright, 0 is black.
    pub mean_intensity: f64,
}

impl Morphometry {
    /// Measures the spheroid that `segmentation` found in the flattened plane `flat`.
    ///
    /// # Errors
    /// When the segmentation is empty, `flat` is not of the size of the segmented plane, or a pixel
    /// inside the mask is not finite.
    ///
    /// # Example
    /// ```
    /// use ndarray::Array2;
    /// use spheroid_imaging::{Morphometry, segment};
    ///
    /// let flat = Array2::from_shape_fn((200, 240), |(row, column)| {
    ///     let r = (row as f32 - 99.5).hypot(column as f32 - 119.5);
    ///     if r < 40.0 { 0.4 } else { 1.0 }
    /// });
    /// let spheroid = Morphometry::measure(&segment(flat.view())?, flat.view())?;
    /// assert!((spheroid.equivalent_diameter - 80.0).abs() < 1.0);
    /// assert!((spheroid.circularity - 1.0).abs() < 0.05);
    /// # Ok::<(), spheroid_imaging::ImagingError>(())
    /// ```
    pub fn measure(
        segmentation: &Segmentation,
        flat: ArrayView2<'_, f32>,
    ) -> Result<Self, ImagingError> {
        let Segmentation {
            mask,
            scale,
            rows,
            columns,
            ..
        } = segmentation;
        if flat.dim() != (*rows, *columns) {
            let (expected_rows, expected_columns) = (*rows, *columns);
            let (rows, columns) = flat.dim();
            return Err(ImagingError::Shape {
                expected_rows,
                expected_columns,
                rows,
                columns,
            });
        }
        let (mut pixels, mut row_sum, mut column_sum) = (0.0, 0.0, 0.0);
        for ((row, column), _) in mask.indexed_iter().filter(|&(_, &inside)| inside) {
            pixels += 1.0;
            row_sum += row as f64 + 0.5;
            column_sum += column as f64 + 0.5;
        }
        if pixels == 0.0 {
            return Err(ImagingError::NoSpheroid);
        }
        let area = pixels * scale * scale;
        let perimeter = crofton_perimeter(mask) * scale;
        Ok(Self {
            area,
            perimeter,
            circularity: 4.0 * PI * area / (perimeter * perimeter),
            equivalent_diameter: (4.0 * area / PI).sqrt(),
            centroid: (
                row_sum / pixels * scale - 0.5,
                column_sum / pixels * scale - 0.5,
            ),
            mean_intensity: mean_inside(mask, *scale, flat)?,
        })
    }
}

/// Mean of the pixels of the plane whose centre lies in the mask.
fn mean_inside(
    mask: &Array2<bool>,
    scale: f64,
    flat: ArrayView2<'_, f32>,
) -> Result<f64, ImagingError> {
    let in_mask = |position: usize| ((position as f64 + 0.5) / scale) as usize;
    let columns: Vec<usize> = (0..flat.ncols()).map(in_mask).collect();
    let (mut sum, mut count) = (0.0, 0.0);
    for (row, values) in flat.rows().into_iter().enumerate() {
        // A mask may end half a working pixel before the plane does.
        let Some(inside) = (in_mask(row) < mask.nrows()).then(|| mask.row(in_mask(row))) else {
            continue;
        };
        for (column, (&value, &mask_column)) in values.iter().zip(&columns).enumerate() {
            if inside.get(mask_column) == Some(&true) {
                if !value.is_finite() {
                    return Err(ImagingError::NotFinite { row, column, value });
                }
                sum += f64::from(value);
                count += 1.0;
            }
        }
    }
    if count > 0.0 {
        Ok(sum / count)
    } else {
        Err(ImagingError::NoSpheroid)
    }
}

/// Length of the outline of `mask`, holes included, in mask pixels.
///
/// Crofton's formula: the length of a curve is π/2 times the mean, over directions, of the number
/// of its crossings with a grid of parallel lines at unit distance. With the four directions of
/// the pixel grid, whose diagonals lie 1/√2 apart, and with entries counted instead of crossings:
///
/// ```text
/// P = π/4 · (n₀ + n₉₀ + (n₄₅ + n₁₃₅)/√2)
/// ```
fn crofton_perimeter(mask: &Array2<bool>) -> f64 {
    let (rows, columns) = mask.dim();
    let (mut straight, mut diagonal) = (0_u64, 0_u64);
    let inside = |row: Option<usize>, column: Option<usize>| match (row, column) {
        (Some(row), Some(column)) => mask.get((row, column)) == Some(&true),
        _ => false,
    };
    for row in 0..rows {
        let above = row.checked_sub(1);
        for column in (0..columns).filter(|&column| mask[(row, column)]) {
            let (left, right) = (column.checked_sub(1), column.checked_add(1));
            straight += u64::from(!inside(Some(row), left));
            straight += u64::from(!inside(above, Some(column)));
            diagonal += u64::from(!inside(above, left));
            diagonal += u64::from(!inside(above, right));
        }
    }
    FRAC_PI_4 * (straight as f64 + FRAC_1_SQRT_2 * diagonal as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment;
    use ndarray::Array1;
    use serde::Deserialize;
    use spheroid_testkit::{Tolerance, assert_close, json_fixture};

    #[derive(Deserialize)]
    struct Measures {
        outlines: Vec<Outline>,
    }

    #[derive(Deserialize)]
    struct Outline {
        name: String,
        rows: Vec<String>,
        perimeter: f64,
    }

    #[test]
    fn outlines_are_as_long_as_scikit_image_says() {
        let Measures { outlines } = json_fixture(env!("CARGO_MANIFEST_DIR"), "measures.json");
        assert_eq!(outlines.len(), 8);
        for Outline {
            name,
            rows,
            perimeter,
        } in outlines
        {
            let shape = (rows.len(), rows[0].len());
            let pixels: Array1<bool> = rows.concat().bytes().map(|pixel| pixel == b'#').collect();
            let mask = pixels.into_shape_with_order(shape).unwrap();
            let found = crofton_perimeter(&mask);
            assert!(
                (found - perimeter).abs() < 1e-9 * perimeter,
                "{name}: {found} {perimeter}"
            );
        }
    }

    fn by_hand(mask: Array2<bool>, scale: f64, rows: usize, columns: usize) -> Segmentation {
        Segmentation {
            mask,
            scale,
            flags: Vec::new(),
            rows,
            columns,
        }
    }

    #[test]
    fn a_block_measured_by_hand() {
        // Rows 1 to 2 and columns 2 to 4 of a mask whose pixels are 2 × 2 pixels of the plane.
        let mask =
            Array2::from_shape_fn((4, 6), |(r, c)| (1..3).contains(&r) && (2..5).contains(&c));
        let flat = Array2::from_shape_fn((8, 12), |(r, c)| {
            match ((2..6).contains(&r), (4..10).contains(&c)) {
                (true, true) => {
                    if r < 4 {
                        0.25
                    } else {
                        0.75
                    }
                }
                _ => 1.0,
            }
        });
        let found = Morphometry::measure(&by_hand(mask, 2.0, 8, 12), flat.view()).unwrap();
        assert_eq!(found.area, 24.0);
        assert_eq!(found.centroid, (3.5, 6.5));
        assert_eq!(found.mean_intensity, 0.5);
        // 2 + 3 entries along the grid, 2 · (2 + 3 − 1) along the diagonals.
        let perimeter = 2.0 * FRAC_PI_4 * (5.0 + 8.0 * FRAC_1_SQRT_2);
        assert_close(&[found.perimeter], &[perimeter], Tolerance::F64);
        let circularity = 4.0 * PI * 24.0 / perimeter.powi(2);
        assert_close(&[found.circularity], &[circularity], Tolerance::F64);
        assert_close(
            &[found.equivalent_diameter],
            &[(96.0 / PI).sqrt()],
            Tolerance::F64,
        );
    }

    #[test]
    fn discs_are_round_and_bars_are_not() {
        for radius in [8.0, 20.0, 60.0] {
            let mask = Array2::from_shape_fn((150, 150), |(r, c)| {
                (r as f64 - 74.0).hypot(c as f64 - 75.0) < radius
            });
            let flat = Array2::ones((150, 150));
            let found = Morphometry::measure(&by_hand(mask, 1.0, 150, 150), flat.view()).unwrap();
            assert!(
                (found.circularity - 1.0).abs() < 0.03,
                "{radius}: {}",
                found.circularity
            );
        }
        let bar = Array2::from_shape_fn((150, 150), |(r, c)| {
            r.abs_diff(75) < 5 && c.abs_diff(75) < 60
        });
        let flat = Array2::ones((150, 150));
        let found = Morphometry::measure(&by_hand(bar, 1.0, 150, 150), flat.view()).unwrap();
        assert!(found.circularity < 0.3);
    }

    #[test]
    fn a_whole_plane_is_measured_at_its_size() {
        let flat = Array2::from_shape_fn((411, 492), |(r, c)| {
            let (v, u) = ((r as f32 - 215.0) / 90.0, (c as f32 - 230.0) / 60.0);
            if v.hypot(u) < 1.0 { 0.35 } else { 1.0 }
        });
        let segmentation = segment(flat.view()).unwrap();
        let found = Morphometry::measure(&segmentation, flat.view()).unwrap();
        assert!(
            (found.area / (PI * 90.0 * 60.0) - 1.0).abs() < 0.03,
            "{}",
            found.area
        );
        assert!(
            (found.centroid.0 - 215.0).abs() < 1.0,
            "{:?}",
            found.centroid
        );
        assert!(
            (found.centroid.1 - 230.0).abs() < 1.0,
            "{:?}",
            found.centroid
        );
        assert!(
            (found.mean_intensity - 0.35).abs() < 0.03,
            "{}",
            found.mean_intensity
        );
        assert!(
            (0.8..0.97).contains(&found.circularity),
            "{}",
            found.circularity
        );
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        let flat = Array2::ones((30, 40));
        let empty = segment(flat.view()).unwrap();
        let error = Morphometry::measure(&empty, flat.view()).unwrap_err();
        assert!(matches!(error, ImagingError::NoSpheroid));
        let error = Morphometry::measure(&empty, Array2::ones((30, 41)).view()).unwrap_err();
        assert!(matches!(
            error,
            ImagingError::Shape {
                expected_columns: 40,
                columns: 41,
                ..
            }
        ));
        let mut flat = Array2::ones((3, 3));
        flat[[1, 1]] = f32::NAN;
        let all = by_hand(Array2::from_elem((3, 3), true), 1.0, 3, 3);
        let error = Morphometry::measure(&all, flat.view()).unwrap_err();
        assert!(matches!(
            error,
            ImagingError::NotFinite {
                row: 1,
                column: 1,
                ..
            }
        ));
    }
}
