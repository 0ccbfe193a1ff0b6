use std::{f64::consts::LN_10, ops::Range};

use ndarray::{Array2, ArrayView2, s};

use super::mask_index;
use crate::{ImagingError, distance::squared_distances};

/// Number of rings of the radial profile.
const RINGS: usize = 10;
/// Width of the seam around the outline that counts neither as spheroid nor as background, in mask
/// pixels: the spheroid's blurred edge and the smoothing of the segmentation reach that far.
const SEAM: usize = 4;
/// What darkens the background by more than this, outside the spheroid, is debris.
const DEBRIS_CONTRAST: f32 = 0.1;
/// The darkest that a pixel counts in optical density, 4.8: one tone of 16 bits.
const LEAST_TRANSMITTANCE: f64 = 1.0 / 65_536.0;

/// Tones inside and outside a mask, relative to the background.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Intensity {
    pub(super) mean: f64,
    /// At 5, 25, 50, 75 and 95 %.
    pub(super) percentiles: [f64; 5],
    pub(super) optical_density: f64,
    pub(super) core_darkness: Option<f64>,
    pub(super) radial_profile: [Option<f64>; RINGS],
    pub(super) debris: Option<f64>,
}

impl Intensity {
    /// Measures `flat` under `mask`, whose pixels have the side `scale`.
    pub(super) fn measure(
        mask: &Array2<bool>,
        scale: f64,
        flat: ArrayView2<'_, f32>,
    ) -> Result<Self, ImagingError> {
        let sweep = sweep(&regions(mask), scale, flat)?;
        let all = sweep.rings.iter().fold(Mean::default(), Mean::join);
        let mean = all.value().ok_or(ImagingError::NoSpheroid)?;
        let (rim, core) = sweep.rings.split_at(RINGS / 2);
        let [rim, core] = [rim, core].map(|half| half.iter().fold(Mean::default(), Mean::join));
        Ok(Self {
            mean,
            percentiles: percentiles(&sweep.inside, [0.05, 0.25, 0.5, 0.75, 0.95]),
            optical_density: optical_density(&sweep.inside),
            core_darkness: rim.value().zip(core.value()).map(|(rim, core)| rim - core),
            radial_profile: sweep.rings.map(|ring| ring.value()),
            debris: (sweep.away > 0).then(|| sweep.debris as f64 / sweep.away as f64),
        })
    }
}

/// What a mask pixel counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Region {
    /// Spheroid; rings are counted from the outline inwards.
    Ring(usize),
    /// Too close to the outline to be judged as background.
    Seam,
    /// Background and debris.
    Away,
}

/// Divides the mask in rings of equal relative depth, and what surrounds it in seam and background.
///
/// The depth of a pixel is the distance from its centre to the nearest pixel outside, less one half
/// to reach that pixel's edge; it is relative to that of the deepest pixel. What lies beyond the
/// frame is outside.
fn regions(mask: &Array2<bool>) -> Array2<Region> {
    let mut regions = Array2::from_elem(mask.dim(), Region::Away);
    let inside = || {
        mask.indexed_iter()
            .filter(|&(_, &inside)| inside)
            .map(|(pixel, _)| pixel)
    };
    let extent = |side: usize, positions: &mut dyn Iterator<Item = usize>| {
        let (first, last) =
            positions.fold((side, 0), |(first, last), p| (first.min(p), last.max(p)));
        first.saturating_sub(SEAM)..(last + SEAM + 1).min(side)
    };
    let rows = extent(mask.nrows(), &mut inside().map(|(row, _)| row));
    let columns = extent(mask.ncols(), &mut inside().map(|(_, column)| column));
    if rows.is_empty() || columns.is_empty() {
        return regions;
    }
    // A border of one pixel stands for what lies beyond.
    let mut near = Array2::default((rows.len() + 2, columns.len() + 2));
    near.slice_mut(s![1..=rows.len(), 1..=columns.len()])
        .assign(&mask.slice(s![rows.clone(), columns.clone()]));
    let outside = squared_distances(&near);
    let depth = squared_distances(&near.mapv(|inside| !inside)).mapv(|d| d.sqrt() - 0.5);
    let deepest = depth.iter().fold(0.0_f64, |deepest, &d| deepest.max(d));
    for ((row, column), region) in regions.slice_mut(s![rows, columns]).indexed_iter_mut() {
        let pixel = (row + 1, column + 1);
        if near[pixel] {
            let ring = (depth[pixel] / deepest * RINGS as f64) as usize;
            *region = Region::Ring(ring.min(RINGS - 1));
        } else if outside[pixel] <= (SEAM * SEAM) as f64 {
            *region = Region::Seam;
        }
    }
    regions
}

/// Sum and number of values.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    fn join(self, other: &Self) -> Self {
        Self {
            sum: self.sum + other.sum,
            count: self.count + other.count,
        }
    }

    fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// What one pass over the plane collects.
struct Sweep {
    inside: Vec<f32>,
    rings: [Mean; RINGS],
    away: u64,
    debris: u64,
}

/// Reads every pixel of the plane once; the region of a pixel is that in which its centre lies.
fn sweep(
    regions: &Array2<Region>,
    scale: f64,
    flat: ArrayView2<'_, f32>,
) -> Result<Sweep, ImagingError> {
    let columns: Vec<usize> = (0..flat.ncols())
        .map(|column| mask_index(column as f64 + 0.5, scale, regions.ncols()))
        .collect();
    let runs: Vec<_> = regions
        .rows()
        .into_iter()
        .map(|row| runs(row.iter(), &columns))
        .collect();
    let flat = flat.as_standard_layout();
    let mut sweep = Sweep {
        inside: Vec::new(),
        rings: [Mean::default(); RINGS],
        away: 0,
        debris: 0,
    };
    for (row, values) in flat.rows().into_iter().enumerate() {
        let values = values
            .to_slice()
            .expect("rows of the standard layout are contiguous");
        for (region, span) in &runs[mask_index(row as f64 + 0.5, scale, runs.len())] {
            let part = &values[span.clone()];
            if !all_finite(part) {
                let offset = part
                    .iter()
                    .position(|value| !value.is_finite())
                    .unwrap_or(0);
                let (column, value) = (span.start + offset, part[offset]);
                return Err(ImagingError::NotFinite { row, column, value });
            }
            match region {
                Region::Ring(ring) => {
                    let ring = &mut sweep.rings[*ring];
                    *ring = ring.join(&Mean {
                        sum: sum(part),
                        count: part.len() as u64,
                    });
                    sweep.inside.extend_from_slice(part);
                }
                Region::Seam => {}
                Region::Away => {
                    let dark = |&value: &f32| u64::from(value < 1.0 - DEBRIS_CONTRAST);
                    sweep.debris += part.iter().map(dark).sum::<u64>();
                    sweep.away += part.len() as u64;
                }
            }
        }
    }
    Ok(sweep)
}

/// The columns of the plane that each run of equal regions covers; `columns` tells the mask column
/// of each.
fn runs<'a>(
    regions: impl Iterator<Item = &'a Region>,
    columns: &[usize],
) -> Vec<(Region, Range<usize>)> {
    let mut runs: Vec<(Region, Range<usize>)> = Vec::new();
    for (mask_column, &region) in regions.enumerate() {
        let end = columns.partition_point(|&column| column <= mask_column);
        match runs.last_mut() {
            Some((last, span)) if *last == region => span.end = end,
            last => {
                let start = last.map_or(0, |(_, span)| span.end);
                runs.push((region, start..end));
            }
        }
    }
    runs
}

/// Whole blocks at a time, which takes no branch a value.
fn all_finite(values: &[f32]) -> bool {
    values.chunks(64).all(|block| {
        block
            .iter()
            .fold(true, |finite, value| finite & value.is_finite())
    })
}

/// Sum in eight strands, which the processor adds at once.
fn sum(values: &[f32]) -> f64 {
    let (eights, rest) = values.as_chunks::<8>();
    let mut strands = [0.0_f64; 8];
    for eight in eights {
        for (strand, &value) in strands.iter_mut().zip(eight) {
            *strand += f64::from(value);
        }
    }
    strands.iter().sum::<f64>() + rest.iter().map(|&value| f64::from(value)).sum::<f64>()
}

/// Mean of −log₁₀ of the values, none counted as less than [`LEAST_TRANSMITTANCE`].
fn optical_density(values: &[f32]) -> f64 {
    // One logarithm a product of seven, which stays between 2⁻¹¹² and 2⁸⁹⁶.
    let logarithms: f64 = values
        .chunks(7)
        .map(|seven| {
            let least = |&value: &f32| f64::from(value).max(LEAST_TRANSMITTANCE);
            seven.iter().map(least).product::<f64>().ln()
        })
        .sum();
    -logarithms / (LN_10 * values.len() as f64)
}

/// Percentiles of `values`, of which there is at least one, at `shares`, interpolated linearly
/// between the two nearest (type 7 of Hyndman and Fan).
fn percentiles<const N: usize>(values: &[f32], shares: [f64; N]) -> [f64; N] {
    let last = values.len() - 1;
    let ranks = shares.map(|share| {
        let rank = share * last as f64;
        let below = (rank as usize).min(last);
        (below, (below + 1).min(last), rank - below as f64)
    });
    let needed = ranks.iter().flat_map(|&(below, above, _)| [below, above]);
    let sorted = PartlySorted::new(values, needed);
    ranks.map(|(below, above, share)| {
        let [below, above] = [below, above].map(|rank| f64::from(sorted.at(rank)));
        below + share * (above - below)
    })
}

/// The values of a few ranks without sorting the rest: only what shares the upper half of its bits
/// with the value of a rank is sorted.
struct PartlySorted {
    /// Keys of the drawers that were opened, in order.
    keys: Vec<u32>,
    /// Of each drawer: how many values lie in those before it, in all and in opened ones.
    before: Vec<(usize, usize)>,
}

impl PartlySorted {
    fn new(values: &[f32], ranks: impl Iterator<Item = usize>) -> Self {
        const DRAWERS: usize = 1 << 16;
        let drawer = |key: u32| (key >> 16) as usize;
        let mut counts = vec![0_usize; DRAWERS];
        for &value in values {
            counts[drawer(key(value))] += 1;
        }
        let mut total = 0;
        let mut before: Vec<(usize, usize)> = counts
            .iter()
            .map(|count| {
                total += count;
                (total - count, 0)
            })
            .collect();
        let mut opened = vec![false; DRAWERS];
        for rank in ranks {
            opened[Self::drawer_of(&before, rank)] = true;
        }
        let mut total = 0;
        for ((before, &opened), count) in before.iter_mut().zip(&opened).zip(&counts) {
            before.1 = total;
            total += if opened { *count } else { 0 };
        }
        let mut keys: Vec<u32> = values
            .iter()
            .map(|&v| key(v))
            .filter(|&key| opened[drawer(key)])
            .collect();
        keys.sort_unstable();
        Self { keys, before }
    }

    /// The last drawer that begins at or before `rank`: empty ones begin where the next does.
    fn drawer_of(before: &[(usize, usize)], rank: usize) -> usize {
        before
            .partition_point(|&(all, _)| all <= rank)
            .saturating_sub(1)
    }

    fn at(&self, rank: usize) -> f32 {
        let (all, opened) = self.before[Self::drawer_of(&self.before, rank)];
        value(self.keys[rank - all + opened])
    }
}

const SIGN: u32 = 1 << 31;

/// A whole number that orders as `value`, which is finite, does.
fn key(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

fn value(key: u32) -> f32 {
    f32::from_bits(if key & SIGN == 0 { !key } else { key ^ SIGN })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rings_lie_within_each_other_and_a_seam_lies_around() {
        let mask = Array2::from_shape_fn((64, 64), |(r, c)| {
            (r as f64 - 32.0).hypot(c as f64 - 32.0) < 20.5
        });
        let regions = regions(&mask);
        // Half a pixel beyond the last true pixel lies the outline, 20 pixels further the centre.
        let along: Vec<Region> = (32..64).map(|column| regions[(32, column)]).collect();
        assert_eq!(along[0], Region::Ring(9));
        assert_eq!(along[20], Region::Ring(0));
        assert!(along[..21].windows(2).all(|pair| match (pair[0], pair[1]) {
            (Region::Ring(inner), Region::Ring(outer)) => inner >= outer,
            _ => false,
        }));
        assert_eq!(along[21..25], [Region::Seam; 4]);
        assert!(along[25..].iter().all(|&region| region == Region::Away));
    }

    #[test]
    fn the_edge_of_the_frame_is_an_outline() {
        let regions = regions(&Array2::from_elem((5, 9), true));
        assert_eq!(regions[(2, 0)], Region::Ring(2));
        assert_eq!(regions[(2, 4)], Region::Ring(9));
        assert!(
            super::regions(&Array2::default((3, 3)))
                .iter()
                .all(|&r| r == Region::Away)
        );
    }

    #[test]
    fn optical_density_is_the_mean_of_logarithms_with_a_floor() {
        assert_eq!(optical_density(&[1.0; 7]), 0.0);
        assert!((optical_density(&[0.1, 0.01, 1.0, 0.1, 0.001]) - 7.0 / 5.0).abs() < 1e-7);
        let floor = 16.0 * 2.0_f64.log10();
        for dark in [0.0, -3.0, 1e-30, f32::MIN] {
            assert!(
                (optical_density(&[dark; 5]) - floor).abs() < 1e-12,
                "{dark}"
            );
        }
        let bright = f64::from(f32::MAX).log10();
        assert!((optical_density(&[f32::MAX; 14]) + bright).abs() < 1e-12);
    }

    #[test]
    fn keys_order_as_their_values_do() {
        let values = [
            f32::MIN,
            -1.5,
            -f32::MIN_POSITIVE,
            0.0,
            1e-40,
            0.7,
            0.700_000_1,
            f32::MAX,
        ];
        assert!(values.windows(2).all(|pair| key(pair[0]) < key(pair[1])));
        assert!(values.iter().all(|&v| value(key(v)) == v));
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_sorted_values(
            mut values in prop::collection::vec(
                prop_oneof![-2.0..2.0_f32, 0.5..0.501_f32, Just(0.25_f32)], 1..300),
        ) {
            let shares = [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0];
            let found = percentiles(&values, shares);
            values.sort_by(f32::total_cmp);
            for (found, share) in found.into_iter().zip(shares) {
                let rank = share * (values.len() - 1) as f64;
                let [below, above] =
                    [rank.floor(), rank.ceil()].map(|rank| f64::from(values[rank as usize]));
                let expected = below + rank.fract() * (above - below);
                prop_assert!((found - expected).abs() < 1e-12, "{share}: {found} {expected}");
            }
        }
    }
}
