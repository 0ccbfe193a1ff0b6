//! The pull of all columns on a block of rows, from similarities computed once more.

use cubecl::prelude::*;

use super::{
    forward::Kind,
    similarity::{Four, Place, column_of, room, row_sum, similarities},
    tile::{Tile, WIDTH},
};

/// What a similarity weighs for the row whose weights are `asked`.
#[cube]
pub fn weight(
    similarity: f32,
    asked: Vector<f32, Four>,
    positive: bool,
    #[comptime] kind: Kind,
) -> f32 {
    let mut weight = asked.extract(1usize) * (similarity - asked.extract(0usize)).exp();
    if comptime!(kind.decoupled) {
        weight = select(positive, 0.0, weight);
    }
    let mut wanted = asked.extract(3usize);
    if comptime!(kind.inside) {
        wanted = 0.0f32.runtime();
        if positive {
            wanted = asked.extract(1usize) * (similarity - asked.extract(2usize)).exp();
        }
    }
    weight - select(positive, wanted, 0.0)
}

/// Pull on the rows `row_begin..row_end` by the rows `column_begin..column_end`, for the losses of both, as
/// `[padded row][pitch]`, to be divided by the temperature; and of every row the sum of its own weights times
/// similarities, which is what its loss pulls at the temperature.
///
/// A cube has `tile.height()` rows, and `tile.features` features from `CUBE_POS_Y`. Every row is written by one
/// cube, so results are the same at every run.
#[cube(launch)]
pub fn backward(
    unit: &[Vector<f32, Four>],
    groups: &[u32],
    asked: &[Vector<f32, Four>],
    temperature: &[f32],
    pull: &mut [Vector<f32, Four>],
    heat: &mut [f32],
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
    let side = comptime!(tile.units[0]);
    let width = comptime!(tile.width() / WIDTH);
    let chunks = comptime!(tile.chunks());
    let mut room = room(tile);
    let mut weights = Shared::<[Vector<f32, Four>]>::new_slice(comptime!(tile.weights()));
    let mut sums = Array::<f32>::new(comptime!(rows * columns));
    let first = row_begin as usize + CUBE_POS_X as usize * comptime!(tile.height());
    let feature = CUBE_POS_Y as usize * comptime!(tile.features / WIDTH);
    let x = UNIT_POS_X as usize;
    let y = UNIT_POS_Y as usize;
    let own = first + y * rows;
    let end = column_end as usize;
    let scale = 1.0 / temperature[0];

    let mut group = Array::<u32>::new(rows);
    let mut own_asked = Array::<Vector<f32, Four>>::new(rows);
    let mut own_heat = Array::<f32>::new(rows);
    #[unroll]
    for i in 0..rows {
        group[i] = groups[own + i];
        own_asked[i] = asked[own + i];
        own_heat[i] = 0.0f32.runtime();
    }
    let mut pulled = Array::<Vector<f32, Four>>::new(comptime!(rows * chunks));
    #[unroll]
    for i in 0..comptime!(rows * chunks) {
        pulled[i] = Vector::<f32, Four>::new(0.0);
    }

    let mut column = column_begin as usize;
    while column < end {
        similarities(unit, &mut room, &mut sums, first, column, pitch, tile);
        #[unroll]
        for j in 0..columns {
            let other = column + column_of(j, tile);
            let other_group = groups[other];
            let other_asked = asked[other];
            #[unroll]
            for i in 0..rows {
                let similarity = sums[i * columns + j] * scale;
                let positive = other_group == group[i];
                let meets = other < end && other != own + i;
                let mine = weight(similarity, own_asked[i], positive, kind);
                let theirs = weight(similarity, other_asked, positive, kind);
                own_heat[i] += select(meets, mine * similarity, 0.0);
                sums[i * columns + j] = select(meets, mine + theirs, 0.0);
            }
        }
        #[unroll]
        for i in 0..rows {
            #[unroll]
            for g in 0..comptime!(tile.groups) {
                let mut four = Vector::<f32, Four>::new(0.0);
                #[unroll]
                for lane in 0..WIDTH {
                    four.insert(lane, sums[i * columns + g * WIDTH + lane]);
                }
                weights[(y * rows + i) * width + g * side + x] = four;
            }
        }
        #[unroll]
        for chunk in 0..chunks {
            sync_cube();
            let loads = comptime!((tile.width() * side).div_ceil(tile.all_units()));
            #[unroll]
            for load in 0..loads {
                let index = load * comptime!(tile.all_units()) + UNIT_POS as usize;
                if index < comptime!(tile.width() * side) {
                    let place = feature + chunk * side + index % side;
                    let mut value = Vector::<f32, Four>::new(0.0);
                    if place < pitch {
                        value = unit[(column + index / side) * pitch + place];
                    }
                    room[index] = value;
                }
            }
            sync_cube();
            for j in 0..width {
                let mut factors = Array::<Vector<f32, Four>>::new(rows);
                #[unroll]
                for i in 0..rows {
                    factors[i] = weights[(y * rows + i) * width + j];
                }
                #[unroll]
                for lane in 0..WIDTH {
                    let other = room[(j * WIDTH + lane) * side + x];
                    #[unroll]
                    for i in 0..rows {
                        let factor = Vector::<f32, Four>::new(factors[i].extract(lane));
                        pulled[i * chunks + chunk] += factor * other;
                    }
                }
            }
        }
        column += comptime!(tile.width());
    }

    row_sum(&mut own_heat, &mut room, &Place { x, y }, tile);
    #[unroll]
    for i in 0..rows {
        let row = own + i;
        if row < row_end as usize {
            if x == 0 && CUBE_POS_Y == 0 {
                heat[row] = own_heat[i];
            }
            #[unroll]
            for chunk in 0..chunks {
                let place = feature + chunk * side + x;
                if place < pitch {
                    pull[row * pitch + place] = pulled[i * chunks + chunk];
                }
            }
        }
    }
}
