use std::{collections::VecDeque, fmt};

use ndarray::{Array2, ArrayView2, Zip};
use serde::{Deserialize, Serialize};

use crate::{ImagingError, Threshold, Window, distance::squared_distances, resample_area};

/// The longer side of the reduced plane in which the spheroid is sought, in pixels.
const WORKING_SIDE: usize = 256;
/// Standard deviation of the smoothing, in working pixels.
const SMOOTHING: f64 = 1.0;
/// What darkens the background by less than this is no part of a spheroid.
const LEAST_CONTRAST: f32 = 0.05;
/// Spheroids darken the background by at least this on average; uneven light does not.
const LEAST_MEAN_CONTRAST: f64 = 0.1;
/// Spheroids cover at least this share of the frame.
const LEAST_AREA: f64 = 0.0005;
/// Standard deviation of the central weight, in half diagonals of the frame.
const CENTRALITY: f64 = 0.4;
/// The outline lies where darkness is this many robust standard deviations above the background, or
/// further in.
const BACKGROUND_DEVIATIONS: f32 = 4.0;
/// Thresholds that are tried between the background and the first one.
const LEVELS: usize = 12;
/// The outline may take in this much more than the first threshold did; debris lets it leak.
const MOST_GROWTH: f64 = 1.8;
/// What is thinner than this diameter of a disc, as a share of the equivalent diameter, is cut off.
const THIN: f64 = 0.12;
/// A second part of this share of the spheroid's area is an object of its own.
const SECOND_OBJECT: f64 = 0.25;
/// Two bodies that touch are told apart where the neck between them is narrower than this share of
/// the thicker one.
const NECK: f64 = 0.8;
/// Specks outside that cover this share of the spheroid's area are much debris.
const MUCH_DEBRIS: f64 = 0.2;
/// A thin dark thing outside is a fibre when it is as long as this share of the frame's shorter side
/// and this many times as long as wide, or leads from the edge of the frame to the spheroid.
const FIBRE_LENGTH: f64 = 0.2;
const FIBRE_RATIO: f64 = 5.0;
/// Fibres are thinner than this share of the frame's shorter side, and do not lie all within that
/// distance of one edge of the frame, as the wall of a well does.
const FIBRE_WIDTH: f64 = 0.08;
/// An outline over which the darkness rises this slowly, in equivalent diameters for the whole
/// contrast, is out of focus. Sharp balls take 0.05 to 0.07, and real spheroids 0.01 to 0.04.
const SOFT_EDGE: f64 = 0.12;
/// The same in working pixels, for small spheroids: twice what the smoothing makes of a sharp edge.
const SOFT_EDGE_PIXELS: f64 = 5.0 * SMOOTHING;

/// Why a mask should be looked at before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SegmentationFlag {
    /// Nothing dark enough and large enough: the mask is empty.
    EmptyWell,
    /// The mask reaches the edge of the frame: the spheroid may be cut, or this is the well's wall.
    TouchesBorder,
    /// There is a second object of at least a quarter of the spheroid's area, apart from it or grown
    /// together with it.
    SeveralObjects,
    /// The outline is so soft that its place is uncertain: darkness takes an eighth of the diameter to
    /// rise.
    OutOfFocus,
    /// A long thin object lies in the well or crosses the spheroid.
    Fibre,
    /// Dark specks around the spheroid cover a fifth of its area: shed cells or dirt.
    Debris,
}

impl SegmentationFlag {
    /// All flags.
    pub const ALL: [Self; 6] = [
        Self::EmptyWell,
        Self::TouchesBorder,
        Self::SeveralObjects,
        Self::OutOfFocus,
        Self::Fibre,
        Self::Debris,
    ];
}

impl fmt::Display for SegmentationFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyWell => "empty well",
            Self::TouchesBorder => "touches the border",
            Self::SeveralObjects => "several objects",
            Self::OutOfFocus => "out of focus",
            Self::Fibre => "fibre",
            Self::Debris => "debris",
        })
    }
}

/// Where the spheroid is.
#[derive(Debug, Clone, PartialEq)]
pub struct Segmentation {
    /// True on the spheroid; at working scale, see `scale`.
    pub mask: Array2<bool>,
    /// Side of a mask pixel in pixels of the plane, at least 1. Mask pixel `(r, c)` covers rows
    /// `r · scale` to `(r + 1) · scale` of the plane, columns alike.
    pub scale: f64,
    /// Doubts about the mask; none for a spheroid that lies whole and alone within the frame.
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

/// Which of several dark parts is the spheroid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Component {
    /// The one with the greatest area under a Gaussian about the centre of the frame: a large part in
    /// the middle is preferred to debris, and to the wall of the well.
    #[default]
    Central,
    /// The one with the greatest area, wherever it lies: for frames that do not show the wall, and in
    /// which the spheroid may lie anywhere.
    Largest,
}

/// Finds the spheroid with a [`Segmenter`] as it is by default.
///
/// # Errors
/// As [`Segmenter::segment`].
pub fn segment(flat: ArrayView2<'_, f32>) -> Result<Segmentation, ImagingError> {
    Segmenter::default().segment(flat)
}

/// Finds the spheroid in a plane, without training.
///
/// # Example
/// ```
/// use ndarray::Array2;
/// use spheroid_imaging::{Component, Segmenter, Threshold};
///
/// // A small dark spheroid near the corner of a frame without a wall.
/// let flat = Array2::from_shape_fn((200, 200), |(row, column)| {
///     if (row as f32 - 50.0).hypot(column as f32 - 60.0) < 25.0 { 0.4 } else { 1.0 }
/// });
/// let segmenter = Segmenter { threshold: Threshold::Triangle, component: Component::Largest };
/// let found = segmenter.segment(flat.view())?;
/// assert!(found.flags.is_empty() && found.mask[(50, 60)] && !found.mask[(100, 100)]);
/// # Ok::<(), spheroid_imaging::ImagingError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Segmenter {
    /// What divides dark parts from the background at first.
    pub threshold: Threshold,
    /// Which dark part is taken.
    pub component: Component,
}

impl Segmenter {
    /// Finds the spheroid in a plane whose illumination was divided out (see
    /// [`flatten`](crate::flatten)): background about 1, spheroid darker.
    ///
    /// On a copy that is reduced to 256 pixels along the longer side and slightly smoothed:
    ///
    /// 1. The threshold divides the darkness `1 − flat` in two, and one of the connected dark parts is
    ///    the spheroid. For the central one the histogram behind the threshold has the central weight,
    ///    too.
    /// 2. A ball lets more and more light through towards its edge, which lies outside of that
    ///    threshold. The outline is drawn anew at the level, between the noise of the background and
    ///    the first threshold, at which the darkness is steepest along it.
    /// 3. Holes are filled, and what is thinner than an eighth of the diameter is cut off.
    ///
    /// A well counts as empty when no part covers 0.05 % of the frame and is darker than the background
    /// by 5 % everywhere and by 10 % on average, or none but parts at the edge of the frame that weigh
    /// less than a fainter one. There is always an answer, with [`SegmentationFlag`]s where it is
    /// doubtful.
    ///
    /// # Errors
    /// When the plane is empty, more than 256 times as long as wide, or a pixel is not finite.
    pub fn segment(&self, flat: ArrayView2<'_, f32>) -> Result<Segmentation, ImagingError> {
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
        if (rows.min(columns) as f64) < scale {
            return Err(ImagingError::TooSmall {
                what: "segmentation of so long a frame",
                rows,
                columns,
                least: scale.ceil() as usize,
            });
        }
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
        let segmentation = |mask, flags| Segmentation {
            mask,
            scale,
            flags,
            rows,
            columns,
        };

        let weight = match self.component {
            Component::Central => central_weight(shape),
            Component::Largest => Array2::ones(shape),
        };
        let weighted = darkness.iter().copied().zip(weight.iter().copied());
        let first = self.threshold.weighted(weighted).max(LEAST_CONTRAST);
        let least_pixels = (LEAST_AREA * darkness.len() as f64).ceil() as usize;
        let dark = darkness.mapv(|d| d > first);
        let mut large = parts(&dark);
        large.retain(|part| part.len() >= least_pixels);
        let contrasted = |part: &[(usize, usize)]| {
            let sum: f64 = part.iter().map(|&at| f64::from(darkness[at])).sum();
            sum >= LEAST_MEAN_CONTRAST * part.len() as f64
        };
        let within = |part: &[(usize, usize)]| !part.iter().any(|&at| is_border(dark.dim(), at));
        // A faint shadow may outweigh a small spheroid; the wall of an empty well is none.
        let Some(core) = heaviest(&large, &weight, |_| true)
            .filter(|part| contrasted(part))
            .or_else(|| heaviest(&large, &weight, |part| contrasted(part) && within(part)))
            .map(|part| mask_of(dark.dim(), part))
        else {
            return Ok(segmentation(
                Array2::default(shape),
                vec![SegmentationFlag::EmptyWell],
            ));
        };
        let outline = Outline::steepest(&darkness, &core, first);
        let solid = without_thin_parts(&outline.mask);
        let flags = flags(&darkness, &outline, &solid);
        Ok(segmentation(solid, flags))
    }
}

/// The connected part around the spheroid at one level of darkness, filled.
struct Outline {
    mask: Array2<bool>,
    level: f32,
    /// Mean rise of the darkness along it, a pixel.
    steepness: f64,
}

impl Outline {
    /// The outline at the level, up to `first`, at which it is steepest.
    fn steepest(darkness: &Array2<f32>, core: &Array2<bool>, first: f32) -> Self {
        let lowest = background_level(darkness, first).clamp(LEAST_CONTRAST / 2.0, first);
        let most = MOST_GROWTH * area(core);
        let at = |step: usize| {
            let share = step as f32 / (LEVELS - 1) as f32;
            let level = first + share * (lowest - first);
            let dark = darkness.mapv(|value| value > level);
            let mask = filled(&part_around(&dark, core));
            let steepness = mean_rise(darkness, &mask);
            Self {
                mask,
                level,
                steepness,
            }
        };
        let mut best = at(0);
        for step in 1..LEVELS {
            let next = at(step);
            if area(&next.mask) > most {
                break;
            }
            if next.steepness >= best.steepness {
                best = next;
            }
        }
        best
    }
}

/// Darkness that noise and uneven light reach in the background: what is at most `first`, and its
/// median and spread.
fn background_level(darkness: &Array2<f32>, first: f32) -> f32 {
    /// From the median absolute deviation to the standard deviation of a normal distribution.
    const MAD: f32 = 1.4826;
    let mut values: Vec<f32> = darkness.iter().copied().filter(|&v| v <= first).collect();
    let median_of = |values: &mut [f32]| {
        let middle = values.len() / 2;
        *values.select_nth_unstable_by(middle, f32::total_cmp).1
    };
    if values.is_empty() {
        return first;
    }
    let median = median_of(&mut values);
    values
        .iter_mut()
        .for_each(|value| *value = (*value - median).abs());
    median + BACKGROUND_DEVIATIONS * MAD * median_of(&mut values)
}

/// Mean rise of the darkness from pixels just outside of `mask` to those just inside.
fn mean_rise(darkness: &Array2<f32>, mask: &Array2<bool>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for ((row, column), _) in mask.indexed_iter().filter(|&(_, &inside)| inside) {
        for &(down, right) in &EIGHT[..4] {
            let next = (
                row.wrapping_add_signed(down),
                column.wrapping_add_signed(right),
            );
            if mask.get(next) == Some(&false) {
                sum += f64::from(darkness[(row, column)] - darkness[next]);
                count += 1.0;
            }
        }
    }
    if count > 0.0 { sum / count } else { 0.0 }
}

/// Opening by a disc, of which the largest part is kept; `mask` itself where it is too small.
fn without_thin_parts(mask: &Array2<bool>) -> Array2<bool> {
    let radius = THIN / 2.0 * (4.0 * area(mask) / std::f64::consts::PI).sqrt();
    let opened = dilated(&eroded(mask, radius), radius);
    parts(&opened)
        .into_iter()
        .max_by_key(Vec::len)
        .map_or_else(|| mask.clone(), |part| mask_of(mask.dim(), &part))
}

fn flags(darkness: &Array2<f32>, outline: &Outline, solid: &Array2<bool>) -> Vec<SegmentationFlag> {
    let spheroid = area(solid);
    let diameter = (4.0 * spheroid / std::f64::consts::PI).sqrt();
    let mut flags = Vec::new();
    if border(solid.dim()).any(|pixel| solid[pixel]) {
        flags.push(SegmentationFlag::TouchesBorder);
    }

    // What is dark besides, but for the wall of the well, which comes from the edge of the frame.
    let level = outline.level.max(LEAST_CONTRAST);
    let others = Zip::from(darkness)
        .and(solid)
        .map_collect(|&d, &own| d > level && !own);
    let (mut specks, mut fibre, mut second) = (0.0, false, false);
    let shorter = darkness.nrows().min(darkness.ncols()) as f64;
    for part in parts(&others) {
        let (length, width) = extent(&part);
        let thin = width <= FIBRE_WIDTH * shorter
            && !along_an_edge(darkness.dim(), &part, FIBRE_WIDTH * shorter);
        let long = length >= FIBRE_LENGTH * shorter && length >= FIBRE_RATIO * width;
        let at_border = part.iter().any(|&pixel| is_border(darkness.dim(), pixel));
        let at_spheroid = part.iter().any(|&pixel| near(solid, pixel));
        // A rim that is left where the outline was cut is no thing of its own.
        let rim = width < 2.0 && part.iter().all(|&pixel| near(solid, pixel));
        if thin && !rim && (long || at_border && at_spheroid && length >= 2.0 * width) {
            fibre = true;
        } else if !at_border && !rim {
            if part.len() as f64 >= SECOND_OBJECT * spheroid {
                second = true;
            } else {
                specks += part.len() as f64;
            }
        }
    }
    if second || is_double(solid) {
        flags.push(SegmentationFlag::SeveralObjects);
    }
    let contrast = mean_under(darkness, solid) - f64::from(outline.level);
    let softest = (SOFT_EDGE * diameter).max(SOFT_EDGE_PIXELS);
    if contrast.max(f64::from(LEAST_CONTRAST)) > softest * outline.steepness {
        flags.push(SegmentationFlag::OutOfFocus);
    }
    if fibre {
        flags.push(SegmentationFlag::Fibre);
    }
    if specks >= MUCH_DEBRIS * spheroid {
        flags.push(SegmentationFlag::Debris);
    }
    flags
}

/// Whether all of `part` is within `distance` of one of the four edges of the frame.
fn along_an_edge((rows, columns): (usize, usize), part: &[(usize, usize)], distance: f64) -> bool {
    let close = |to_edge: &dyn Fn(&(usize, usize)) -> usize| {
        part.iter().all(|pixel| (to_edge(pixel) as f64) < distance)
    };
    close(&|pixel| pixel.0)
        || close(&|pixel| pixel.1)
        || close(&|pixel| rows - 1 - pixel.0)
        || close(&|pixel| columns - 1 - pixel.1)
}

/// Length and width of the rectangle, along its axes of inertia, of the same second moments.
fn extent(part: &[(usize, usize)]) -> (f64, f64) {
    let count = part.len() as f64;
    let mean = |of: &dyn Fn(&(usize, usize)) -> f64| part.iter().map(of).sum::<f64>() / count;
    let (row, column) = (mean(&|p| p.0 as f64), mean(&|p| p.1 as f64));
    // A pixel is a square, not a point.
    const SQUARE: f64 = 1.0 / 12.0;
    let rr = mean(&|p| (p.0 as f64 - row).powi(2)) + SQUARE;
    let cc = mean(&|p| (p.1 as f64 - column).powi(2)) + SQUARE;
    let rc = mean(&|p| (p.0 as f64 - row) * (p.1 as f64 - column));
    let spread = (0.25 * (rr - cc).powi(2) + rc * rc).sqrt();
    let along = 0.5 * (rr + cc) + spread;
    let across = (0.5 * (rr + cc) - spread).max(SQUARE);
    ((12.0 * along).sqrt(), (12.0 * across).sqrt())
}

/// Whether the pixel or one around it is in the mask.
fn near(mask: &Array2<bool>, (row, column): (usize, usize)) -> bool {
    EIGHT.iter().any(|&(down, right)| {
        let next = (
            row.wrapping_add_signed(down),
            column.wrapping_add_signed(right),
        );
        mask.get(next) == Some(&true)
    })
}

/// Pixels of `mask` that are further than `radius` from what lies outside of it; the frame does not
/// count as outside.
fn eroded(mask: &Array2<bool>, radius: f64) -> Array2<bool> {
    squared_distances(&!mask).mapv(|squared| squared > radius * radius)
}

/// Pixels that are no further than `radius` from `mask`.
fn dilated(mask: &Array2<bool>, radius: f64) -> Array2<bool> {
    squared_distances(mask).mapv(|squared| squared <= radius * radius)
}

/// Whether the mask is two bodies that touch: whether it has two middles, the second of at least a
/// quarter of the first one's area.
fn is_double(mask: &Array2<bool>) -> bool {
    let depth = squared_distances(&!mask);
    let deepest = depth.iter().copied().fold(0.0, f64::max);
    let mut middles: Vec<usize> = parts(&depth.mapv(|squared| squared > NECK * NECK * deepest))
        .iter()
        .map(Vec::len)
        .collect();
    middles.sort_unstable_by(|a, b| b.cmp(a));
    matches!(middles[..], [first, second, ..] if second as f64 >= SECOND_OBJECT * first as f64)
}

fn area(mask: &Array2<bool>) -> f64 {
    mask.iter().filter(|&&inside| inside).count() as f64
}

/// The connected parts of `mask`.
fn parts(mask: &Array2<bool>) -> Vec<Vec<(usize, usize)>> {
    let mut unseen = mask.clone();
    let mut parts = Vec::new();
    for (start, _) in mask.indexed_iter().filter(|&(_, &dark)| dark) {
        if unseen[start] {
            parts.push(flood(&mut unseen, [start], &EIGHT));
        }
    }
    parts
}

fn mask_of(shape: (usize, usize), pixels: &[(usize, usize)]) -> Array2<bool> {
    let mut mask = Array2::default(shape);
    for &pixel in pixels {
        mask[pixel] = true;
    }
    mask
}

/// The parts of `mask` that `core` lies in.
fn part_around(mask: &Array2<bool>, core: &Array2<bool>) -> Array2<bool> {
    let starts = core
        .indexed_iter()
        .filter(|&(_, &inside)| inside)
        .map(|(pixel, _)| pixel);
    let pixels = flood(&mut mask.clone(), starts.collect::<Vec<_>>(), &EIGHT);
    mask_of(mask.dim(), &pixels)
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

/// The part with the greatest weight among those that `qualify`.
fn heaviest<'a>(
    parts: &'a [Vec<(usize, usize)>],
    weights: &Array2<f64>,
    qualify: impl Fn(&[(usize, usize)]) -> bool,
) -> Option<&'a [(usize, usize)]> {
    let weight = |part: &[(usize, usize)]| part.iter().map(|&pixel| weights[pixel]).sum::<f64>();
    let fit = parts.iter().map(Vec::as_slice).filter(|part| qualify(part));
    fit.max_by(|a, b| weight(a).total_cmp(&weight(b)))
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
    Zip::from(mask)
        .and(&enclosed)
        .map_collect(|&dark, &hole| dark || hole)
}

fn border((rows, columns): (usize, usize)) -> impl Iterator<Item = (usize, usize)> {
    let sides = (0..rows).flat_map(move |row| [(row, 0), (row, columns - 1)]);
    let ends = (0..columns).flat_map(move |column| [(0, column), (rows - 1, column)]);
    sides.chain(ends)
}

fn is_border((rows, columns): (usize, usize), (row, column): (usize, usize)) -> bool {
    row == 0 || column == 0 || row + 1 == rows || column + 1 == columns
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
            &[(250.0, 240.0, 60.0, 0.3), (80.0, 400.0, 24.0, 0.5)],
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
    fn a_faint_shadow_does_not_hide_a_small_spheroid() {
        let scene = plane(
            (256, 256),
            &[(128.0, 80.0, 45.0, 0.09), (128.0, 180.0, 8.0, 0.3)],
        );
        let found = segment(scene.view()).unwrap();
        assert!(!found.has(SegmentationFlag::EmptyWell));
        assert!(found.mask[(128, 180)] && !found.mask[(128, 80)]);
    }

    #[test]
    fn the_wall_of_a_well_with_a_faint_shadow_is_no_spheroid() {
        let mut scene = plane((256, 256), &[(128.0, 110.0, 45.0, 0.09)]);
        scene.slice_mut(ndarray::s![.., 250..]).fill(0.85);
        let found = segment(scene.view()).unwrap();
        assert_eq!(found.flags, [SegmentationFlag::EmptyWell]);
    }

    #[test]
    fn much_debris_is_flagged_and_some_is_not() {
        let scene = |specks: usize| {
            let mut discs = vec![(128.0, 128.0, 20.0, 0.5)];
            discs.extend((0..specks).map(|speck| {
                let (row, column) = (speck / 10 * 200 + 20, speck % 10 * 22 + 25);
                (row as f64, column as f64, 3.0, 0.5)
            }));
            segment(plane((256, 256), &discs).view()).unwrap().flags
        };
        assert_eq!(scene(20), [SegmentationFlag::Debris]);
        assert!(scene(4).is_empty());
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
        let long = segment(Array2::ones((1, 25_600)).view());
        assert!(matches!(
            long,
            Err(ImagingError::TooSmall { least: 100, .. })
        ));
        let huge = segment(arr2(&[[f32::MAX, f32::MIN], [0.0, 1.0]]).view());
        assert!(huge.is_ok());
    }
}
