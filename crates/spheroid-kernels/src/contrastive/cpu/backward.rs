//! Gradients, from tiles of similarities computed once more.

use pulp::{Arch, Simd, WithSimd};

use super::{
    EXCLUDED, FLOOR, KEPT,
    forward::similarities,
    prepared::{Prepared, dot},
    schedule::{alone, encounter, hold, map, tournament},
};
use crate::{
    Denominator, Placement,
    contrastive::task::{Arrangement, Task},
    product::Product,
    real::{Real, vectors, vectors_mut},
};

/// What the backward pass finds.
pub(crate) struct Gradients<T> {
    /// Of the rows, `[row][feature]`; 0 in a bank.
    pub(crate) rows: Vec<T>,
    pub(crate) temperature: T,
}

/// What a similarity `s` of a row weighs in the gradient: `factor · 2^(s − shift)`.
struct Weights<T> {
    shift: Vec<T>,
    factor: Vec<T>,
}

impl<T: Real> Weights<T> {
    fn new(height: usize) -> Self {
        Self {
            // Exponentials of rows without a loss vanish.
            shift: vec![T::from_f64(-EXCLUDED); height],
            factor: vec![T::default(); height],
        }
    }

    /// Row `i` weighs `gradient · 2^(s − logarithm)`.
    fn set(&mut self, i: usize, gradient: T, logarithm: T, bounded: bool) {
        if gradient == T::default() || logarithm.to_f64() == f64::NEG_INFINITY {
            return;
        }
        if bounded {
            self.shift[i] = T::default();
            self.factor[i] = T::from_f64(gradient.to_f64() * (-logarithm.to_f64()).exp2());
        } else {
            self.shift[i] = logarithm;
            self.factor[i] = gradient;
        }
    }
}

/// What the rows of a block weigh.
struct Asked<T> {
    denominator: Weights<T>,
    positives: Weights<T>,
    /// What every positive is worth by itself.
    share: Vec<T>,
}

struct Pulled<T> {
    block: usize,
    /// Gradient of the normalised rows times τ, `[height][pitch]`; made at the first meeting, by the thread that
    /// uses it.
    gradient: Vec<T>,
}

impl<T: Real> Pulled<T> {
    fn gradient(&mut self, prepared: &Prepared<T>) -> &mut [T] {
        if self.gradient.is_empty() {
            self.gradient = vec![T::default(); prepared.height * prepared.pitch];
        }
        &mut self.gradient
    }
}

struct Room<T> {
    tile: Vec<T>,
    positives: Vec<T>,
}

/// Gradients of the sum over `gradient · loss`, after [`super::forward`] has kept `kept`.
pub(crate) fn backward<T: Real>(
    arch: Arch,
    z: &[T],
    temperature: f64,
    kept: &[T],
    gradient: &[T],
    task: &Task,
) -> Gradients<T> {
    let prepared = Prepared::new(z, temperature, task, true);
    let asked = asked(&prepared, kept, gradient, task);
    let room = || Room {
        tile: vec![T::default(); prepared.tile()],
        positives: vec![T::default(); prepared.tile()],
    };
    let meet =
        |room: &mut Room<T>, rows: &mut Pulled<T>, columns: Option<&mut Pulled<T>>, other| {
            arch.dispatch(Meeting {
                prepared: &prepared,
                asked: &asked,
                task,
                room,
                rows,
                columns,
                other,
            });
        };
    let bank = prepared.bank.clone();
    let pulled = |block| Pulled {
        block,
        gradient: Vec::new(),
    };
    let mut pulled: Vec<_> = (0..bank.start).map(pulled).collect();
    let mut from_bank = 0.0;
    if !bank.is_empty() {
        hold(&mut pulled, &alone(bank.start), room, |room, a, _| {
            for other in bank.clone() {
                meet(room, a, None, other);
            }
        });
        from_bank = pulled
            .iter()
            .flat_map(|pulled| along(&prepared, pulled))
            .sum();
    }
    let meetings = match task.arrangement {
        Arrangement::Within { .. } => tournament(pulled.len()),
        Arrangement::Between => encounter(pulled.len()),
    };
    hold(&mut pulled, &meetings, room, |room, a, b| match b {
        Some(b) => {
            let other = b.block;
            meet(room, a, Some(b), other);
        }
        None => {
            let itself = a.block;
            meet(room, a, None, itself);
        }
    });
    let (rows, all) = through_normalization(&prepared, &mut pulled, temperature);
    // Σ over a row's own loss of weight · similarity, which is what the temperature pulls at. The loss of a
    // row pulls at the row and as much at those that it meets, but for a bank.
    let own = from_bank + (all - from_bank) / 2.0;
    Gradients {
        rows,
        temperature: T::from_f64(-own / temperature.powi(2)),
    }
}

fn asked<T: Real>(
    prepared: &Prepared<T>,
    kept: &[T],
    gradient: &[T],
    task: &Task,
) -> Vec<Asked<T>> {
    let asked = |block: &super::prepared::Block<T>| {
        let mut asked = Asked {
            denominator: Weights::new(prepared.height),
            positives: Weights::new(prepared.height),
            share: vec![T::default(); prepared.height],
        };
        for (i, row) in block.rows.clone().enumerate() {
            // Rows of a bank have no loss, and rows without a positive one that is always 0.
            let Some(share) = task.shares().get(row).filter(|share| **share > 0.0) else {
                continue;
            };
            let [denominator, positives] = [0, 1].map(|k| kept[row * KEPT + k]);
            let gradient = gradient[row];
            asked
                .denominator
                .set(i, gradient, denominator, prepared.bounded);
            match task.placement {
                Placement::Outside => {
                    asked.share[i] = gradient * T::from_f64(f64::from(*share));
                }
                Placement::Inside => {
                    asked
                        .positives
                        .set(i, gradient, positives, prepared.bounded);
                }
            }
        }
        asked
    };
    prepared.blocks.iter().map(asked).collect()
}

/// Products of the rows of a block with their gradients.
fn along<T: Real>(prepared: &Prepared<T>, pulled: &Pulled<T>) -> Vec<f64> {
    let block = &prepared.blocks[pulled.block];
    let rows = block.values.chunks_exact(prepared.pitch);
    let pulls = pulled.gradient.chunks_exact(prepared.pitch);
    let products = rows.zip(pulls).map(|(row, pull)| dot(row, pull));
    // Behind the last row there is no gradient to speak of.
    products.take(block.count()).collect()
}

/// Gradients of rows that have been divided by their lengths, `[row][feature]`, and the sum of the products of
/// the divided rows with what pulls at them.
fn through_normalization<T: Real>(
    prepared: &Prepared<T>,
    pulled: &mut [Pulled<T>],
    temperature: f64,
) -> (Vec<T>, f64) {
    let features = prepared.features();
    let count = prepared.blocks.last().map_or(0, |block| block.rows.end);
    let mut gradients = vec![T::default(); count * features];
    let mut rest = &mut gradients[..];
    let mut own = Vec::with_capacity(pulled.len());
    for pulled in &*pulled {
        let count = prepared.blocks[pulled.block].count();
        let (rows, behind) = rest.split_at_mut(count * features);
        own.push(rows);
        rest = behind;
    }
    let items = own.into_iter().zip(pulled).collect();
    let sums = map(items, |(own, pulled): (&mut [T], &mut Pulled<T>)| -> f64 {
        pulled.gradient(prepared);
        let block = &prepared.blocks[pulled.block];
        let along = along(prepared, pulled);
        let rows = block.values.chunks_exact(prepared.pitch);
        let pulls = pulled.gradient.chunks_exact(prepared.pitch);
        for (i, ((own, row), pull)) in own
            .chunks_exact_mut(features)
            .zip(rows)
            .zip(pulls)
            .enumerate()
        {
            let inverse = 1.0 / temperature / block.norms[i];
            for ((own, row), pull) in own.iter_mut().zip(row).zip(pull) {
                let across = pull.to_f64() - row.to_f64() * along[i];
                *own = T::from_f64(across * inverse);
            }
        }
        along.iter().sum()
    });
    (gradients, sums.iter().sum())
}

/// Rows meet the rows of another block; both are pulled unless there are no `columns`.
struct Meeting<'a, T> {
    prepared: &'a Prepared<T>,
    asked: &'a [Asked<T>],
    task: &'a Task,
    room: &'a mut Room<T>,
    rows: &'a mut Pulled<T>,
    columns: Option<&'a mut Pulled<T>>,
    other: usize,
}

impl<T: Real> WithSimd for Meeting<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (prepared, a, b) = (self.prepared, self.rows.block, self.other);
        let Room { tile, positives } = self.room;
        similarities(simd, prepared, a, b, tile);
        prepared.exclude(tile, a, b);
        let related = prepared.related(a, b);
        if related {
            let decoupled = self.task.denominator == Denominator::Negatives;
            split(prepared, a, b, tile, positives, decoupled);
        }
        let [own, others] = [a, b].map(|block| &self.asked[block]);
        let shape = Shape {
            height: prepared.height,
            rows: prepared.blocks[a].count(),
            columns: prepared.blocks[b].count().next_multiple_of(T::lanes::<S>()),
            bounded: prepared.bounded,
        };
        shape.weigh(simd, tile, &own.denominator, &others.denominator);
        if related {
            match self.task.placement {
                Placement::Outside => shape.take_shares(tile, positives, own, others),
                Placement::Inside => {
                    shape.weigh(simd, positives, &own.positives, &others.positives);
                    shape.subtract(simd, tile, positives);
                }
            }
        }
        pull(simd, prepared, tile, self.rows, b);
        if let Some(columns) = self.columns {
            pull_back(simd, prepared, tile, columns, a);
        }
    }
}

/// Copies the positives of a tile; all else is excluded from the copy. Of decoupled losses they are then
/// excluded from the tile.
#[inline(always)]
fn split<T: Real>(
    prepared: &Prepared<T>,
    a: usize,
    b: usize,
    tile: &mut [T],
    positives: &mut [T],
    decoupled: bool,
) {
    let height = prepared.height;
    let [own, others] = [a, b].map(|block| &prepared.blocks[block].groups);
    let excluded = T::from_f64(EXCLUDED);
    let tile = tile.chunks_exact_mut(height);
    let positives = positives.chunks_exact_mut(height);
    let count = prepared.blocks[a].count();
    for ((tile, positives), group) in tile.zip(positives).zip(own).take(count) {
        for ((value, positive), other) in tile.iter_mut().zip(positives.iter_mut()).zip(others) {
            let same = group == other;
            *positive = if same { *value } else { excluded };
            *value = if same && decoupled { excluded } else { *value };
        }
    }
}

/// The part of a tile that holds similarities.
#[derive(Clone, Copy)]
struct Shape {
    height: usize,
    rows: usize,
    columns: usize,
    bounded: bool,
}

impl Shape {
    /// Similarities become weights of both sides.
    #[inline(always)]
    fn weigh<S: Simd, T: Real>(
        self,
        simd: S,
        tile: &mut [T],
        rows: &Weights<T>,
        columns: &Weights<T>,
    ) {
        let factors = vectors::<S, T>(&columns.factor[..self.columns]);
        let shifts = vectors::<S, T>(&columns.shift[..self.columns]);
        for (i, row) in tile
            .chunks_exact_mut(self.height)
            .enumerate()
            .take(self.rows)
        {
            let row = vectors_mut::<S, T>(&mut row[..self.columns]);
            let factor = T::splat(simd, rows.factor[i]);
            if self.bounded {
                for (value, other) in row.iter_mut().zip(factors) {
                    let weight = T::plus(simd, factor, *other);
                    *value = T::times(simd, T::exp2(simd, *value), weight);
                }
            } else {
                let shift = T::splat(simd, rows.shift[i]);
                for ((value, other), other_shift) in row.iter_mut().zip(factors).zip(shifts) {
                    let own = T::exp2(simd, T::minus(simd, *value, shift));
                    let others = T::exp2(simd, T::minus(simd, *value, *other_shift));
                    let others = T::times(simd, others, *other);
                    *value = T::mul_add(simd, own, factor, others);
                }
            }
        }
    }

    /// Every positive pulls by its share.
    #[inline(always)]
    fn take_shares<T: Real>(
        self,
        tile: &mut [T],
        positives: &[T],
        own: &Asked<T>,
        others: &Asked<T>,
    ) {
        let floor = T::from_f64(FLOOR);
        let tile = tile.chunks_exact_mut(self.height);
        let positives = positives.chunks_exact(self.height);
        for ((tile, positives), share) in tile.zip(positives).zip(&own.share).take(self.rows) {
            for ((weight, positive), other) in tile.iter_mut().zip(positives).zip(&others.share) {
                let shares = *share + *other;
                *weight -= if *positive > floor {
                    shares
                } else {
                    T::default()
                };
            }
        }
    }

    #[inline(always)]
    fn subtract<S: Simd, T: Real>(self, simd: S, tile: &mut [T], positives: &[T]) {
        let tile = tile.chunks_exact_mut(self.height);
        let positives = positives.chunks_exact(self.height);
        for (tile, positives) in tile.zip(positives).take(self.rows) {
            let tile = vectors_mut::<S, T>(&mut tile[..self.columns]);
            let positives = vectors::<S, T>(&positives[..self.columns]);
            for (weight, positive) in tile.iter_mut().zip(positives) {
                *weight = T::minus(simd, *weight, *positive);
            }
        }
    }
}

/// What adds the rows of another block to the gradient of a block.
#[inline(always)]
fn addition<'a, T: Real>(
    prepared: &'a Prepared<T>,
    pulled: &'a mut Pulled<T>,
    other: usize,
) -> Product<'a, T> {
    Product {
        right: &prepared.blocks[other].values,
        right_pitch: prepared.pitch,
        depth: prepared.blocks[other].count(),
        rows: prepared.blocks[pulled.block].count(),
        out: pulled.gradient(prepared),
        out_pitch: prepared.pitch,
        columns: prepared.width(),
        add: true,
    }
}

/// Adds the rows of another block by their weights.
#[inline(always)]
fn pull<S: Simd, T: Real>(
    simd: S,
    prepared: &Prepared<T>,
    weights: &[T],
    pulled: &mut Pulled<T>,
    other: usize,
) {
    let product = addition(prepared, pulled, other);
    product.of_rows(simd, weights, prepared.height);
}

/// The same with the weights transposed: the other side of a meeting.
#[inline(always)]
fn pull_back<S: Simd, T: Real>(
    simd: S,
    prepared: &Prepared<T>,
    weights: &[T],
    pulled: &mut Pulled<T>,
    other: usize,
) {
    let product = addition(prepared, pulled, other);
    product.of_columns(simd, weights, prepared.height);
}
