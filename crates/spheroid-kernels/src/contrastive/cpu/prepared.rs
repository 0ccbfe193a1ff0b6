//! Rows laid out for the tiles.

use std::ops::Range;

use super::{EXCLUDED, schedule::map};
use crate::{
    contrastive::task::{Arrangement, NO_GROUP, Task},
    product::{MOST_ROWS, STEP, distance},
    real::Real,
};

/// The most rows of a block: a tile of two blocks, and the rows of both, shall stay in the second cache.
const MOST: usize = 192;

/// Normalised rows in blocks.
pub(super) struct Prepared<T> {
    pub(super) blocks: Vec<Block<T>>,
    /// The blocks of a bank, behind all others.
    pub(super) bank: Range<usize>,
    /// Rows of a block with padding, and the distance of the rows of a tile.
    pub(super) height: usize,
    features: usize,
    /// Distance of rows in memory.
    pub(super) pitch: usize,
    /// Whether exponentials of similarities neither overflow nor vanish.
    pub(super) bounded: bool,
}

/// Rows that meet others together, with zeros behind the last.
pub(super) struct Block<T> {
    pub(super) rows: Range<usize>,
    /// `[height][pitch]`; empty when rows are only compared.
    pub(super) values: Vec<T>,
    /// `[features][height]`, times √(log₂ e / τ).
    pub(super) columns: Vec<T>,
    /// Group of every row, `[height]`.
    pub(super) groups: Vec<u32>,
    /// The least and the greatest of the groups.
    bounds: [u32; 2],
    /// Length of every row.
    pub(super) norms: Vec<f64>,
}

impl<T> Block<T> {
    pub(super) fn count(&self) -> usize {
        self.rows.len()
    }
}

/// Number of blocks of `rows` rows and how many rows are in each. It does not depend on the number of threads, since
/// results do depend on it.
fn layout(rows: usize) -> (usize, usize) {
    let blocks = match rows {
        0..=96 => 1,
        97..=384 => 4,
        // Rounds of whole fours of meetings keep two or four threads busy.
        _ => rows.div_ceil(MOST).next_multiple_of(8),
    };
    (blocks, rows.div_ceil(blocks).next_multiple_of(STEP))
}

impl<T: Real> Prepared<T> {
    /// Rows to be compared alone, or with `keep` also to be added up.
    pub(super) fn new(z: &[T], temperature: f64, task: &Task, keep: bool) -> Self {
        let features = z.len() / task.rows();
        let pitch = distance(features);
        let parts = task.parts();
        let (first, count) = layout(parts[0].len());
        let height = distance(count);
        let second = match task.arrangement {
            Arrangement::Within { .. } => parts[1].len().div_ceil(count),
            Arrangement::Between => first,
        };
        let ranges = parts.into_iter().zip([first, second]);
        let ranges: Vec<_> = ranges
            .flat_map(|(part, blocks)| {
                let bound = move |i: usize| (part.start + i * count).min(part.end);
                (0..blocks).map(move |i| bound(i)..bound(i + 1))
            })
            .collect();
        let scale = T::from_f64((std::f64::consts::LOG2_E / temperature).sqrt());
        // Each thread makes the memory that it fills: less at a time, and in parallel.
        let block = |rows: Range<usize>| {
            let mut values = vec![T::default(); height * pitch];
            let source = z[rows.start * features..rows.end * features].chunks_exact(features);
            let targets = values.chunks_exact_mut(pitch);
            let norms = source
                .zip(targets)
                .map(|(source, row)| normalize(source, &mut row[..features]))
                .collect();
            let mut columns = vec![T::default(); features * height];
            transpose(&values, pitch, &mut columns, height, scale);
            if !keep {
                values = Vec::new();
            }
            let mut groups = task.groups()[rows.clone()].to_vec();
            let least = groups.iter().copied().min().unwrap_or(NO_GROUP);
            let greatest = groups.iter().copied().max().unwrap_or(0);
            groups.resize(height, NO_GROUP);
            Block {
                rows,
                values,
                columns,
                groups,
                bounds: [least, greatest],
                norms,
            }
        };
        let blocks = map(ranges, block);
        Self {
            bank: match task.arrangement {
                Arrangement::Within { .. } => first..blocks.len(),
                Arrangement::Between => blocks.len()..blocks.len(),
            },
            height,
            features,
            pitch,
            bounded: std::f64::consts::LOG2_E / temperature <= 60.0,
            blocks,
        }
    }

    pub(super) fn features(&self) -> usize {
        self.features
    }

    /// Features of rows in whole vectors.
    pub(super) fn width(&self) -> usize {
        self.features.next_multiple_of(STEP)
    }

    /// Whether two blocks can have rows of one group.
    pub(super) fn related(&self, a: usize, b: usize) -> bool {
        let ([a, b], [c, d]) = (self.blocks[a].bounds, self.blocks[b].bounds);
        a <= d && c <= b
    }

    /// Values of a tile.
    pub(super) fn tile(&self) -> usize {
        debug_assert!(self.height.is_multiple_of(MOST_ROWS));
        self.height * self.height
    }

    /// Takes out of a tile what is behind the last row of the second block, and rows that meet themselves.
    #[inline(always)]
    pub(super) fn exclude(&self, tile: &mut [T], a: usize, b: usize) {
        let [rows, columns] = [a, b].map(|block| self.blocks[block].count());
        if columns < self.height {
            for row in tile.chunks_exact_mut(self.height).take(rows) {
                row[columns..].fill(T::from_f64(EXCLUDED));
            }
        }
        if a == b {
            for i in 0..rows {
                tile[i * self.height + i] = T::from_f64(EXCLUDED);
            }
        }
    }
}

/// Writes a row of length 1 and returns the length that it had, which is not a number for a row that is not
/// finite. Zeros stay zeros.
fn normalize<T: Real>(row: &[T], unit: &mut [T]) -> f64 {
    let squares = |scale: f64| sum(row, |value: T| (value.to_f64() * scale).powi(2));
    let mut scale = 1.0;
    let mut square = squares(scale);
    // Squares of single floats are well within a double; those of doubles need not be.
    if !(1e-280..1e280).contains(&square) {
        let largest = row
            .iter()
            .fold(0.0f64, |most, v| most.max(v.to_f64().abs()));
        if largest == 0.0 || square.is_nan() || !largest.is_finite() {
            return if square == 0.0 { 0.0 } else { f64::NAN };
        }
        scale = 1.0 / largest;
        square = squares(scale);
    }
    let inverse = scale / square.sqrt();
    for (unit, value) in unit.iter_mut().zip(row) {
        *unit = T::from_f64(value.to_f64() * inverse);
    }
    square.sqrt() / scale
}

/// Sum in double precision. Several sums side by side become one vector.
#[inline(always)]
fn sum<A: Copy>(values: &[A], term: impl Fn(A) -> f64) -> f64 {
    let (groups, rest) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for group in groups {
        for (sum, value) in sums.iter_mut().zip(group) {
            *sum += term(*value);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|value| term(*value)).sum::<f64>()
}

/// Product of whole vectors in double precision.
pub(super) fn dot<T: Real>(a: &[T], b: &[T]) -> f64 {
    let mut sums = [0.0; 8];
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a.to_f64() * b.to_f64();
        }
    }
    sums.iter().sum()
}

/// `columns[k][i] = rows[i][k] · scale`.
fn transpose<T: Real>(rows: &[T], pitch: usize, columns: &mut [T], height: usize, scale: T) {
    for first in (0..height).step_by(STEP) {
        let rows = &rows[first * pitch..][..STEP * pitch];
        for (k, column) in columns.chunks_exact_mut(height).enumerate() {
            for (value, row) in column[first..][..STEP]
                .iter_mut()
                .zip(rows.chunks_exact(pitch))
            {
                *value = row[k] * scale;
            }
        }
    }
}
