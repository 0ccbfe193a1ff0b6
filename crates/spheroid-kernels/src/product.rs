//! Products of small matrices, tiles of the result kept in vector registers.

use pulp::Simd;

use crate::real::{Real, vectors, vectors_mut};

/// Whole vectors and whole tiles on every processor.
pub(crate) const STEP: usize = 16;

/// Distance of rows of so many values in memory. An odd number of cache lines: the values of a column then lie
/// in different sets of the first cache.
pub(crate) fn distance(values: usize) -> usize {
    (values.div_ceil(STEP) | 1) * STEP
}

/// `out = left · right`, or added to `out`; all row-major.
pub(crate) struct Product<'a, T> {
    /// `[depth][pitch]`.
    pub(crate) right: &'a [T],
    pub(crate) right_pitch: usize,
    pub(crate) depth: usize,
    pub(crate) out: &'a mut [T],
    pub(crate) out_pitch: usize,
    /// Rows of the result; whole tiles are written.
    pub(crate) rows: usize,
    /// Columns of the result, whole vectors.
    pub(crate) columns: usize,
    pub(crate) add: bool,
}

/// The left side: the value of each of `ROWS` rows at a step of the depth.
trait Left<T, const ROWS: usize>: Copy {
    /// What [`Left::value`] needs of a step.
    type Step: Copy;

    fn step(&self, step: usize) -> Self::Step;
    fn value(&self, step: Self::Step, row: usize) -> T;
}

/// The left side as it stands in memory.
#[derive(Clone, Copy)]
struct Rows<'a, T, const ROWS: usize>([&'a [T]; ROWS]);

impl<'a, T, const ROWS: usize> Rows<'a, T, ROWS> {
    #[inline(always)]
    fn new(values: &'a [T], pitch: usize, first: usize, depth: usize) -> Self {
        let mut rows = [&values[..0]; ROWS];
        for (row, i) in rows.iter_mut().zip(first..) {
            *row = &values[i * pitch..][..depth];
        }
        Self(rows)
    }
}

impl<T: Copy, const ROWS: usize> Left<T, ROWS> for Rows<'_, T, ROWS> {
    type Step = usize;

    #[inline(always)]
    fn step(&self, step: usize) -> usize {
        step
    }

    #[inline(always)]
    fn value(&self, step: usize, row: usize) -> T {
        self.0[row][step]
    }
}

/// The left side transposed.
#[derive(Clone, Copy)]
struct Columns<'a, T> {
    values: &'a [T],
    pitch: usize,
}

impl<'a, T> Columns<'a, T> {
    #[inline(always)]
    fn new(values: &'a [T], pitch: usize, first: usize) -> Self {
        Self {
            values: &values[first..],
            pitch,
        }
    }
}

impl<'a, T: Copy, const ROWS: usize> Left<T, ROWS> for Columns<'a, T> {
    type Step = &'a [T; ROWS];

    #[inline(always)]
    fn step(&self, step: usize) -> &'a [T; ROWS] {
        let values = &self.values[step * self.pitch..];
        values.first_chunk().expect("whole tiles")
    }

    #[inline(always)]
    fn value(&self, values: &'a [T; ROWS], row: usize) -> T {
        values[row]
    }
}

/// Rows of a tile: as many as the registers hold beside the vectors of the right side.
#[inline(always)]
const fn tile_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 8 } else { 4 }
}

/// The most rows of a tile on any processor.
pub(crate) const MOST_ROWS: usize = 8;

impl<T: Real> Product<'_, T> {
    /// With the left side as it stands in memory, of at least as many rows as whole tiles have.
    #[inline(always)]
    pub(crate) fn of_rows<S: Simd>(self, simd: S, left: &[T], pitch: usize) {
        let depth = self.depth;
        if tile_rows::<S>() == 8 {
            self.compute::<S, _, 8>(simd, |i| Rows::new(left, pitch, i, depth));
        } else {
            self.compute::<S, _, 4>(simd, |i| Rows::new(left, pitch, i, depth));
        }
    }

    /// With the transpose of the left side.
    #[inline(always)]
    pub(crate) fn of_columns<S: Simd>(self, simd: S, left: &[T], pitch: usize) {
        if tile_rows::<S>() == 8 {
            self.compute::<S, _, 8>(simd, |i| Columns::new(left, pitch, i));
        } else {
            self.compute::<S, _, 4>(simd, |i| Columns::new(left, pitch, i));
        }
    }

    /// `left` gives the rows that begin at its argument.
    #[inline(always)]
    fn compute<S: Simd, L: Left<T, ROWS>, const ROWS: usize>(
        self,
        simd: S,
        left: impl Fn(usize) -> L,
    ) {
        let lanes = T::lanes::<S>();
        let mut rest = self;
        let mut column = 0;
        while column < rest.columns {
            // Three vectors use most registers, and one leaves the units idle.
            let vectors = match (rest.columns - column) / lanes {
                1 => rest.columns_at::<S, L, ROWS, 1>(simd, &left, column),
                2 | 4 => rest.columns_at::<S, L, ROWS, 2>(simd, &left, column),
                _ => rest.columns_at::<S, L, ROWS, 3>(simd, &left, column),
            };
            column += vectors * lanes;
        }
    }

    #[inline(always)]
    fn columns_at<S: Simd, L: Left<T, ROWS>, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        simd: S,
        left: &impl Fn(usize) -> L,
        column: usize,
    ) -> usize {
        for first in (0..self.rows).step_by(ROWS) {
            let tile = tile::<S, T, L, ROWS, VECTORS>(
                simd,
                left(first),
                self.right,
                self.right_pitch,
                column,
                self.depth,
            );
            let out = &mut self.out[first * self.out_pitch + column..];
            store(simd, &tile, out, self.out_pitch, self.add);
        }
        VECTORS
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
        let step = left.step(step);
        for (row, sums) in sums.iter_mut().enumerate() {
            let factor = T::splat(simd, left.value(step, row));
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
