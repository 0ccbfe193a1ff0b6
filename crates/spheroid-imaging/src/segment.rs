use std::collections::VecDeque;

use ndarray::{Array2, ArrayView2};

use crate::{ImagingError, Window, resample_area};

/// The longer side of the reduced plane in which the spheroid is sought, in pixels.
const WORKING_SIDE: usize = 256;
/// Standard deviation of the smoothing, in working pixels.
const SMOOTHING: f64 = 1.5;
/// What darkens the background by less than this is no part of a spheroid.
const LEAST_CONTRAST: f32 = 0.05;
/// Spheroids darken the background by at least this on average; uneven light does not.
const LEAST_MEAN_CONTRAST: f64 = 0.1;
/// Spheroids cover at least this share of the frame.
const LEAST_AREA: f64 = 0.0005;
/// Standard deviation of the central weight, in half diagonals of the frame.
const CENTRALITY: f64 = 0.4;

/// Why a mask should be looked at before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SegmentationFlag {
    /// Nothing dark enough and large enough: the mask is empty.
    EmptyWell,
    /// The mask reaches the edge of the frame: the spheroid may be cut, or this is the well's wall.
    TouchesBorder,
}

/// Where the spheroid is.
#[derive(Debug, Clone, PartialEq)]
pub struct Segmentation {
    /// True on the spheroid; at working scale, see `scale`.
    pub mask: Array2<bool>,
    /// Side of a mask pixel in pixels of the plane, at least 1. Mask pixel `(r, c)` covers rows
    /// `r · scale` to `(r + 1) · scale` of the plane, columns alike.
    pub scale: f64,
    /// Doubts about the mask; none for a spheroid that lies whole within the frame.
    pub flags: Vec<SegmentationFlag>,
    /// Number of rows of the plane.
    pub(crate) rows: usize,
    /// Number of columns of the plane.
    pub(crate) columns: usize,
}

impl Segmentation {
    /// Whether `flag` was raised.
    pub fn has(&self, flag: SegmentationFlag) -> bool {
        self.flags.contains(&flag)
    }
}

/// Finds the spheroid in a plane whose illumination was divided out (see
/// [`flatten`](crate::flatten)): background about 1, spheroid darker.
///
/// On a copy that is reduced to 256 pixels along the longer side and smoothed, Otsu's threshold
/// divides the darkness `1 − flat` in two. Of the connected dark parts the one with the greatest
/// area under a central Gaussian weight is the spheroid, so that a large part in the middle is
/// preferred to debris, and to the wall of the well. Its holes are filled. The histogram behind
/// the threshold has the same weight.
///
/// A well counts as empty when no part covers 0.05 % of the frame and is darker than the background
/// by 5 % everywhere and by 10 % on average. There is always an answer, with [`SegmentationFlag`]s where it is doubtful.
///
/// # Errors
/// When the plane is empty or a pixel is not finite.
///
/// # Source
/// Otsu, *A threshold selection method from gray-level histograms*, IEEE Trans. SMC 9 (1979),
/// doi:10.1109/TSMC.1979.4310076.
pub fn segment(flat: ArrayView2<'_, f32>) -> Result<Segmentation, ImagingError> {
    let (rows, columns) = flat.dim();
    if flat.is_empty() {
        return Err(ImagingError::Empty {
            planes: 1,
            rows,
            columns,
        });
    }
    if let Some(((row, column), &value)) = flat.indexed_iter().find(|(_, v)| !v.is_finite()) {
        return Err(ImagingError::NotFinite { row, column, value });
    }

    let scale = (rows.max(columns) as f64 / WORKING_SIDE as f64).max(1.0);
    let shape = [rows, columns].map(|side| ((side as f64 / scale).round() as usize).max(1));
    // A whole number of working pixels; what sticks out beyond the frame is background.
    let window = Window {
        top: 0.0,
        left: 0.0,
        height: shape[0] as f64 * scale,
        width: shape[1] as f64 * scale,
    };
    let mut darkness = resample_area(flat, window, shape[0], shape[1], 1.0)?;
    darkness.mapv_inplace(|value| 1.0 - value);
    let darkness = smoothed(&darkness);

    let weight = central_weight(shape);
    let threshold = otsu(&darkness, &weight).max(LEAST_CONTRAST);
    let least_pixels = (LEAST_AREA * darkness.len() as f64).ceil();
    let dark = darkness.mapv(|d| d > threshold);
    let mask = central_part(&dark, &weight, least_pixels as usize)
        .filter(|mask| mean_under(&darkness, mask) >= LEAST_MEAN_CONTRAST);
    let segmentation = |mask, flags| Segmentation {
        mask,
        scale,
        flags,
        rows,
        columns,
    };
    Ok(match mask {
        None => segmentation(Array2::default(shape), vec![SegmentationFlag::EmptyWell]),
        Some(mask) => {
            let mask = filled(&mask);
            let cut = border(mask.dim()).any(|pixel| mask[pixel]);
            let flags = cut
                .then_some(SegmentationFlag::TouchesBorder)
                .into_iter()
                .collect();
            segmentation(mask, flags)
        }
    })
}

/// Gaussian smoothing, edges continued with their last value.
fn smoothed(image: &Array2<f32>) -> Array2<f32> {
    let radius = (3.0 * SMOOTHING).ceil() as isize;
    let kernel: Vec<f32> = (-radius..=radius)
        .map(|offset| (-0.5 * (offset as f64 / SMOOTHING).powi(2)).exp() as f32)
        .collect();
    let total: f32 = kernel.iter().sum();
    let along_columns = |image: &Array2<f32>| {
        let mut out = Array2::zeros(image.dim());
        let last = image.ncols() as isize - 1;
        for (source, mut target) in image.rows().into_iter().zip(out.rows_mut()) {
            for (column, value) in target.iter_mut().enumerate() {
                let sum: f32 = (-radius..=radius)
                    .zip(&kernel)
                    .map(|(offset, weight)| {
                        weight * source[(column as isize + offset).clamp(0, last) as usize]
                    })
                    .sum();
                *value = sum / total;
            }
        }
        out
    };
    let turned = along_columns(image).reversed_axes();
    along_columns(&turned).reversed_axes()
}

/// A Gaussian about the centre of the frame, 1 at its top.
fn central_weight([rows, columns]: [usize; 2]) -> Array2<f64> {
    let (middle_row, middle_column) = ((rows - 1) as f64 / 2.0, (columns - 1) as f64 / 2.0);
    let sigma = CENTRALITY * 0.5 * (rows as f64).hypot(columns as f64);
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        let (dy, dx) = (row as f64 - middle_row, column as f64 - middle_column);
        (-0.5 * (dy * dy + dx * dx) / (sigma * sigma)).exp()
    })
}

/// The threshold with the greatest variance between the classes that it makes.
fn otsu(values: &Array2<f32>, weights: &Array2<f64>) -> f32 {
    const BINS: usize = 256;
    let (low, high) = values
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| {
            (low.min(v), high.max(v))
        });
    let width = (high - low) / BINS as f32;
    // Also for values so far apart that their distance overflows.
    if !(width.is_finite() && width > 0.0) {
        return low;
    }
    let mut histogram = [0.0_f64; BINS];
    for (&value, &weight) in values.iter().zip(weights) {
        histogram[(((value - low) / width) as usize).min(BINS - 1)] += weight;
    }
    let total: f64 = histogram.iter().sum();
    let total_moment: f64 = histogram
        .iter()
        .enumerate()
        .map(|(bin, n)| bin as f64 * n)
        .sum();
    let (mut below, mut moment) = (0.0, 0.0);
    let mut best = (0.0, 0);
    for (bin, &n) in histogram.iter().enumerate() {
        below += n;
        moment += bin as f64 * n;
        let above = total - below;
        if below > 0.0 && above > 0.0 {
            let gap = moment / below - (total_moment - moment) / above;
            let between = below * above * gap * gap;
            if between > best.0 {
                best = (between, bin);
            }
        }
    }
    low + width * (best.1 + 1) as f32
}

/// The connected part with the greatest weight among those of at least `least_pixels`.
fn central_part(
    mask: &Array2<bool>,
    weights: &Array2<f64>,
    least_pixels: usize,
) -> Option<Array2<bool>> {
    let mut unseen = mask.clone();
    let mut best: (f64, Vec<(usize, usize)>) = (0.0, Vec::new());
    for (start, _) in mask.indexed_iter().filter(|&(_, &dark)| dark) {
        if !unseen[start] {
            continue;
        }
        let part = flood(&mut unseen, [start], &EIGHT);
        let weight: f64 = part.iter().map(|&pixel| weights[pixel]).sum();
        if part.len() >= least_pixels && weight > best.0 {
            best = (weight, part);
        }
    }
    (!best.1.is_empty()).then(|| {
        let mut chosen = Array2::default(mask.dim());
        for pixel in best.1 {
            chosen[pixel] = true;
        }
        chosen
    })
}

/// Mean of the values where `mask`, which has a true pixel, is true.
fn mean_under(values: &Array2<f32>, mask: &Array2<bool>) -> f64 {
    let (sum, count) = values
        .iter()
        .zip(mask)
        .filter(|&(_, &inside)| inside)
        .fold((0.0, 0.0), |(sum, count), (&value, _)| {
            (sum + f64::from(value), count + 1.0)
        });
    sum / count
}

/// `mask` with all that cannot be reached from the edge of the frame.
fn filled(mask: &Array2<bool>) -> Array2<bool> {
    let mut enclosed = mask.mapv(|dark| !dark);
    let starts: Vec<_> = border(mask.dim()).collect();
    flood(&mut enclosed, starts, &EIGHT[..4]);
    ndarray::Zip::from(mask)
        .and(&enclosed)
        .map_collect(|&dark, &hole| dark || hole)
}

fn border((rows, columns): (usize, usize)) -> impl Iterator<Item = (usize, usize)> {
    let sides = (0..rows).flat_map(move |row| [(row, 0), (row, columns - 1)]);
    let ends = (0..columns).flat_map(move |column| [(0, column), (rows - 1, column)]);
    sides.chain(ends)
}

/// Steps to the neighbours of a pixel, those that share an edge first.
const EIGHT: [(isize, isize); 8] = [
    (-1, 0),
    (1, 0),
    (0, -1),
    (0, 1),
    (-1, -1),
    (-1, 1),
    (1, -1),
    (1, 1),
];

/// Clears all true pixels that are connected to `starts`, and returns them.
fn flood(
    open: &mut Array2<bool>,
    starts: impl IntoIterator<Item = (usize, usize)>,
    neighbours: &[(isize, isize)],
) -> Vec<(usize, usize)> {
    let mut reached = Vec::new();
    let mut queue: VecDeque<_> = starts.into_iter().collect();
    while let Some((row, column)) = queue.pop_front() {
        if !std::mem::take(&mut open[(row, column)]) {
            continue;
        }
        reached.push((row, column));
        for &(down, right) in neighbours {
            let next = (
                row.wrapping_add_signed(down),
                column.wrapping_add_signed(right),
            );
            if open.get(next) == Some(&true) {
                queue.push_back(next);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    /// Background 1 with dark discs `(row, column, radius, darkness)`.
    fn plane(shape: (usize, usize), discs: &[(f64, f64, f64, f32)]) -> Array2<f32> {
        let mut plane = Array2::ones(shape);
        for &(r, c, radius, darkness) in discs {
            for ((row, column), value) in plane.indexed_iter_mut() {
                if (row as f64 - r).hypot(column as f64 - c) <= radius {
                    *value = 1.0 - darkness;
                }
            }
        }
        plane
    }

    fn area(segmentation: &Segmentation) -> f64 {
        let pixels = segmentation.mask.iter().filter(|&&dark| dark).count();
        pixels as f64 * segmentation.scale.powi(2)
    }

    fn disc(radius: f64) -> f64 {
        std::f64::consts::PI * radius * radius
    }

    #[test]
    fn a_disc_is_found_at_its_size() {
        for (darkness, radius) in [(0.6, 100.0), (0.15, 100.0), (0.5, 25.0), (0.5, 250.0)] {
            let found =
                segment(plane((600, 800), &[(310.0, 380.0, radius, darkness)]).view()).unwrap();
            assert!(found.flags.is_empty());
            assert_eq!(found.mask.dim(), (192, 256));
            assert_eq!(found.scale, 3.125);
            let ratio = area(&found) / disc(radius);
            assert!((0.93..1.07).contains(&ratio), "radius {radius}: {ratio}");
        }
    }

    #[test]
    fn small_planes_keep_their_pixels() {
        let found = segment(plane((60, 80), &[(30.0, 40.0, 15.0, 0.5)]).view()).unwrap();
        assert_eq!((found.scale, found.mask.dim()), (1.0, (60, 80)));
        assert!((area(&found) / disc(15.0) - 1.0).abs() < 0.05);
    }

    #[test]
    fn the_spheroid_is_preferred_to_larger_and_darker_things_at_the_edge() {
        let mut plane = plane(
            (500, 500),
            &[(250.0, 240.0, 60.0, 0.3), (80.0, 400.0, 30.0, 0.5)],
        );
        plane.slice_mut(ndarray::s![.., ..40]).fill(0.2);
        let found = segment(plane.view()).unwrap();
        assert!(found.flags.is_empty());
        assert!(
            (area(&found) / disc(60.0) - 1.0).abs() < 0.1,
            "{}",
            area(&found)
        );
    }

    #[test]
    fn a_bright_core_belongs_to_the_spheroid() {
        let mut scene = plane((300, 300), &[(150.0, 150.0, 60.0, 0.5)]);
        let core = plane((300, 300), &[(150.0, 150.0, 25.0, 1.0)]);
        scene.zip_mut_with(&core, |value, &core| {
            if core < 0.5 {
                *value = 1.0
            }
        });
        let found = segment(scene.view()).unwrap();
        assert!((area(&found) / disc(60.0) - 1.0).abs() < 0.06);
    }

    #[test]
    fn wells_with_nothing_but_noise_shading_and_dirt_are_empty() {
        let mut state = 1_u32;
        let noisy = Array2::from_shape_fn((400, 500), |(row, _)| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            1.0 + 0.1 * ((state >> 8) as f32 / (1 << 24) as f32 - 0.5) + row as f32 * 5e-5
        });
        let flat = Array2::ones((400, 500));
        let dirt = plane(
            (400, 500),
            &[(100.0, 100.0, 2.0, 0.9), (300.0, 200.0, 3.0, 0.9)],
        );
        // A broad shadow of 8 %, as uneven medium casts.
        let shadow = plane((400, 500), &[(200.0, 250.0, 80.0, 0.08)]);
        for scene in [noisy, flat, dirt, shadow] {
            let found = segment(scene.view()).unwrap();
            assert_eq!(found.flags, [SegmentationFlag::EmptyWell]);
            assert!(found.has(SegmentationFlag::EmptyWell));
            assert!(found.mask.iter().all(|&dark| !dark));
        }
    }

    #[test]
    fn a_spheroid_that_leaves_the_frame_is_flagged() {
        let found = segment(plane((300, 400), &[(40.0, 200.0, 90.0, 0.5)]).view()).unwrap();
        assert_eq!(found.flags, [SegmentationFlag::TouchesBorder]);
    }

    #[test]
    fn planes_of_a_pixel_and_planes_with_nan() {
        assert_eq!(
            segment(arr2(&[[1.0]]).view()).unwrap().flags,
            [SegmentationFlag::EmptyWell]
        );
        let error = segment(arr2(&[[1.0, f32::NAN]]).view()).unwrap_err();
        assert!(matches!(
            error,
            ImagingError::NotFinite {
                row: 0,
                column: 1,
                ..
            }
        ));
        let empty = Array2::zeros((3, 0));
        assert!(matches!(
            segment(empty.view()),
            Err(ImagingError::Empty { .. })
        ));
        let huge = segment(arr2(&[[f32::MAX, f32::MIN], [0.0, 1.0]]).view());
        assert!(huge.is_ok());
    }

    #[test]
    fn otsu_divides_two_levels_between_them() {
        let values = arr2(&[[0.1, 0.1, 0.1, 0.9]]);
        let threshold = otsu(&values, &Array2::ones((1, 4)));
        assert!(threshold > 0.1 && threshold < 0.9, "{threshold}");
        assert_eq!(otsu(&arr2(&[[0.3, 0.3]]), &Array2::ones((1, 2))), 0.3);
    }
}
