//! The loss of every row, from sums over tiles.

use pulp::{Arch, Simd, WithSimd};

use super::{
    EXCLUDED, FLOOR, KEPT,
    prepared::Prepared,
    schedule::{encounter, hold, map, tournament},
};
use crate::{
    Denominator, Placement,
    contrastive::task::{Arrangement, Task},
    product::Product,
    real::{Real, vectors, vectors_mut},
};

/// What the forward pass finds.
pub(crate) struct Outcome<T> {
    /// Of every row that has a loss.
    pub(crate) losses: Vec<T>,
    /// 1 for a row with a positive that is nearer than all negatives, else 0.
    pub(crate) hits: Vec<T>,
    /// Length of every row, 0 or not a number where it has no direction.
    pub(crate) norms: Vec<T>,
    /// `[losses][KEPT]`.
    pub(crate) kept: Vec<T>,
}

/// Sums of exponentials (base 2) by row, relative to the largest similarity where they could overflow.
struct Sums<T> {
    best: Vec<T>,
    sum: Vec<T>,
}

impl<T: Real> Sums<T> {
    fn new(height: usize) -> Self {
        Self {
            best: vec![T::from_f64(FLOOR); height],
            sum: vec![T::default(); height],
        }
    }

    /// Logarithm of the sum of row `i`; −∞ when nothing was met.
    fn log(&self, i: usize, bounded: bool) -> f64 {
        let shift = if bounded { 0.0 } else { self.best[i].to_f64() };
        shift + self.sum[i].to_f64().log2()
    }
}

/// What the rows of a block have met so far.
struct Seen<T> {
    block: usize,
    negatives: Sums<T>,
    positives: Sums<T>,
    /// Sum of the similarities with the positives.
    total: Vec<T>,
}

impl<T: Real> Seen<T> {
    fn new(block: usize, height: usize) -> Self {
        Self {
            block,
            negatives: Sums::new(height),
            positives: Sums::new(height),
            total: vec![T::default(); height],
        }
    }

    /// Loss, hit and what is kept of row `i`.
    fn finish(&self, i: usize, share: f64, bounded: bool, task: &Task) -> [f64; 2 + KEPT] {
        let negatives = self.negatives.log(i, bounded);
        let positives = self.positives.log(i, bounded);
        let denominator = match task.denominator {
            Denominator::All => log2_add(negatives, positives),
            Denominator::Negatives => negatives,
        };
        if share == 0.0 {
            return [0.0, 0.0, denominator, positives];
        }
        let wanted = match task.placement {
            Placement::Outside => self.total[i].to_f64() * share,
            Placement::Inside => positives + share.log2(),
        };
        let loss = (denominator - wanted) * std::f64::consts::LN_2;
        let hit = self.positives.best[i] > self.negatives.best[i];
        [loss, f64::from(u8::from(hit)), denominator, positives]
    }
}

struct Room<T> {
    tile: Vec<T>,
    positives: Vec<T>,
    columns: Vec<T>,
}

/// Losses of the rows of `z`, row-major, of which there are as many as the task has groups.
pub(crate) fn forward<T: Real>(arch: Arch, z: &[T], temperature: f64, task: &Task) -> Outcome<T> {
    let prepared = Prepared::new(z, temperature, task, false);
    let room = || Room {
        tile: vec![T::default(); prepared.tile()],
        positives: vec![T::default(); prepared.tile()],
        columns: vec![T::default(); 2 * prepared.height],
    };
    let meet = |room: &mut Room<T>, rows: &mut Seen<T>, columns: Option<&mut Seen<T>>, other| {
        arch.dispatch(Meeting {
            prepared: &prepared,
            room,
            rows,
            columns,
            other,
        });
    };
    let bank = prepared.bank.clone();
    let mut seen: Vec<_> = (0..bank.start)
        .map(|block| Seen::new(block, prepared.height))
        .collect();
    let meetings = match task.arrangement {
        Arrangement::Within { .. } => tournament(seen.len()),
        Arrangement::Between => encounter(seen.len()),
    };
    hold(&mut seen, &meetings, room, |room, a, b| match b {
        Some(b) => {
            let other = b.block;
            meet(room, a, Some(b), other);
        }
        None => {
            let itself = a.block;
            for other in std::iter::once(itself).chain(bank.clone()) {
                meet(room, a, None, other);
            }
        }
    });
    outcome(&prepared, &seen, task)
}

fn outcome<T: Real>(prepared: &Prepared<T>, seen: &[Seen<T>], task: &Task) -> Outcome<T> {
    let norms = prepared.blocks.iter().flat_map(|block| &block.norms);
    let mut outcome = Outcome {
        losses: vec![T::default(); task.losses()],
        hits: vec![T::default(); task.losses()],
        norms: norms.map(|norm| T::from_f64(*norm)).collect(),
        kept: vec![T::default(); task.losses() * KEPT],
    };
    let of_block = |seen: &Seen<T>| {
        let rows = prepared.blocks[seen.block].rows.clone();
        let found: Vec<_> = rows
            .clone()
            .enumerate()
            .map(|(i, row)| seen.finish(i, f64::from(task.shares()[row]), prepared.bounded, task))
            .collect();
        (rows, found)
    };
    let found = map(seen.iter().collect(), of_block);
    for (row, found) in found.into_iter().flat_map(|(rows, found)| rows.zip(found)) {
        let [loss, hit, kept @ ..] = found.map(T::from_f64);
        outcome.losses[row] = loss;
        outcome.hits[row] = hit;
        outcome.kept[row * KEPT..][..KEPT].copy_from_slice(&kept);
    }
    outcome
}

/// `log₂(2^a + 2^b)`.
fn log2_add(a: f64, b: f64) -> f64 {
    let (most, least) = (a.max(b), a.min(b));
    if least == f64::NEG_INFINITY {
        most
    } else {
        most + (least - most).exp2().ln_1p() * std::f64::consts::LOG2_E
    }
}

/// Rows meet the rows of another block, which see them too unless there are no `columns`.
struct Meeting<'a, T> {
    prepared: &'a Prepared<T>,
    room: &'a mut Room<T>,
    rows: &'a mut Seen<T>,
    columns: Option<&'a mut Seen<T>>,
    other: usize,
}

impl<T: Real> WithSimd for Meeting<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (a, b) = (self.rows.block, self.other);
        similarities(simd, self.prepared, a, b, &mut self.room.tile);
        self.prepared.exclude(&mut self.room.tile, a, b);
        if self.prepared.related(a, b) {
            self.split();
            let tile = std::mem::take(&mut self.room.positives);
            self.accumulate(simd, &tile, |seen| &mut seen.positives);
            self.room.positives = tile;
        }
        let tile = std::mem::take(&mut self.room.tile);
        self.accumulate(simd, &tile, |seen| &mut seen.negatives);
        self.room.tile = tile;
    }
}

/// A tile of similarities, scaled for powers of 2.
#[inline(always)]
pub(super) fn similarities<S: Simd, T: Real>(
    simd: S,
    prepared: &Prepared<T>,
    a: usize,
    b: usize,
    tile: &mut [T],
) {
    let [rows, columns] = [a, b].map(|block| prepared.blocks[block].count());
    let left = &prepared.blocks[a].columns;
    let height = prepared.height;
    let product = Product {
        right: &prepared.blocks[b].columns,
        right_pitch: height,
        depth: prepared.features(),
        out: tile,
        out_pitch: height,
        rows,
        columns: columns.next_multiple_of(T::lanes::<S>()),
        add: false,
    };
    product.of_columns(simd, left, height);
}

impl<T: Real> Meeting<'_, T> {
    /// Moves the positives out of the tile and sums them up.
    #[inline(always)]
    fn split(&mut self) {
        let height = self.prepared.height;
        let [own, others] =
            [self.rows.block, self.other].map(|block| &self.prepared.blocks[block].groups);
        let [excluded, floor] = [EXCLUDED, FLOOR].map(T::from_f64);
        let tile = self.room.tile.chunks_exact_mut(height);
        let positives = self.room.positives.chunks_exact_mut(height);
        let count = self.prepared.blocks[self.rows.block].count();
        for (i, (tile, positives)) in tile.zip(positives).enumerate().take(count) {
            let group = own[i];
            let mut total = T::default();
            for ((value, positive), other) in tile.iter_mut().zip(positives.iter_mut()).zip(others)
            {
                let same = group == *other;
                let counts = if same && *value > floor {
                    *value
                } else {
                    T::default()
                };
                total += counts;
                *positive = if same { *value } else { excluded };
                *value = if same { excluded } else { *value };
            }
            self.rows.total[i] += total;
        }
        if let Some(columns) = &mut self.columns {
            for positives in self.room.positives.chunks_exact(height).take(count) {
                for (total, value) in columns.total.iter_mut().zip(positives) {
                    *total += if *value > floor { *value } else { T::default() };
                }
            }
        }
    }

    /// Adds a tile to the sums of both sides.
    #[inline(always)]
    fn accumulate<S: Simd>(
        &mut self,
        simd: S,
        tile: &[T],
        side: impl Fn(&mut Seen<T>) -> &mut Sums<T>,
    ) {
        let height = self.prepared.height;
        let count = self.prepared.blocks[self.rows.block].count();
        let width = self.prepared.blocks[self.other]
            .count()
            .next_multiple_of(T::lanes::<S>());
        let tile = Tile {
            rows: tile.chunks_exact(height),
            count,
            width,
        };
        let rows = side(self.rows);
        let [best, sum] = split_in_two(&mut self.room.columns, height);
        match (&mut self.columns, self.prepared.bounded) {
            (None, true) => tile.bounded::<S, false>(simd, rows, best, sum),
            (None, false) => tile.shifted::<S, false>(simd, rows, best, sum),
            (Some(columns), bounded) => {
                let columns = side(columns);
                best[..width].fill(T::from_f64(FLOOR));
                sum[..width].fill(T::default());
                if bounded {
                    tile.bounded::<S, true>(simd, rows, best, sum);
                } else {
                    tile.best_of_columns::<S>(simd, best);
                    raise(columns, &best[..width]);
                    best[..width].copy_from_slice(&columns.best[..width]);
                    tile.shifted::<S, true>(simd, rows, best, sum);
                }
                for i in 0..width {
                    columns.best[i] = greater(columns.best[i], best[i]);
                    columns.sum[i] += sum[i];
                }
            }
        }
    }
}

#[inline(always)]
fn split_in_two<T>(values: &mut [T], at: usize) -> [&mut [T]; 2] {
    let (first, second) = values.split_at_mut(at);
    [first, second]
}

#[inline(always)]
fn greater<T: Real>(a: T, b: T) -> T {
    if a > b { a } else { b }
}

/// Sums become relative to larger similarities.
#[inline(always)]
fn raise<T: Real>(sums: &mut Sums<T>, best: &[T]) {
    for ((old, sum), new) in sums.best.iter_mut().zip(&mut sums.sum).zip(best) {
        if *new > *old {
            *sum = *sum * T::from_f64((old.to_f64() - new.to_f64()).exp2());
            *old = *new;
        }
    }
}

/// The rows of a tile.
struct Tile<'a, T> {
    rows: std::slice::ChunksExact<'a, T>,
    count: usize,
    width: usize,
}

impl<T: Real> Tile<'_, T> {
    /// One exponential a similarity, for both sides.
    #[inline(always)]
    fn bounded<S: Simd, const COLUMNS: bool>(
        self,
        simd: S,
        rows: &mut Sums<T>,
        best: &mut [T],
        sum: &mut [T],
    ) {
        let width = self.width;
        let (bests, sums) = (
            vectors_mut::<S, T>(&mut best[..width]),
            vectors_mut::<S, T>(&mut sum[..width]),
        );
        for (i, row) in self.rows.enumerate().take(self.count) {
            let mut row_best = T::splat(simd, T::from_f64(FLOOR));
            let mut row_sum = T::splat(simd, T::default());
            let row = vectors::<S, T>(&row[..width]);
            for ((value, best), sum) in row.iter().zip(&mut *bests).zip(&mut *sums) {
                let power = T::exp2(simd, *value);
                row_best = T::max(simd, row_best, *value);
                row_sum = T::plus(simd, row_sum, power);
                if COLUMNS {
                    *best = T::max(simd, *best, *value);
                    *sum = T::plus(simd, *sum, power);
                }
            }
            rows.best[i] = greater(rows.best[i], T::reduce_max(simd, row_best));
            rows.sum[i] += T::reduce_add(simd, row_sum);
        }
    }

    /// Exponentials relative to the largest similarity of each row, and of each column, which `best` holds.
    #[inline(always)]
    fn shifted<S: Simd, const COLUMNS: bool>(
        self,
        simd: S,
        rows: &mut Sums<T>,
        best: &[T],
        sum: &mut [T],
    ) {
        let width = self.width;
        let bests = vectors::<S, T>(&best[..width]);
        let sums = vectors_mut::<S, T>(&mut sum[..width]);
        for (i, row) in self.rows.enumerate().take(self.count) {
            let row = vectors::<S, T>(&row[..width]);
            let mut row_best = T::splat(simd, T::from_f64(FLOOR));
            for value in row {
                row_best = T::max(simd, row_best, *value);
            }
            let new = greater(rows.best[i], T::reduce_max(simd, row_best));
            let scale = (rows.best[i].to_f64() - new.to_f64()).exp2();
            let shift = T::splat(simd, new);
            let mut row_sum = T::splat(simd, T::default());
            for ((value, best), sum) in row.iter().zip(bests).zip(&mut *sums) {
                row_sum = T::plus(simd, row_sum, T::exp2(simd, T::minus(simd, *value, shift)));
                if COLUMNS {
                    let power = T::exp2(simd, T::minus(simd, *value, *best));
                    *sum = T::plus(simd, *sum, power);
                }
            }
            rows.best[i] = new;
            rows.sum[i] = rows.sum[i] * T::from_f64(scale) + T::reduce_add(simd, row_sum);
        }
    }

    #[inline(always)]
    fn best_of_columns<S: Simd>(&self, simd: S, best: &mut [T]) {
        let bests = vectors_mut::<S, T>(&mut best[..self.width]);
        for row in self.rows.clone().take(self.count) {
            let row = vectors::<S, T>(&row[..self.width]);
            for (best, value) in bests.iter_mut().zip(row) {
                *best = T::max(simd, *best, *value);
            }
        }
    }
}
