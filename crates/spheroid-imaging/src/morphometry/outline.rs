use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_4, PI};

use ndarray::Array2;

use crate::ImagingError;

/// Size and shape of a mask, in mask pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outline {
    pub(super) area: f64,
    pub(super) perimeter: f64,
    pub(super) circularity: f64,
    pub(super) feret_max: f64,
    pub(super) feret_min: f64,
    pub(super) major_axis: f64,
    pub(super) minor_axis: f64,
    pub(super) eccentricity: f64,
    pub(super) orientation: Option<f64>,
    pub(super) solidity: f64,
    pub(super) roughness: f64,
    /// Row and column, where `(0, 0)` is the corner of the mask.
    pub(super) centroid: (f64, f64),
}

impl Outline {
    /// Measures `mask`; [`ImagingError::NoSpheroid`] when it is empty.
    pub(super) fn measure(mask: &Array2<bool>) -> Result<Self, ImagingError> {
        let moments = Moments::of(mask).ok_or(ImagingError::NoSpheroid)?;
        let area = moments.pixels;
        let perimeter = crofton_perimeter(mask);
        let hull = ConvexHull::of(mask);
        let (feret_max, feret_min) = hull.feret();
        Ok(Self {
            area,
            perimeter,
            circularity: 4.0 * PI * area / (perimeter * perimeter),
            feret_max,
            feret_min,
            major_axis: 4.0 * moments.major.sqrt(),
            minor_axis: 4.0 * moments.minor.sqrt(),
            eccentricity: moments.eccentricity,
            orientation: moments.orientation,
            solidity: area / hull.area(),
            roughness: perimeter / crofton_perimeter(&hull.image()) - 1.0,
            centroid: moments.centroid,
        })
    }
}

/// Moments of the pixel centres up to the second order.
struct Moments {
    pixels: f64,
    /// Row and column, where `(0, 0)` is the corner of the mask.
    centroid: (f64, f64),
    /// Variance along the principal axes, px².
    major: f64,
    minor: f64,
    eccentricity: f64,
    orientation: Option<f64>,
}

impl Moments {
    fn of(mask: &Array2<bool>) -> Option<Self> {
        // Whole numbers, so that symmetric masks have equal moments to the last bit.
        let mut pixels = 0_i128;
        let (mut r, mut c, mut rr, mut rc, mut cc) = (0_i128, 0_i128, 0_i128, 0_i128, 0_i128);
        for ((row, column), _) in mask.indexed_iter().filter(|&(_, &inside)| inside) {
            let (row, column) = (row as i128, column as i128);
            pixels += 1;
            r += row;
            c += column;
            rr += row * row;
            rc += row * column;
            cc += column * column;
        }
        if pixels == 0 {
            return None;
        }
        let n = pixels as f64;
        let variance = |square: i128, a: i128, b: i128| (pixels * square - a * b) as f64 / (n * n);
        let (rr, rc, cc) = (variance(rr, r, r), variance(rc, r, c), variance(cc, c, c));
        // The eigenvalues of the covariance matrix by their sum, difference and product, none of
        // which cancels in the two shapes that matter: the disc and the line.
        let difference = (rr - cc).hypot(2.0 * rc);
        let major = 0.5 * (rr + cc + difference);
        let (minor, eccentricity) = if major > 0.0 {
            let minor = ((rr * cc - rc * rc) / major).max(0.0);
            (minor, (difference / major).min(1.0).sqrt())
        } else {
            (0.0, 0.0)
        };
        Some(Self {
            pixels: n,
            centroid: (r as f64 / n + 0.5, c as f64 / n + 0.5),
            major,
            minor,
            eccentricity,
            orientation: (difference > 0.0).then(|| 0.5 * (2.0 * rc).atan2(rr - cc)),
        })
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

/// A point in half pixels, row and column, so that the middles of pixel edges are whole numbers.
type Point = (i64, i64);

/// The pixels whose centre lies in, or on the edge of, the convex hull of the middles of the edges
/// of all pixels of a mask: in every row one run.
struct ConvexHull {
    runs: Vec<Run>,
}

/// Columns `first` to `last` of a row.
#[derive(Clone, Copy)]
struct Run {
    row: i64,
    first: i64,
    last: i64,
}

impl ConvexHull {
    fn of(mask: &Array2<bool>) -> Self {
        let ends = mask
            .rows()
            .into_iter()
            .enumerate()
            .filter_map(|(row, line)| {
                let mut inside = line.iter().enumerate().filter(|&(_, &inside)| inside);
                let (first, _) = inside.next()?;
                let last = inside.next_back().map_or(first, |(last, _)| last);
                Some(Run {
                    row: row as i64,
                    first: first as i64,
                    last: last as i64,
                })
            });
        let polygon = convex_polygon(edge_middles(ends));
        let rows = polygon.iter().map(|&(row, _)| row);
        let (top, bottom) = (rows.clone().min().unwrap_or(0), rows.max().unwrap_or(0));
        // The polygon reaches half a pixel beyond the first and the last row.
        let runs = (top.div_euclid(2) + 1..=(bottom - 1).div_euclid(2))
            .filter_map(|row| run_across(&polygon, row))
            .collect();
        Self { runs }
    }

    fn area(&self) -> f64 {
        self.runs
            .iter()
            .map(|run| run.last - run.first + 1)
            .sum::<i64>() as f64
    }

    fn image(&self) -> Array2<bool> {
        let top = self.runs.first().map_or(0, |run| run.row);
        let bottom = self.runs.last().map_or(-1, |run| run.row);
        let left = self.runs.iter().map(|run| run.first).min().unwrap_or(0);
        let right = self.runs.iter().map(|run| run.last).max().unwrap_or(-1);
        let mut image = Array2::default(((bottom - top + 1) as usize, (right - left + 1) as usize));
        for run in &self.runs {
            for column in run.first..=run.last {
                image[((run.row - top) as usize, (column - left) as usize)] = true;
            }
        }
        image
    }

    /// The largest and the smallest distance of two parallel lines that touch the hull from
    /// opposite sides, between middles of pixel edges.
    fn feret(&self) -> (f64, f64) {
        let polygon = convex_polygon(edge_middles(self.runs.iter().copied()));
        let squared = |a: Point, b: Point| (a.0 - b.0).pow(2) + (a.1 - b.1).pow(2);
        let farthest = polygon
            .iter()
            .flat_map(|&a| polygon.iter().map(move |&b| squared(a, b)))
            .max()
            .unwrap_or(0);
        // The narrowest strip has a side of the polygon on one of its two lines.
        let narrowest = sides(&polygon)
            .map(|(a, b)| {
                let height = polygon
                    .iter()
                    .map(|&p| cross(a, b, p).abs())
                    .max()
                    .unwrap_or(0);
                height as f64 / (squared(a, b) as f64).sqrt()
            })
            .fold(f64::INFINITY, f64::min);
        (0.5 * (farthest as f64).sqrt(), 0.5 * narrowest)
    }
}

/// The middles of the edges of the first and the last pixel of every run.
fn edge_middles(runs: impl Iterator<Item = Run>) -> Vec<Point> {
    runs.flat_map(|Run { row, first, last }| [(row, first), (row, last)])
        .flat_map(|(row, column)| {
            let (row, column) = (2 * row, 2 * column);
            [
                (row - 1, column),
                (row, column - 1),
                (row, column + 1),
                (row + 1, column),
            ]
        })
        .collect()
}

/// Twice the area of the triangle `o`, `a`, `b`; its sign is the sense of the turn.
fn cross(o: Point, a: Point, b: Point) -> i64 {
    (a.0 - o.0) * (b.1 - o.1) - (a.1 - o.1) * (b.0 - o.0)
}

/// Corners of the convex hull in order, none on the line between its neighbours.
///
/// # Source
/// Andrew, *Another efficient algorithm for convex hulls in two dimensions*, Information Processing
/// Letters 9 (1979), doi:10.1016/0020-0190(79)90072-3.
fn convex_polygon(mut points: Vec<Point>) -> Vec<Point> {
    points.sort_unstable();
    points.dedup();
    let chain = |points: &mut dyn Iterator<Item = &Point>| {
        let mut chain: Vec<Point> = Vec::new();
        for &point in points {
            while let [.., a, b] = chain[..] {
                if cross(a, b, point) > 0 {
                    break;
                }
                chain.pop();
            }
            chain.push(point);
        }
        // It is where the other chain begins.
        chain.pop();
        chain
    };
    let mut polygon = chain(&mut points.iter());
    polygon.extend(chain(&mut points.iter().rev()));
    polygon
}

fn sides(polygon: &[Point]) -> impl Iterator<Item = (Point, Point)> {
    let next = polygon.iter().cycle().skip(1);
    polygon.iter().copied().zip(next.copied())
}

/// The pixels of a row whose centre lies in `polygon`, or on its edge.
fn run_across(polygon: &[Point], row: i64) -> Option<Run> {
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    for (a, b) in sides(polygon).filter(|(a, b)| a.0 != b.0) {
        let (upper, lower) = if a.0 < b.0 { (a, b) } else { (b, a) };
        if (upper.0..=lower.0).contains(&(2 * row)) {
            // Where the side crosses the row, in pixels, is across / down.
            let down = 2 * (lower.0 - upper.0);
            let across = upper.1 * (lower.0 - upper.0) + (lower.1 - upper.1) * (2 * row - upper.0);
            first = first.min(-(-across).div_euclid(down));
            last = last.max(across.div_euclid(down));
        }
    }
    (first <= last).then_some(Run { row, first, last })
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;
    use proptest::prelude::*;
    use serde::Deserialize;
    use spheroid_testkit::{Tolerance, assert_close, json_fixture};

    use super::*;
    use crate::morphometry::tests::drawn;

    #[derive(Deserialize)]
    struct Fixture {
        outlines: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        name: String,
        mask: Vec<String>,
        area: f64,
        perimeter: f64,
        equivalent_diameter: f64,
        feret_max: f64,
        feret_min: f64,
        major_axis: f64,
        minor_axis: f64,
        eccentricity: f64,
        orientation: Option<f64>,
        solidity: f64,
        roughness: f64,
        centroid: (f64, f64),
    }

    #[test]
    fn outlines_are_those_that_scikit_image_measures() {
        let Fixture { outlines } = json_fixture(env!("CARGO_MANIFEST_DIR"), "morphometry.json");
        assert_eq!(outlines.len(), 19);
        for case in outlines {
            let found = Outline::measure(&drawn(&case.mask)).unwrap();
            let Case {
                name,
                area,
                solidity,
                ..
            } = case;
            assert_eq!((found.area, found.solidity), (area, solidity), "{name}");
            assert_close(
                &[
                    found.perimeter,
                    found.feret_max,
                    found.feret_min,
                    found.roughness,
                    found.centroid.0,
                    found.centroid.1,
                    (4.0 * found.area / PI).sqrt(),
                ],
                &[
                    case.perimeter,
                    case.feret_max,
                    case.feret_min,
                    case.roughness,
                    case.centroid.0 + 0.5,
                    case.centroid.1 + 0.5,
                    case.equivalent_diameter,
                ],
                Tolerance::F64,
            );
            // Its smaller eigenvalue is a difference, which for lines is rounding alone.
            let loose = Tolerance {
                relative: 1e-6,
                absolute: 1e-6,
            };
            assert_close(
                &[found.major_axis, found.minor_axis, found.eccentricity],
                &[case.major_axis, case.minor_axis, case.eccentricity],
                loose,
            );
            assert_eq!(found.orientation.is_some(), case.orientation.is_some());
            if let (Some(found), Some(expected)) = (found.orientation, case.orientation) {
                assert!((found - expected).sin().abs() < 1e-9, "{found} {expected}");
            }
        }
    }

    #[derive(Deserialize)]
    struct Measures {
        outlines: Vec<Perimeter>,
    }

    #[derive(Deserialize)]
    struct Perimeter {
        name: String,
        rows: Vec<String>,
        perimeter: f64,
    }

    #[test]
    fn outlines_are_as_long_as_scikit_image_says() {
        let Measures { outlines } = json_fixture(env!("CARGO_MANIFEST_DIR"), "measures.json");
        assert_eq!(outlines.len(), 8);
        for Perimeter {
            name,
            rows,
            perimeter,
        } in outlines
        {
            let found = crofton_perimeter(&drawn(&rows));
            assert!(
                (found - perimeter).abs() < 1e-9 * perimeter,
                "{name}: {found} {perimeter}"
            );
        }
    }

    #[test]
    fn an_empty_mask_has_no_outline() {
        for shape in [(0, 0), (3, 0), (4, 5)] {
            let error = Outline::measure(&Array2::default(shape)).unwrap_err();
            assert!(matches!(error, ImagingError::NoSpheroid));
        }
    }

    #[test]
    fn a_notch_is_filled_by_the_hull() {
        let mask = arr2(&[[true, true, true], [true, false, false], [true, true, true]]);
        let found = Outline::measure(&mask).unwrap();
        assert_close(&[found.solidity], &[7.0 / 9.0], Tolerance::F64);
        assert!(found.roughness > 0.1);
        // From above the first pixel to below the last, 3 down and 2 across; and straight across.
        let expected = [13.0_f64.sqrt(), 3.0];
        assert_close(
            &[found.feret_max, found.feret_min],
            &expected,
            Tolerance::F64,
        );
    }

    /// The part of random pixels that hangs together by edges with the middle one.
    fn blob(pixels: &[bool], side: usize) -> Array2<bool> {
        let open = |(row, column): (usize, usize)| pixels[row * side + column];
        let mut blob = Array2::default((side, side));
        let mut queue = vec![(side / 2, side / 2)];
        while let Some((row, column)) = queue.pop() {
            if row >= side || column >= side || blob[(row, column)] {
                continue;
            }
            if open((row, column)) || (row, column) == (side / 2, side / 2) {
                blob[(row, column)] = true;
                queue.extend([
                    (row.wrapping_sub(1), column),
                    (row + 1, column),
                    (row, column.wrapping_sub(1)),
                    (row, column + 1),
                ]);
            }
        }
        blob
    }

    proptest! {
        #[test]
        fn measures_keep_their_order_and_survive_turning(
            pixels in prop::collection::vec(prop::bool::weighted(0.5), 144),
        ) {
            let mask = blob(&pixels, 12);
            let found = Outline::measure(&mask).unwrap();
            prop_assert!(found.solidity > 0.0 && found.solidity <= 1.0);
            prop_assert!(found.feret_min <= found.feret_max);
            prop_assert!(found.minor_axis <= found.major_axis);
            prop_assert!((0.0..=1.0).contains(&found.eccentricity));
            prop_assert!(found.roughness >= 0.0, "{}", found.roughness);

            let turned = Outline::measure(&mask.t().as_standard_layout().into_owned()).unwrap();
            for (a, b) in [
                (found.perimeter, turned.perimeter),
                (found.feret_max, turned.feret_max),
                (found.feret_min, turned.feret_min),
                (found.solidity, turned.solidity),
                (found.roughness, turned.roughness),
                (found.major_axis, turned.major_axis),
                (found.minor_axis, turned.minor_axis),
                (found.eccentricity, turned.eccentricity),
            ] {
                prop_assert!((a - b).abs() <= 1e-12 * a.abs() + 1e-12, "{a} {b}");
            }
        }
    }
}
