//! Products of small matrices, tiles of the result kept in vector registers.

use pulp::Simd;

use super::real::{Real, vectors, vectors_mut};

/// Vectors of a tile.
const COLUMNS: usize = 3;

/// `out = left · right`, or added to `out`; all row-major.
pub(super) struct Product<'a, T> {
    /// `[depth][pitch]`.
    pub(super) right: &'a [T],
    pub(super) right_pitch: usize,
    pub(super) depth: usize,
    pub(super) out: &'a mut [T],
    pub(super) out_pitch: usize,
    /// Rows of the result; whole tiles are written.
    pub(super) rows: usize,
    /// Columns of the result, whole vectors.
    pub(super) columns: usize,
    pub(super) add: bool,
}

/// The left side: the values of [`left_rows`] rows at a step of the depth.
pub(super) trait Left<T, const ROWS: usize>: Copy {
    fn at(&self, step: usize) -> [T; ROWS];
}

/// The left side as it stands in memory.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, T, const ROWS: usize>([&'a [T]; ROWS]);

impl<'a, T, const ROWS: usize> Rows<'a, T, ROWS> {
    #[inline(always)]
    pub(super) fn new(values: &'a [T], pitch: usize, first: usize, depth: usize) -> Self {
        let mut rows = [&values[..0]; ROWS];
        for (row, i) in rows.iter_mut().zip(first..) {
            *row = &values[i * pitch..][..depth];
        }
        Self(rows)
    }
}

impl<T: Copy, const ROWS: usize> Left<T, ROWS> for Rows<'_, T, ROWS> {
    #[inline(always)]
    fn at(&self, step: usize) -> [T; ROWS] {
        self.0.map(|row| row[step])
    }
}

/// The left side transposed.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a, T> {
    values: &'a [T],
    pitch: usize,
}

impl<'a, T> Columns<'a, T> {
    #[inline(always)]
    pub(super) fn new(values: &'a [T], pitch: usize, first: usize) -> Self {
        Self {
            values: &values[first..],
            pitch,
        }
    }
}

impl<T: Copy, const ROWS: usize> Left<T, ROWS> for Columns<'_, T> {
    #[inline(always)]
    fn at(&self, step: usize) -> [T; ROWS] {
        let values = &self.values[step * self.pitch..];
        *values.first_chunk().expect("whole tiles")
    }
}

/// Rows of a tile: as many as the registers hold beside the vectors of the right side.
#[inline(always)]
pub(super) const fn tile_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 8 } else { 4 }
}

/// The most rows of a tile on any processor.
pub(super) const MOST_ROWS: usize = 8;

impl<T: Real> Product<'_, T> {
    /// `left` gives the rows that begin at its argument.
    #[inline(always)]
    pub(super) fn compute<S: Simd, L: Left<T, ROWS>, const ROWS: usize>(
        self,
        simd: S,
        left: impl Fn(usize) -> L,
    ) {
        let lanes = T::lanes::<S>();
        let mut column = 0;
        while column < self.columns {
            let three = column + COLUMNS * lanes <= self.columns;
            for first in (0..self.rows).step_by(ROWS) {
                let left = left(first);
                let out = &mut self.out[first * self.out_pitch + column..];
                if three {
                    let tile = tile::<S, T, L, ROWS, COLUMNS>(
                        simd,
                        left,
                        self.right,
                        self.right_pitch,
                        column,
                        self.depth,
                    );
                    store(simd, &tile, out, self.out_pitch, self.add);
                } else {
                    let tile = tile::<S, T, L, ROWS, 1>(
                        simd,
                        left,
                        self.right,
                        self.right_pitch,
                        column,
                        self.depth,
                    );
                    store(simd, &tile, out, self.out_pitch, self.add);
                }
            }
            column += if three { COLUMNS * lanes } else { lanes };
        }
    }
}

#[inline(always)]
fn tile<S: Simd, T: Real, L: Left<T, ROWS>, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    left: L,
    right: &[T],
    pitch: usize,
    column: usize,
    depth: usize,
) -> [[T::Vector<S>; VECTORS]; ROWS] {
    let width = VECTORS * T::lanes::<S>();
    let zero = T::splat(simd, T::default());
    let mut sums = [[zero; VECTORS]; ROWS];
    for step in 0..depth {
        let line = vectors::<S, T>(&right[step * pitch + column..][..width]);
        let line: &[T::Vector<S>; VECTORS] = line.first_chunk().expect("whole vectors");
        for (sums, factor) in sums.iter_mut().zip(left.at(step)) {
            let factor = T::splat(simd, factor);
            for (sum, value) in sums.iter_mut().zip(line) {
                *sum = T::mul_add(simd, factor, *value, *sum);
            }
        }
    }
    sums
}

#[inline(always)]
fn store<S: Simd, T: Real, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    tile: &[[T::Vector<S>; VECTORS]; ROWS],
    out: &mut [T],
    pitch: usize,
    add: bool,
) {
    let width = VECTORS * T::lanes::<S>();
    for (i, sums) in tile.iter().enumerate() {
        let out = vectors_mut::<S, T>(&mut out[i * pitch..][..width]);
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = if add { T::plus(simd, *out, *sum) } else { *sum };
        }
    }
}
