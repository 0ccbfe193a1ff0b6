//! Measures of a segmented spheroid, one file a family.

mod intensity;
mod outline;
mod texture;
mod unit;

use std::f64::consts::PI;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, positive};

use self::{intensity::Intensity, outline::Outline};
use crate::{ImagingError, PixelSize, Segmentation};

pub use self::{
    texture::Texture,
    unit::{Micrometre, Pixel},
};

/// Size, shape, darkness and grain of a segmented spheroid: what a laboratory measures by hand.
///
/// [`measure`](Self::measure) gives lengths in pixels of the plane, [`Morphometry<Pixel>`];
/// [`in_micrometres`](Self::in_micrometres) makes of it a [`Morphometry<Micrometre>`], so that the
/// two cannot be mixed up. The unit is written along as `"px"` or `"um"`, and checked on reading.
///
/// # Recipe
/// Shape is measured on the mask as the segmentation left it, tones on the plane itself: a pixel of
/// the plane is inside when its centre lies in a mask pixel that is. What lies beyond the frame is
/// outside; intensities are relative to the background, which is 1.
///
/// | measure | definition | unit | scikit-image | agreement |
/// |---|---|---|---|---|
/// | `area` | pixels of the mask | u² | `area` | exact |
/// | `equivalent_diameter` | √(4 · area / π) | u | `equivalent_diameter_area` | 1e-12 |
/// | `volume` | π/6 · equivalent diameter³ | u³ | – | – |
/// | `perimeter` | Crofton's formula in four directions, holes included | u | `perimeter_crofton` | 1e-12 |
/// | `circularity` | 4π · area / perimeter² | 1 | – | – |
/// | `feret_max` | longest distance in the outline of the convex hull | u | `feret_diameter_max` | 1e-12 |
/// | `feret_min` | least width of the convex hull | u | –, SciPy's hull | 1e-12 |
/// | `major_axis`, `minor_axis` | axes of the ellipse of the same second moments, 4 · √eigenvalue | u | `axis_major_length`, `axis_minor_length` | 1e-6 px |
/// | `eccentricity` | √(1 − minor² / major²) | 1 | `eccentricity` | 1e-6 |
/// | `orientation` | angle from the direction of rows to the major axis | rad | `orientation` | 1e-9, modulo π |
/// | `solidity` | area / area of the convex hull | 1 | `solidity` | exact |
/// | `roughness` | perimeter / perimeter of the convex hull − 1 | 1 | `perimeter_crofton` of both | 1e-12 |
/// | `centroid` | mean row and column | u | `centroid` | 1e-12 |
/// | `mean_intensity`, `intensity_p5` … `intensity_p95` | mean and percentiles inside | 1 | –, `numpy.percentile` | 1e-12 |
/// | `optical_density` | mean of −log₁₀ intensity inside | 1 | –, NumPy | 1e-12 |
/// | `integrated_optical_density` | optical density · area | u² | – | – |
/// | `radial_profile` | mean intensity in ten rings of equal relative depth | 1 | –, SciPy's `distance_transform_edt` | 1e-12 |
/// | `core_darkness` | mean intensity of the outer five rings − that of the inner five | 1 | –, the same | 1e-12 |
/// | `texture` | Haralick's contrast, dissimilarity and correlation at four distances | 1 | `graycomatrix`, `graycoprops` | 1e-9 |
/// | `debris` | share of the background darker than 0.9 | 1 | –, NumPy | exact |
///
/// The convex hull is that of `convex_hull_image`: the pixels whose centre lies in the hull of the
/// middles of the pixel edges of the mask. Its outline runs through the middles of its own pixel
/// edges, where `find_contours` at half level draws it. Axes, as in scikit-image, are those of
/// points in pixel centres: a line of pixels has no minor axis. scikit-image loses digits where
/// eigenvalues nearly cancel, hence 1e-6 there.
///
/// A mask of one pixel is measured like any other: Feret diameters 1 and 1/√2 mask pixels, axes
/// and eccentricity 0. What has no meaning on so few pixels is `None`.
///
/// # Source
/// Of the measures and their use on spheroids: Piccinini, *AnaSP: a software suite for automatic
/// image analysis of multicellular spheroids*, Computer Methods and Programs in Biomedicine 119
/// (2015), doi:10.1016/j.cmpb.2015.02.006. Its convexity, also that of ISO 9276-6, is
/// 1 / (1 + `roughness`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Morphometry<U = Pixel> {
    /// The unit u of all lengths.
    pub unit: U,
    /// Area of the mask, u².
    pub area: f64,
    /// Diameter of the disc of the same area, u.
    pub equivalent_diameter: f64,
    /// Volume of the ball of that diameter, u³.
    pub volume: f64,
    /// Length of the outline, u.
    pub perimeter: f64,
    /// 4π · area / perimeter²: 1 for a disc, less for any other shape. On a pixel grid a disc
    /// gives 1 within a few per cent, on either side.
    pub circularity: f64,
    /// Largest caliper diameter, u.
    pub feret_max: f64,
    /// Smallest caliper diameter, u.
    pub feret_min: f64,
    /// Length of the longer axis of the ellipse of the same second moments, u.
    pub major_axis: f64,
    /// Length of its shorter axis, u.
    pub minor_axis: f64,
    /// Eccentricity of that ellipse, from 0 for a disc to 1 for a line.
    pub eccentricity: f64,
    /// Angle from the downward direction to the longer axis, −π/2 to π/2, growing towards the
    /// right; `None` for shapes without a longer axis.
    pub orientation: Option<f64>,
    /// Share of the convex hull that the mask fills, above 0 and up to 1.
    pub solidity: f64,
    /// By how much the outline is longer than that of the convex hull: 0 for a convex shape, 0.1
    /// for one that is 10 % longer. At least 0 where pixels hang together by their edges; parts
    /// that meet in a corner or not at all can fall below.
    pub roughness: f64,
    /// Row and column of the centre of area, u, where `(0, 0)` is the centre of the first pixel.
    pub centroid: (f64, f64),
    /// Mean intensity: 1 is as bright as the background, 0 is black.
    pub mean_intensity: f64,
    /// The intensity below which 5 % of the pixels lie.
    pub intensity_p5: f64,
    /// The intensity below which 25 % of the pixels lie.
    pub intensity_p25: f64,
    /// The intensity below which half of the pixels lie.
    pub median_intensity: f64,
    /// The intensity below which 75 % of the pixels lie.
    pub intensity_p75: f64,
    /// The intensity below which 95 % of the pixels lie.
    pub intensity_p95: f64,
    /// Mean of −log₁₀ of the intensity: 0 for a spheroid as bright as the background, 1 for one
    /// that lets a tenth through. An intensity below 2⁻¹⁶, the last tone of 16 bits, also 0 or less,
    /// counts as 2⁻¹⁶, an optical density of 4.8.
    pub optical_density: f64,
    /// Optical density times area, u²: grows with what absorbs and scatters, however it is spread.
    pub integrated_optical_density: f64,
    /// By how much the inner half of the depth is darker than the outer half: above 0 for a dark
    /// core, below 0 for a bright one. `None` when the mask is too thin to have both.
    pub core_darkness: Option<f64>,
    /// Mean intensity in ten rings from the outline (first) to the deepest point (last), between
    /// tenths of the largest depth; depth is the distance to the outline. `None` for a ring without
    /// a mask pixel.
    pub radial_profile: [Option<f64>; 10],
    /// Distances of the measures in `texture`, u: 1, 2, 4 and 8 pixels of the plane, or of the
    /// plane reduced to 512 pixels along the longer side where it is larger.
    pub texture_distances: [f64; 4],
    /// Grain at these distances, over the pairs in four directions that lie inside; `None` where
    /// there are none.
    pub texture: [Option<Texture>; 4],
    /// Share of the background that is darker than 0.9, from 0 to 1. The background is the frame
    /// farther than four mask pixels from the mask; `None` when nothing is.
    pub debris: Option<f64>,
}

impl Morphometry<Pixel> {
    /// Measures the spheroid that `segmentation` found in the flattened plane `flat`.
    ///
    /// # Errors
    /// When the segmentation is empty, or its mask and scale do not cover the plane that it says, or
    /// `flat` is not of that size, or a pixel of it is not finite.
    ///
    /// # Example
    /// ```
    /// use ndarray::Array2;
    /// use spheroid_imaging::{Morphometry, PixelSize, segment};
    ///
    /// let flat = Array2::from_shape_fn((200, 240), |(row, column)| {
    ///     let r = (row as f32 - 99.5).hypot(column as f32 - 119.5);
    ///     if r < 40.0 { 0.4 } else { 1.0 }
    /// });
    /// let spheroid = Morphometry::measure(&segment(flat.view())?, flat.view())?;
    /// assert!((spheroid.equivalent_diameter - 80.0).abs() < 1.0);
    /// assert!((spheroid.circularity - 1.0).abs() < 0.05);
    /// assert!((spheroid.feret_max / spheroid.feret_min - 1.0).abs() < 0.05);
    ///
    /// let spheroid = spheroid.in_micrometres(PixelSize::square(1.3)?)?;
    /// assert!((spheroid.equivalent_diameter - 104.0).abs() < 1.3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn measure(
        segmentation: &Segmentation,
        flat: ArrayView2<'_, f32>,
    ) -> Result<Self, ImagingError> {
        check(segmentation, flat.dim())?;
        let Segmentation { mask, scale, .. } = segmentation;
        let scale = *scale;
        let outline = Outline::measure(mask)?;
        let (intensity, pairs) = rayon::join(
            || Intensity::measure(mask, scale, flat),
            || texture::measure(mask, scale, flat),
        );
        let (intensity, pairs) = (intensity?, pairs?);
        let area = outline.area * scale * scale;
        let equivalent_diameter = (4.0 * area / PI).sqrt();
        let [
            intensity_p5,
            intensity_p25,
            median_intensity,
            intensity_p75,
            intensity_p95,
        ] = intensity.percentiles;
        Ok(Self {
            unit: Pixel::Px,
            area,
            equivalent_diameter,
            volume: PI / 6.0 * equivalent_diameter.powi(3),
            perimeter: outline.perimeter * scale,
            circularity: outline.circularity,
            feret_max: outline.feret_max * scale,
            feret_min: outline.feret_min * scale,
            major_axis: outline.major_axis * scale,
            minor_axis: outline.minor_axis * scale,
            eccentricity: outline.eccentricity,
            orientation: outline.orientation,
            solidity: outline.solidity,
            roughness: outline.roughness,
            centroid: (
                outline.centroid.0 * scale - 0.5,
                outline.centroid.1 * scale - 0.5,
            ),
            mean_intensity: intensity.mean,
            intensity_p5,
            intensity_p25,
            median_intensity,
            intensity_p75,
            intensity_p95,
            optical_density: intensity.optical_density,
            integrated_optical_density: intensity.optical_density * area,
            core_darkness: intensity.core_darkness,
            radial_profile: intensity.radial_profile,
            texture_distances: pairs.each_ref().map(|pairs| pairs.distance),
            texture: pairs.map(|pairs| pairs.texture),
            debris: intensity.debris,
        })
    }

    /// The same spheroid in µm.
    ///
    /// # Errors
    /// When a side of `pixel` is not finite and above 0, or its two sides differ by more than 0.1 %:
    /// shapes measured on pixels that are not square cannot be put right afterwards. Smaller
    /// differences are rounding of metadata, and the mean of the sides is taken.
    pub fn in_micrometres(self, pixel: PixelSize) -> Result<Morphometry<Micrometre>, ImagingError> {
        let PixelSize { x, y } = PixelSize::new(pixel.x, pixel.y)?;
        if (x - y).abs() > 1e-3 * x.min(y) {
            return Err(ImagingError::NotSquare { x, y });
        }
        let side = 0.5 * (x + y);
        let area = side * side;
        Ok(Morphometry {
            unit: Micrometre::Um,
            area: self.area * area,
            equivalent_diameter: self.equivalent_diameter * side,
            volume: self.volume * area * side,
            perimeter: self.perimeter * side,
            circularity: self.circularity,
            feret_max: self.feret_max * side,
            feret_min: self.feret_min * side,
            major_axis: self.major_axis * side,
            minor_axis: self.minor_axis * side,
            eccentricity: self.eccentricity,
            orientation: self.orientation,
            solidity: self.solidity,
            roughness: self.roughness,
            centroid: (self.centroid.0 * side, self.centroid.1 * side),
            mean_intensity: self.mean_intensity,
            intensity_p5: self.intensity_p5,
            intensity_p25: self.intensity_p25,
            median_intensity: self.median_intensity,
            intensity_p75: self.intensity_p75,
            intensity_p95: self.intensity_p95,
            optical_density: self.optical_density,
            integrated_optical_density: self.integrated_optical_density * area,
            core_darkness: self.core_darkness,
            radial_profile: self.radial_profile,
            texture_distances: self.texture_distances.map(|distance| distance * side),
            texture: self.texture,
            debris: self.debris,
        })
    }
}

/// Whether `segmentation` is of a plane of the size `found`, and consistent in itself: its mask and
/// scale are open to change.
fn check(segmentation: &Segmentation, found: (usize, usize)) -> Result<(), ImagingError> {
    let Segmentation {
        mask,
        scale,
        rows,
        columns,
        ..
    } = segmentation;
    const RULE: &str = "at most the longer side of the plane";
    if positive("segmentation.scale", *scale)? > *rows.max(columns) as f64 {
        return Err(ParamError::new("segmentation.scale", scale, RULE).into());
    }
    let shape = |(expected_rows, expected_columns), (rows, columns)| ImagingError::Shape {
        expected_rows,
        expected_columns,
        rows,
        columns,
    };
    if found != (*rows, *columns) {
        return Err(shape((*rows, *columns), found));
    }
    let whole = |side: usize| ((side as f64 / scale).round() as usize).max(1);
    let covers = |mask: usize, plane: usize| (mask as f64 * scale - plane as f64).abs() < *scale;
    if !(covers(mask.nrows(), *rows) && covers(mask.ncols(), *columns)) {
        return Err(shape((whole(*rows), whole(*columns)), mask.dim()));
    }
    Ok(())
}

/// The mask row or column, of `length`, that holds a position on the plane. Half a working pixel
/// may be left over at the end of the plane; it counts with the last.
fn mask_index(position: f64, scale: f64, length: usize) -> usize {
    ((position / scale) as usize).min(length.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_4};

    use ndarray::Array2;
    use spheroid_testkit::{Tolerance, assert_close, json_fixture};

    use super::*;
    use crate::segment;

    pub(super) fn drawn(rows: &[String]) -> Array2<bool> {
        Array2::from_shape_fn((rows.len(), rows[0].len()), |(row, column)| {
            rows[row].as_bytes()[column] == b'#'
        })
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

    #[derive(Deserialize)]
    struct Fixture {
        intensities: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        mask: Vec<String>,
        scale: f64,
        rows: usize,
        columns: usize,
        levels: Vec<u16>,
        mean: f64,
        percentiles: [f64; 5],
        optical_density: f64,
        core_darkness: Option<f64>,
        radial_profile: [Option<f64>; 10],
        texture: [Option<Texture>; 4],
        debris: Option<f64>,
    }

    fn assert_alike(found: &[Option<f64>], expected: &[Option<f64>], tolerance: Tolerance) {
        let known = |values: &[Option<f64>]| values.iter().map(Option::is_some).collect::<Vec<_>>();
        assert_eq!(known(found), known(expected));
        let values = |values: &[Option<f64>]| values.iter().flatten().copied().collect::<Vec<_>>();
        assert_close(&values(found), &values(expected), tolerance);
    }

    #[test]
    fn tones_are_those_that_numpy_and_scikit_image_measure() {
        let Fixture { intensities } = json_fixture(env!("CARGO_MANIFEST_DIR"), "morphometry.json");
        assert_eq!(intensities.len(), 6);
        for case in intensities {
            let plane = case
                .levels
                .iter()
                .map(|&level| f32::from(level) / 256.0)
                .collect();
            let flat = Array2::from_shape_vec((case.rows, case.columns), plane).unwrap();
            let segmentation = by_hand(drawn(&case.mask), case.scale, case.rows, case.columns);
            let found = Morphometry::measure(&segmentation, flat.view()).unwrap();

            let (found_tones, tones) = (
                [
                    found.mean_intensity,
                    found.intensity_p5,
                    found.intensity_p25,
                    found.median_intensity,
                    found.intensity_p75,
                    found.intensity_p95,
                    found.optical_density,
                    found.integrated_optical_density / found.area,
                ],
                [
                    &[case.mean][..],
                    &case.percentiles,
                    &[case.optical_density; 2],
                ]
                .concat(),
            );
            assert_close(&found_tones, &tones, Tolerance::F64);
            assert_alike(&found.radial_profile, &case.radial_profile, Tolerance::F64);
            assert_alike(
                &[found.core_darkness, found.debris],
                &[case.core_darkness, case.debris],
                Tolerance::F64,
            );
            assert_eq!(found.texture_distances, [1.0, 2.0, 4.0, 8.0]);
            let measures = |texture: &[Option<Texture>]| -> Vec<Option<f64>> {
                let of = |measure: fn(&Texture) -> Option<f64>| {
                    texture.iter().map(move |t| t.as_ref().and_then(measure))
                };
                of(|t| Some(t.contrast))
                    .chain(of(|t| Some(t.dissimilarity)))
                    .chain(of(|t| t.correlation))
                    .collect()
            };
            // scikit-image sums a matrix of 513² shares, ours the pairs.
            let tolerance = Tolerance {
                relative: 1e-9,
                absolute: 1e-9,
            };
            assert_alike(
                &measures(&found.texture),
                &measures(&case.texture),
                tolerance,
            );
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
        let diameter = (96.0 / PI).sqrt();
        let density = -0.5 * 0.1875_f64.log10();
        let (found_measures, measures) = (
            [
                found.perimeter,
                found.circularity,
                found.equivalent_diameter,
                found.volume,
                found.feret_max,
                found.feret_min,
                found.optical_density,
                found.integrated_optical_density,
            ],
            [
                perimeter,
                4.0 * PI * 24.0 / perimeter.powi(2),
                diameter,
                PI / 6.0 * diameter.powi(3),
                // Three mask pixels across and one down between middles of edges; two down.
                2.0 * 10.0_f64.sqrt(),
                4.0,
                density,
                24.0 * density,
            ],
        );
        assert_close(&found_measures, &measures, Tolerance::F64);
        assert_eq!((found.solidity, found.roughness), (1.0, 0.0));
        assert_eq!((found.orientation, found.debris), (Some(PI / 2.0), None));
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
            assert_eq!(
                (found.eccentricity, found.orientation),
                (0.0, None),
                "{radius}"
            );
            assert!(found.solidity > 0.95, "{radius}: {}", found.solidity);
            for length in [
                found.major_axis,
                found.minor_axis,
                found.feret_max,
                found.feret_min,
            ] {
                assert!((length - 2.0 * radius).abs() < 2.0, "{radius}: {length}");
            }
        }
        let bar = Array2::from_shape_fn((150, 150), |(r, c)| {
            r.abs_diff(75) < 5 && c.abs_diff(75) < 60
        });
        let flat = Array2::ones((150, 150));
        let found = Morphometry::measure(&by_hand(bar, 1.0, 150, 150), flat.view()).unwrap();
        assert!(found.circularity < 0.3);
        assert!(found.eccentricity > 0.99);
    }

    /// A dark ellipse with a darker core and a patch of debris.
    fn well(rows: usize, columns: usize) -> Array2<f32> {
        let unit = rows as f32 / 411.0;
        Array2::from_shape_fn((rows, columns), |(r, c)| {
            let (row, column) = (r as f32 / unit, c as f32 / unit);
            let ellipse = ((row - 215.0) / 90.0).hypot((column - 230.0) / 60.0);
            match ellipse {
                ..0.4 => 0.2,
                ..1.0 => 0.35,
                _ if row < 20.0 && column < 20.0 => 0.5,
                _ => 1.0,
            }
        })
    }

    #[test]
    fn a_whole_plane_is_measured_at_its_size() {
        for (rows, columns, unit) in [(411, 492, 1.0), (1233, 1476, 3.0)] {
            let flat = well(rows, columns);
            let found = Morphometry::measure(&segment(flat.view()).unwrap(), flat.view()).unwrap();
            let share = |found: f64, expected: f64, tolerance: f64| {
                assert!(
                    (found / expected - 1.0).abs() < tolerance,
                    "{found} {expected}"
                );
            };
            share(found.area, PI * 90.0 * 60.0 * unit * unit, 0.03);
            share(found.centroid.0, 215.0 * unit, 0.01);
            share(found.centroid.1, 230.0 * unit, 0.01);
            share(found.mean_intensity, 0.84 * 0.35 + 0.16 * 0.2, 0.1);
            share(found.feret_max, 180.0 * unit, 0.03);
            share(found.feret_min, 120.0 * unit, 0.03);
            share(found.major_axis, 180.0 * unit, 0.03);
            share(found.minor_axis, 120.0 * unit, 0.03);
            assert!(
                (0.8..0.97).contains(&found.circularity),
                "{}",
                found.circularity
            );
            assert!(
                found.orientation.unwrap().abs() < 0.02,
                "{:?}",
                found.orientation
            );
            assert!((0.05..0.15).contains(&found.core_darkness.unwrap()));
            assert!((found.radial_profile[9].unwrap() - 0.2).abs() < 1e-6);
            share(
                found.debris.unwrap() * (411.0 * 492.0 - 17_000.0),
                400.0,
                0.1,
            );
            let side = if columns > 512 {
                columns as f64 / 512.0
            } else {
                1.0
            };
            assert_eq!(
                found.texture_distances,
                [1.0, 2.0, 4.0, 8.0].map(|d| d * side)
            );
        }
    }

    #[test]
    fn a_camera_of_twice_the_pixels_sees_the_same_spheroid() {
        let mask = Array2::from_shape_fn((64, 64), |(r, c)| {
            (r as f64 - 30.0).hypot(1.4 * (c as f64 - 33.0)) < 20.0
        });
        let mut state = 1_u32;
        let flat = Array2::from_shape_fn((512, 512), |(r, c)| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let tone = (state >> 24) as f32 / 1024.0;
            if mask[(r / 8, c / 8)] {
                0.3 + tone
            } else {
                0.8 + tone
            }
        });
        let twice = Array2::from_shape_fn((1024, 1024), |(r, c)| flat[(r / 2, c / 2)]);
        let once = by_hand(mask.clone(), 8.0, 512, 512);
        let once = Morphometry::measure(&once, flat.view()).unwrap();
        let twice = Morphometry::measure(&by_hand(mask, 16.0, 1024, 1024), twice.view()).unwrap();
        let same = twice
            .in_micrometres(PixelSize::square(0.5).unwrap())
            .unwrap();
        assert_eq!(same.texture, once.texture);
        assert_eq!(same.texture_distances, once.texture_distances);
        assert_eq!(same.area, once.area);
        assert_eq!(same.debris, once.debris);
        assert_alike(&same.radial_profile, &once.radial_profile, Tolerance::F64);
        assert_close(
            &[same.perimeter, same.mean_intensity, same.optical_density],
            &[once.perimeter, once.mean_intensity, once.optical_density],
            Tolerance::F64,
        );
    }

    #[test]
    fn the_memory_layout_does_not_matter() {
        let flat = well(300, 360);
        let segmentation = segment(flat.view()).unwrap();
        let columns_first = flat.t().as_standard_layout().into_owned();
        assert_eq!(
            Morphometry::measure(&segmentation, columns_first.t()).unwrap(),
            Morphometry::measure(&segmentation, flat.view()).unwrap(),
        );
    }

    #[test]
    fn grain_is_found_at_its_size() {
        // Checks of two pixels a field: opposite tones two pixels apart, the same four apart.
        let flat =
            Array2::from_shape_fn(
                (60, 60),
                |(r, c)| {
                    if (r / 2 + c / 2) % 2 == 0 { 0.4 } else { 0.6 }
                },
            );
        let all = by_hand(Array2::from_elem((60, 60), true), 1.0, 60, 60);
        let found = Morphometry::measure(&all, flat.view()).unwrap();
        let [_, two, four, _] = found.texture.map(Option::unwrap);
        // Straight steps of 2 change the tone; oblique steps are (1, 1), which change it for one
        // row and column in two: half of the pairs.
        assert!((two.dissimilarity - 0.15).abs() < 0.002, "{two:?}");
        assert!(
            four.dissimilarity < 0.4 * two.dissimilarity + 0.05,
            "{four:?}"
        );
        assert!(four.correlation > two.correlation);
    }

    #[test]
    fn an_even_spheroid_has_no_grain_and_no_correlation() {
        let flat = Array2::from_elem((40, 40), 0.3);
        let mask = Array2::from_shape_fn((40, 40), |(r, _)| r < 20);
        let found = Morphometry::measure(&by_hand(mask, 1.0, 40, 40), flat.view()).unwrap();
        for texture in found.texture {
            let expected = Texture {
                contrast: 0.0,
                dissimilarity: 0.0,
                correlation: None,
            };
            assert_eq!(texture, Some(expected));
        }
        assert_eq!(found.debris, Some(1.0));
        // Reducing a large plane rounds.
        let flat = Array2::from_elem((700, 900), 0.3);
        let mask = Array2::from_shape_fn((200, 257), |(r, _)| r < 100);
        let scale = 900.0 / 257.0;
        let found = Morphometry::measure(&by_hand(mask, scale, 700, 900), flat.view()).unwrap();
        for texture in found.texture {
            let texture = texture.unwrap();
            assert!(
                texture.contrast < 1e-12 && texture.correlation.is_none(),
                "{texture:?}"
            );
        }
    }

    #[test]
    fn no_tone_makes_a_measure_that_is_no_number() {
        let mask = Array2::from_shape_fn((64, 64), |(r, c)| r.abs_diff(32) + c.abs_diff(32) < 12);
        for tones in [
            [f32::MAX, f32::MIN],
            [f32::MAX; 2],
            [0.0, -1e-40],
            [1e30, 3.0],
        ] {
            let flat = Array2::from_shape_fn((600, 600), |(r, c)| tones[(r + c) % 2]);
            let segmentation = by_hand(mask.clone(), 600.0 / 64.0, 600, 600);
            match Morphometry::measure(&segmentation, flat.view()) {
                // JSON has no NaN and no infinity, and reads them back as missing.
                Ok(found) => {
                    let text = serde_json::to_string(&found).unwrap();
                    serde_json::from_str::<Morphometry>(&text).unwrap();
                }
                Err(error) => assert!(matches!(error, ImagingError::NotFinite { .. }), "{error}"),
            }
        }
    }

    #[test]
    fn one_pixel_is_measured_as_documented() {
        let mask = Array2::from_shape_fn((9, 9), |pixel| pixel == (4, 4));
        let flat = Array2::from_elem((9, 9), -0.5);
        let found = Morphometry::measure(&by_hand(mask, 1.0, 9, 9), flat.view()).unwrap();
        assert_eq!((found.area, found.centroid), (1.0, (4.0, 4.0)));
        assert_close(
            &[found.feret_max, found.feret_min],
            &[1.0, FRAC_1_SQRT_2],
            Tolerance::F64,
        );
        assert_eq!(
            (found.major_axis, found.minor_axis, found.eccentricity),
            (0.0, 0.0, 0.0)
        );
        assert_eq!((found.orientation, found.core_darkness), (None, None));
        assert_eq!((found.solidity, found.roughness), (1.0, 0.0));
        assert_eq!(found.radial_profile[9], Some(-0.5));
        assert!(found.radial_profile[..9].iter().all(Option::is_none));
        assert_eq!(found.texture, [None; 4]);
        // Below the last tone of 16 bits.
        assert_close(
            &[found.optical_density],
            &[16.0 * 2.0_f64.log10()],
            Tolerance::F64,
        );
    }

    #[test]
    fn micrometres_are_another_type() {
        let flat = well(300, 360);
        let found = Morphometry::measure(&segment(flat.view()).unwrap(), flat.view()).unwrap();
        let scaled = found
            .in_micrometres(PixelSize::square(0.5).unwrap())
            .unwrap();
        assert_eq!(scaled.area, 0.25 * found.area);
        assert_eq!(scaled.volume, 0.125 * found.volume);
        assert_eq!(
            scaled.integrated_optical_density,
            0.25 * found.integrated_optical_density
        );
        for (scaled, length) in [
            (scaled.perimeter, found.perimeter),
            (scaled.equivalent_diameter, found.equivalent_diameter),
            (scaled.feret_max, found.feret_max),
            (scaled.feret_min, found.feret_min),
            (scaled.major_axis, found.major_axis),
            (scaled.minor_axis, found.minor_axis),
            (scaled.centroid.0, found.centroid.0),
            (scaled.centroid.1, found.centroid.1),
            (scaled.texture_distances[3], found.texture_distances[3]),
        ] {
            assert_eq!(scaled, 0.5 * length);
        }
        assert_eq!(scaled.circularity, found.circularity);
        assert_eq!(scaled.texture, found.texture);

        let text = serde_json::to_string(&scaled).unwrap();
        assert!(text.starts_with(r#"{"unit":"um","area":"#), "{text}");
        let same: Morphometry<Micrometre> = serde_json::from_str(&text).unwrap();
        assert_close(&[same.area], &[scaled.area], Tolerance::F64);
        let error = serde_json::from_str::<Morphometry<Pixel>>(&text).unwrap_err();
        assert!(error.to_string().contains("expected `px`"), "{error}");
    }

    #[test]
    fn only_square_pixels_are_taken() {
        let flat = well(300, 360);
        let found = Morphometry::measure(&segment(flat.view()).unwrap(), flat.view()).unwrap();
        let error = found
            .in_micrometres(PixelSize { x: 0.65, y: 0.7 })
            .unwrap_err();
        assert!(
            matches!(error, ImagingError::NotSquare { x: 0.65, y: 0.7 }),
            "{error}"
        );
        let error = found
            .in_micrometres(PixelSize {
                x: 0.65,
                y: f64::NAN,
            })
            .unwrap_err();
        assert!(matches!(error, ImagingError::Param(_)), "{error}");
        let rounded = found
            .in_micrometres(PixelSize { x: 0.65, y: 0.6501 })
            .unwrap();
        assert_close(
            &[rounded.perimeter],
            &[0.65005 * found.perimeter],
            Tolerance::F64,
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
        // Inside, in the seam and far away.
        for (row, column) in [(1, 1), (5, 5), (18, 19)] {
            let mut flat = Array2::ones((20, 20));
            flat[[row, column]] = f32::NAN;
            let mask = Array2::from_shape_fn((20, 20), |(r, c)| r < 3 && c < 3);
            let error = Morphometry::measure(&by_hand(mask, 1.0, 20, 20), flat.view()).unwrap_err();
            assert!(
                matches!(error, ImagingError::NotFinite { row: r, column: c, .. }
                    if (r, c) == (row, column)),
                "{error}"
            );
        }
    }

    #[test]
    fn a_mask_that_was_changed_must_still_fit() {
        let flat = Array2::ones((30, 40));
        for scale in [0.0, -1.0, f64::NAN, f64::INFINITY, 40.5, 1e300] {
            let wrong = by_hand(Array2::from_elem((30, 40), true), scale, 30, 40);
            let error = Morphometry::measure(&wrong, flat.view()).unwrap_err();
            assert!(matches!(error, ImagingError::Param(_)), "{scale}: {error}");
        }
        for (shape, scale) in [((30, 39), 1.0), ((30, 40), 2.0), ((0, 0), 1.0)] {
            let wrong = by_hand(Array2::from_elem(shape, true), scale, 30, 40);
            let error = Morphometry::measure(&wrong, flat.view()).unwrap_err();
            assert!(
                matches!(error, ImagingError::Shape { .. }),
                "{shape:?}: {error}"
            );
        }
        let finer = by_hand(Array2::from_elem((60, 80), true), 0.5, 30, 40);
        assert_eq!(
            Morphometry::measure(&finer, flat.view()).unwrap().area,
            1200.0
        );
    }
}
