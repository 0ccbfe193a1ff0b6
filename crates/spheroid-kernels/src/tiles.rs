//! The inner loops of convolutions: tiles of results kept in vector registers.

use pulp::{Arch, Simd, WithSimd};

/// Instructions to compute with, and the sizes that they ask for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tile {
    pub(crate) arch: Arch,
    /// Values of a vector.
    pub(crate) lanes: usize,
    /// Rows of a tile of [`Correlate`] and [`Reduce`].
    pub(crate) rows: usize,
}

/// Vectors of a tile of [`Correlate`], and offsets of one of [`Reduce`].
const COLUMNS: usize = 3;

impl Tile {
    /// The widest vectors of `arch`, which is `Arch::new()` for those of the processor.
    pub(crate) fn new(arch: Arch) -> Self {
        struct Sizes(Arch);
        impl WithSimd for Sizes {
            type Output = Tile;

            fn with_simd<S: Simd>(self, _: S) -> Tile {
                Tile {
                    arch: self.0,
                    lanes: S::F32_LANES,
                    rows: if many_registers::<S>() { 8 } else { 4 },
                }
            }
        }
        arch.dispatch(Sizes(arch))
    }

    pub(crate) fn correlate(self, task: Correlate<'_>) {
        self.arch.dispatch(task);
    }

    pub(crate) fn slide(self, task: Slide<'_>) {
        self.arch.dispatch(task);
    }

    pub(crate) fn reduce(self, task: Reduce<'_>) {
        self.arch.dispatch(task);
    }
}

/// Whether 8 × [`COLUMNS`] vectors of results fit beside those of the sources.
const fn many_registers<S: Simd>() -> bool {
    S::REGISTER_COUNT >= 32
}

/// For every row `i` of a tile and every vector `v`:
/// `out[i][v] = Σ_k weights[k][i] · source[starts[v] + offsets[k] ..]`.
///
/// `weights` holds [`Tile::rows`] values for every offset; `out` is row-major with
/// `starts.len() · Tile::lanes` columns.
pub(crate) struct Correlate<'a> {
    pub(crate) source: &'a [f32],
    pub(crate) starts: &'a [usize],
    pub(crate) offsets: &'a [usize],
    pub(crate) weights: &'a [f32],
    pub(crate) out: &'a mut [f32],
}

impl WithSimd for Correlate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if many_registers::<S>() {
            correlate_tiles::<S, 8>(simd, self);
        } else {
            correlate_tiles::<S, 4>(simd, self);
        }
    }
}

#[inline(always)]
fn correlate_tiles<S: Simd, const ROWS: usize>(simd: S, task: Correlate<'_>) {
    let width = task.starts.len() * S::F32_LANES;
    let weights = task.weights.as_chunks::<ROWS>().0;
    let (groups, rest) = task.starts.as_chunks::<COLUMNS>();
    let mut at = 0;
    for starts in groups {
        let sums = correlate_tile(simd, task.source, starts, task.offsets, weights);
        store::<S, ROWS, COLUMNS>(&sums, task.out, width, at);
        at += COLUMNS * S::F32_LANES;
    }
    for start in rest {
        let sums = correlate_tile(simd, task.source, &[*start], task.offsets, weights);
        store::<S, ROWS, 1>(&sums, task.out, width, at);
        at += S::F32_LANES;
    }
}

#[inline(always)]
fn correlate_tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    source: &[f32],
    starts: &[usize; VECTORS],
    offsets: &[usize],
    weights: &[[f32; ROWS]],
) -> [[S::f32s; VECTORS]; ROWS] {
    let zero = simd.splat_f32s(0.0);
    let mut sums = [[zero; VECTORS]; ROWS];
    for (offset, weights) in offsets.iter().zip(weights) {
        let mut values = [zero; VECTORS];
        for (value, start) in values.iter_mut().zip(starts) {
            *value = load::<S>(source, start + offset);
        }
        for (sums, weight) in sums.iter_mut().zip(weights) {
            let weight = simd.splat_f32s(*weight);
            for (sum, value) in sums.iter_mut().zip(&values) {
                *sum = simd.mul_add_e_f32s(weight, *value, *sum);
            }
        }
    }
    sums
}

/// For every place `q` of `out`: `out[q] = Σ_k weights[k] · source[offsets[k] + q]`.
///
/// `out` holds whole vectors.
pub(crate) struct Slide<'a> {
    pub(crate) source: &'a [f32],
    pub(crate) offsets: &'a [usize],
    pub(crate) weights: &'a [f32],
    pub(crate) out: &'a mut [f32],
}

impl WithSimd for Slide<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (offsets, weights) = (self.offsets, self.weights.as_chunks().0);
        // Eight sums at once hide that each waits for the one before.
        let (source, out) = slide_tiles::<S, 8>(simd, self.source, offsets, weights, self.out);
        let (source, out) = slide_tiles::<S, 4>(simd, source, offsets, weights, out);
        slide_tiles::<S, 1>(simd, source, offsets, weights, out);
    }
}

/// Makes `out` by `VECTORS` vectors at once; its last vectors, fewer than that, are left and given back with the
/// source from where they see it.
#[inline(always)]
fn slide_tiles<'a, S: Simd, const VECTORS: usize>(
    simd: S,
    source: &'a [f32],
    offsets: &[usize],
    weights: &[[f32; 1]],
    out: &'a mut [f32],
) -> (&'a [f32], &'a mut [f32]) {
    let whole = out.len() - out.len() % (VECTORS * S::F32_LANES);
    let (out, rest) = out.split_at_mut(whole);
    let starts = std::array::from_fn(|vector| vector * S::F32_LANES);
    for (index, out) in out.chunks_exact_mut(VECTORS * S::F32_LANES).enumerate() {
        let source = &source[index * VECTORS * S::F32_LANES..];
        let sums = correlate_tile::<S, 1, VECTORS>(simd, source, &starts, offsets, weights);
        store::<S, 1, VECTORS>(&sums, out, 0, 0);
    }
    (&source[whole..], rest)
}

/// For every offset `k` and every row `i` of `rows`: adds
/// `Σ_q rows[i][q] · source[offsets[k] + q]`, lane by lane, to `sums[k][i]`.
///
/// `rows` is row-major and holds whole vectors and as many rows as whole tiles; `sums` holds a vector for
/// every offset and row.
pub(crate) struct Reduce<'a> {
    pub(crate) source: &'a [f32],
    pub(crate) offsets: &'a [usize],
    pub(crate) rows: &'a [f32],
    /// Distance of two rows.
    pub(crate) pitch: usize,
    /// Columns of `rows` to go over, whole vectors.
    pub(crate) columns: std::ops::Range<usize>,
    pub(crate) sums: &'a mut [f32],
}

impl WithSimd for Reduce<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if many_registers::<S>() {
            reduce_tiles::<S, 8>(simd, self);
        } else {
            reduce_tiles::<S, 4>(simd, self);
        }
    }
}

#[inline(always)]
fn reduce_tiles<S: Simd, const ROWS: usize>(simd: S, task: Reduce<'_>) {
    let row_count = task.rows.len() / task.pitch;
    let columns = task.columns;
    let sums = vectors_mut::<S>(task.sums);
    for first_row in (0..row_count).step_by(ROWS) {
        let mut rows = [&[][..]; ROWS];
        for (row, i) in rows.iter_mut().zip(first_row..) {
            *row = vectors::<S>(&task.rows[i * task.pitch..][columns.clone()]);
        }
        let source = &task.source[columns.start..];
        let (groups, rest) = task.offsets.as_chunks::<COLUMNS>();
        let mut at = first_row;
        for offsets in groups {
            reduce_tile(simd, source, offsets, &rows, &mut sums[at..], row_count);
            at += COLUMNS * row_count;
        }
        for offset in rest {
            reduce_tile(simd, source, &[*offset], &rows, &mut sums[at..], row_count);
            at += row_count;
        }
    }
}

#[inline(always)]
fn reduce_tile<S: Simd, const ROWS: usize, const OFFSETS: usize>(
    simd: S,
    source: &[f32],
    offsets: &[usize; OFFSETS],
    rows: &[&[S::f32s]; ROWS],
    sums: &mut [S::f32s],
    row_count: usize,
) {
    let count = rows[0].len();
    let rows = rows.map(|row| &row[..count]);
    let mut shifted = [&[][..]; OFFSETS];
    for (shifted, offset) in shifted.iter_mut().zip(offsets) {
        *shifted = vectors::<S>(&source[*offset..][..count * S::F32_LANES]);
    }
    let mut tile = [[simd.splat_f32s(0.0); OFFSETS]; ROWS];
    for v in 0..count {
        let mut values = [simd.splat_f32s(0.0); OFFSETS];
        for (value, shifted) in values.iter_mut().zip(&shifted) {
            *value = shifted[v];
        }
        for (tile, row) in tile.iter_mut().zip(&rows) {
            let factor = row[v];
            for (sum, value) in tile.iter_mut().zip(&values) {
                *sum = simd.mul_add_e_f32s(factor, *value, *sum);
            }
        }
    }
    for (i, tile) in tile.iter().enumerate() {
        for (k, value) in tile.iter().enumerate() {
            let sum = &mut sums[k * row_count + i];
            *sum = simd.add_f32s(*sum, *value);
        }
    }
}

#[inline(always)]
fn load<S: Simd>(source: &[f32], at: usize) -> S::f32s {
    vectors::<S>(&source[at..at + S::F32_LANES])[0]
}

#[inline(always)]
fn store<S: Simd, const ROWS: usize, const VECTORS: usize>(
    sums: &[[S::f32s; VECTORS]; ROWS],
    out: &mut [f32],
    width: usize,
    at: usize,
) {
    for (i, sums) in sums.iter().enumerate() {
        let out = &mut out[i * width + at..][..VECTORS * S::F32_LANES];
        vectors_mut::<S>(out).copy_from_slice(sums);
    }
}

/// Whole vectors; a vector asks for no more alignment than its values.
#[inline(always)]
fn vectors<S: Simd>(values: &[f32]) -> &[S::f32s] {
    bytemuck::cast_slice(values)
}

#[inline(always)]
fn vectors_mut<S: Simd>(values: &mut [f32]) -> &mut [S::f32s] {
    bytemuck::cast_slice_mut(values)
}
