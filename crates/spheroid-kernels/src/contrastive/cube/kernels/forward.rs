//! Sums over all columns of a block of rows.

use cubecl::prelude::*;

use super::{
    similarity::{Four, Place, column_of, room, row_max, row_sum, similarities},
    tile::{Tile, WIDTH},
};

/// Which of a family of losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// Whether positives are left out of the denominator.
    pub decoupled: bool,
    /// Whether the sum over the positives stands inside the logarithm.
    pub inside: bool,
}

/// Below every similarity.
pub const FLOOR: f32 = -1.0e30;
/// Of an entry that takes no part: its exponential is 0 whatever is taken from it.
pub const EXCLUDED: f32 = -2.0e30;

/// What the rows of a unit have met: the largest similarity and the sum of exponentials relative to it, of
/// negatives and positives, and the sum of the similarities with positives.
#[derive(CubeType)]
pub struct Seen {
    pub best: Array<f32>,
    pub sum: Array<f32>,
    pub positive_best: Array<f32>,
    pub positive_sum: Array<f32>,
    pub total: Array<f32>,
}

#[cube]
impl Seen {
    pub fn new(#[comptime] rows: usize) -> Self {
        let mut best = Array::<f32>::new(rows);
        let mut sum = Array::<f32>::new(rows);
        let mut positive_best = Array::<f32>::new(rows);
        let mut positive_sum = Array::<f32>::new(rows);
        let mut total = Array::<f32>::new(rows);
        #[unroll]
        for i in 0..rows {
            best[i] = FLOOR.runtime();
            sum[i] = 0.0f32.runtime();
            positive_best[i] = FLOOR.runtime();
            positive_sum[i] = 0.0f32.runtime();
            total[i] = 0.0f32.runtime();
        }
        Seen {
            best,
            sum,
            positive_best,
            positive_sum,
            total,
        }
    }

    /// Row `row` meets a positive.
    pub fn positive(&mut self, #[comptime] row: usize, similarity: f32) {
        let best = max(self.positive_best[row], similarity);
        let before = (self.positive_best[row] - best).exp();
        self.positive_sum[row] = self.positive_sum[row] * before + (similarity - best).exp();
        self.positive_best[row] = best;
        self.total[row] += similarity;
    }

    /// The sums of negatives become relative to a larger similarity.
    pub fn raise(&mut self, #[comptime] row: usize, best: f32) {
        self.sum[row] *= (self.best[row] - best).exp();
        self.best[row] = best;
    }
}

/// Losses and hits of the rows `row_begin..row_end`, which meet the rows `column_begin..column_end` but not
/// themselves, and what the backward pass needs.
///
/// A cube has `tile.height()` rows. `unit` is `[padded row][pitch]`.
#[cube(launch)]
pub fn forward(
    unit: &[Vector<f32, Four>],
    groups: &[u32],
    shares: &[f32],
    temperature: &[f32],
    losses: &mut [f32],
    hits: &mut [f32],
    kept: &mut [f32],
    row_begin: u32,
    row_end: u32,
    column_begin: u32,
    column_end: u32,
    #[comptime] pitch: usize,
    #[comptime] kind: Kind,
    #[comptime] tile: Tile,
) {
    let rows = comptime!(tile.rows);
    let columns = comptime!(WIDTH * tile.groups);
    let mut room = room(tile);
    let mut sums = Array::<f32>::new(comptime!(rows * columns));
    let first = row_begin as usize + CUBE_POS_X as usize * comptime!(tile.height());
    let own = first + UNIT_POS_Y as usize * rows;
    let end = column_end as usize;
    let scale = 1.0 / temperature[0];

    let mut group = Array::<u32>::new(rows);
    #[unroll]
    for i in 0..rows {
        group[i] = groups[own + i];
    }
    let place = Place {
        x: UNIT_POS_X as usize,
        y: UNIT_POS_Y as usize,
    };
    let mut seen = Seen::new(rows);
    let mut column = column_begin as usize;
    while column < end {
        similarities(unit, &mut room, &mut sums, first, column, pitch, tile);
        let mut others = Array::<u32>::new(columns);
        #[unroll]
        for j in 0..columns {
            others[j] = groups[column + column_of(j, tile)];
        }
        #[unroll]
        for i in 0..rows {
            let mut best = seen.best[i];
            #[unroll]
            for j in 0..columns {
                let other = column + column_of(j, tile);
                let meets = other < end && other != own + i;
                let similarity = sums[i * columns + j] * scale;
                let positive = others[j] == group[i];
                if meets && positive {
                    seen.positive(i, similarity);
                }
                let negative = select(meets && !positive, similarity, EXCLUDED.runtime());
                sums[i * columns + j] = negative;
                best = max(best, negative);
            }
            seen.raise(i, best);
            #[unroll]
            for j in 0..columns {
                seen.sum[i] += (sums[i * columns + j] - best).exp();
            }
        }
        column += comptime!(tile.width());
    }
    finish(
        &mut seen,
        &mut room,
        shares,
        losses,
        hits,
        kept,
        &place,
        own,
        row_end as usize,
        kind,
        tile,
    );
}

/// Brings together what the units of a row have seen, and writes it.
#[cube]
pub fn finish(
    seen: &mut Seen,
    room: &mut Shared<[Vector<f32, Four>]>,
    shares: &[f32],
    losses: &mut [f32],
    hits: &mut [f32],
    kept: &mut [f32],
    place: &Place,
    own: usize,
    end: usize,
    #[comptime] kind: Kind,
    #[comptime] tile: Tile,
) {
    let rows = comptime!(tile.rows);
    let mut best = Array::<f32>::new(rows);
    let mut positive_best = Array::<f32>::new(rows);
    #[unroll]
    for i in 0..rows {
        best[i] = seen.best[i];
        positive_best[i] = seen.positive_best[i];
    }
    row_max(&mut best, room, place, tile);
    row_max(&mut positive_best, room, place, tile);
    #[unroll]
    for i in 0..rows {
        seen.sum[i] *= (seen.best[i] - best[i]).exp();
        seen.positive_sum[i] *= (seen.positive_best[i] - positive_best[i]).exp();
    }
    row_sum(&mut seen.sum, room, place, tile);
    row_sum(&mut seen.positive_sum, room, place, tile);
    row_sum(&mut seen.total, room, place, tile);
    if place.x == 0 {
        #[unroll]
        for i in 0..rows {
            let row = own + i;
            if row < end {
                let share = shares[row];
                let mut denominator = best[i] + seen.sum[i].ln();
                let positives = positive_best[i] + seen.positive_sum[i].ln();
                if comptime!(!kind.decoupled) {
                    let most = max(best[i], positive_best[i]);
                    let all = seen.sum[i] * (best[i] - most).exp()
                        + seen.positive_sum[i] * (positive_best[i] - most).exp();
                    denominator = most + all.ln();
                }
                let mut wanted = seen.total[i] * share;
                if comptime!(kind.inside) {
                    wanted = positives + share.ln();
                }
                let anchor = share > 0.0;
                losses[row] = select(anchor, denominator - wanted, 0.0);
                hits[row] = select(anchor && positive_best[i] > best[i], 1.0f32, 0.0f32);
                kept[row * 2] = denominator;
                kept[row * 2 + 1] = positives;
            }
        }
    }
}
