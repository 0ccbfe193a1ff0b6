//! Rows laid out for the tiles.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    product::MOST_ROWS,
    real::{EXCLUDED, Real},
};
use crate::contrastive::task::{Arrangement, NO_GROUP, Task};

/// The most rows of a block: a tile of two blocks, and the rows of both, shall stay in the second cache.
const MOST: usize = 192;
/// Heights of blocks are multiples of it: whole vectors and whole tiles on every processor.
const STEP: usize = 16;

/// Normalised rows in blocks, zeros behind the last row of a block.
pub(super) struct Prepared<T> {
    pub(super) blocks: Vec<Block>,
    /// Number of blocks of the first part of the rows.
    pub(super) first: usize,
    /// Rows of a block with padding.
    pub(super) height: usize,
    features: usize,
    /// Features with padding.
    pub(super) pitch: usize,
    /// `[block][height][pitch]`.
    rows: Vec<T>,
    /// `[block][features][height]`, times √(log₂ e / τ).
    columns: Vec<T>,
    /// `[block][height]`.
    groups: Vec<u32>,
    /// Length of every row.
    pub(super) norms: Vec<f64>,
    /// Whether exponentials of similarities neither overflow nor vanish.
    pub(super) bounded: bool,
}

/// Rows that meet others together.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) rows: Range<usize>,
    /// The least and the greatest group of its rows.
    groups: [u32; 2],
}

impl Block {
    pub(super) fn count(&self) -> usize {
        self.rows.len()
    }
}

/// Number of blocks of `rows` rows and their height. It does not depend on the number of threads, since
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
    pub(super) fn new(z: &[T], temperature: f64, task: &Task) -> Self {
        let features = z.len() / task.rows();
        let pitch = features.next_multiple_of(STEP);
        let parts = task.parts();
        let (first, height) = layout(parts[0].len());
        let mut blocks = Vec::new();
        let second = match task.arrangement {
            Arrangement::Within { .. } => parts[1].len().div_ceil(height),
            Arrangement::Between => first,
        };
        for (part, count) in parts.into_iter().zip([first, second]) {
            for i in 0..count {
                let bound = |i: usize| (part.start + i * height).min(part.end);
                let rows = bound(i)..bound(i + 1);
                let groups = &task.groups()[rows.clone()];
                let least = groups.iter().copied().min().unwrap_or(NO_GROUP);
                let greatest = groups.iter().copied().max().unwrap_or(0);
                blocks.push(Block {
                    rows,
                    groups: [least, greatest],
                });
            }
        }
        let mut prepared = Self {
            first,
            height,
            features,
            pitch,
            rows: vec![T::default(); blocks.len() * height * pitch],
            columns: vec![T::default(); blocks.len() * height * features],
            groups: vec![NO_GROUP; blocks.len() * height],
            norms: vec![0.0; task.rows()],
            bounded: std::f64::consts::LOG2_E / temperature <= 60.0,
            blocks,
        };
        prepared.fill(z, (std::f64::consts::LOG2_E / temperature).sqrt(), task);
        prepared
    }

    fn fill(&mut self, z: &[T], scale: f64, task: &Task) {
        let Self {
            height,
            features,
            pitch,
            ..
        } = *self;
        let mut norms = Vec::with_capacity(self.blocks.len());
        let mut rest = &mut self.norms[..];
        for block in &self.blocks {
            let (own, behind) = rest.split_at_mut(block.count());
            norms.push(own);
            rest = behind;
        }
        self.rows
            .par_chunks_exact_mut(height * pitch)
            .zip(self.columns.par_chunks_exact_mut(height * features))
            .zip(self.groups.par_chunks_exact_mut(height))
            .zip(norms)
            .zip(&self.blocks)
            .for_each(|((((rows, columns), groups), norms), block)| {
                let source = z[block.rows.start * features..].chunks_exact(features);
                let targets = rows.chunks_exact_mut(pitch);
                for ((norm, source), row) in norms.iter_mut().zip(source).zip(targets) {
                    *norm = normalize(source, &mut row[..features]);
                }
                transpose(rows, pitch, columns, height, T::from_f64(scale));
                groups[..block.count()].copy_from_slice(&task.groups()[block.rows.clone()]);
            });
    }

    pub(super) fn features(&self) -> usize {
        self.features
    }

    /// `[height][pitch]`.
    pub(super) fn rows_of(&self, block: usize) -> &[T] {
        let size = self.height * self.pitch;
        &self.rows[block * size..][..size]
    }

    /// `[features][height]`, scaled.
    pub(super) fn columns_of(&self, block: usize) -> &[T] {
        let size = self.height * self.features;
        &self.columns[block * size..][..size]
    }

    pub(super) fn groups_of(&self, block: usize) -> &[u32] {
        &self.groups[block * self.height..][..self.height]
    }

    /// Whether two blocks can have rows of one group.
    pub(super) fn related(&self, a: usize, b: usize) -> bool {
        let ([a, b], [c, d]) = (self.blocks[a].groups, self.blocks[b].groups);
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
