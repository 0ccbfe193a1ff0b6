//! A tile of products of rows, in registers.

use cubecl::prelude::*;

use super::tile::{FEATURES, Tile, WIDTH};

pub type Four = Const<4>;

/// Where a unit stands among those of a tile.
#[derive(CubeType, Clone, Copy)]
pub struct Place {
    pub x: usize,
    pub y: usize,
}

/// Shared memory that the steps of a tile take one after the other.
#[cube]
pub fn room(#[comptime] tile: Tile) -> Shared<[Vector<f32, Four>]> {
    Shared::<[Vector<f32, Four>]>::new_slice(comptime!(tile.room()))
}

/// Loads a stage of `count` rows into shared memory, behind `begin` others. Rows of the columns' side are stored so that units side
/// by side read rows side by side, though each has four columns that follow each other.
#[cube]
fn load(
    unit: &[Vector<f32, Four>],
    stage: &mut Shared<[Vector<f32, Four>]>,
    first: usize,
    feature: usize,
    #[comptime] pitch: usize,
    #[comptime] count: usize,
    #[comptime] begin: usize,
    #[comptime] spread: bool,
    #[comptime] tile: Tile,
) {
    let vectors = comptime!(FEATURES / WIDTH);
    let units = comptime!(tile.all_units());
    let loads = comptime!((count * vectors).div_ceil(units));
    #[unroll]
    for load in 0..loads {
        let index = load * units + UNIT_POS as usize;
        if index < comptime!(count * vectors) {
            let row = index / vectors;
            let vector = index % vectors;
            let mut place = row;
            if comptime!(spread) {
                place = place_of(row, tile);
            }
            stage[(begin + place) * comptime!(tile.stage_pitch()) + vector] =
                unit[(first + row) * pitch + feature + vector];
        }
    }
}

/// Where column `column` of a tile lies in shared memory.
#[cube]
pub fn place_of(column: usize, #[comptime] tile: Tile) -> usize {
    let side = comptime!(tile.units[0]);
    let group = column / comptime!(side * WIDTH);
    let within = column % comptime!(side * WIDTH);
    group * comptime!(side * WIDTH) + within % WIDTH * side + within / WIDTH
}

/// Products of the rows from `row` with the rows from `column`, `tile.rows` by `4 · tile.groups` of them a
/// unit. `room` is [`room`]'s.
#[cube]
pub fn similarities(
    unit: &[Vector<f32, Four>],
    room: &mut Shared<[Vector<f32, Four>]>,
    sums: &mut Array<f32>,
    row: usize,
    column: usize,
    #[comptime] pitch: usize,
    #[comptime] tile: Tile,
) {
    let rows = comptime!(tile.rows);
    let columns = comptime!(WIDTH * tile.groups);
    let side = comptime!(tile.units[0]);
    let stage = comptime!(tile.stage_pitch());
    let height = comptime!(tile.height());
    let vectors = comptime!(FEATURES / WIDTH);
    let x = UNIT_POS_X as usize;
    let y = UNIT_POS_Y as usize;
    #[unroll]
    for i in 0..comptime!(rows * columns) {
        sums[i] = 0.0f32.runtime();
    }
    for step in 0..comptime!(pitch / vectors) {
        let feature = step * vectors;
        sync_cube();
        load(unit, room, row, feature, pitch, height, 0usize, false, tile);
        load(
            unit,
            room,
            column,
            feature,
            pitch,
            comptime!(tile.width()),
            height,
            true,
            tile,
        );
        sync_cube();
        #[unroll]
        for vector in 0..vectors {
            let mut own = Array::<Vector<f32, Four>>::new(rows);
            #[unroll]
            for i in 0..rows {
                own[i] = room[(y * rows + i) * stage + vector];
            }
            #[unroll]
            for j in 0..columns {
                let place = comptime!(height + j / WIDTH * side * WIDTH + j % WIDTH * side) + x;
                let other = room[place * stage + vector];
                #[unroll]
                for i in 0..rows {
                    #[unroll]
                    for lane in 0..WIDTH {
                        sums[i * columns + j] += own[i].extract(lane) * other.extract(lane);
                    }
                }
            }
        }
    }
}

/// Column within a tile of a unit's column `index`.
#[cube]
pub fn column_of(#[comptime] index: usize, #[comptime] tile: Tile) -> usize {
    let side = comptime!(tile.units[0]);
    comptime!(index / WIDTH * side * WIDTH + index % WIDTH) + UNIT_POS_X as usize * WIDTH
}

/// Puts the values of every unit where the other units of its rows see them.
#[cube]
fn offer(
    values: &mut Array<f32>,
    room: &mut Shared<[Vector<f32, Four>]>,
    place: &Place,
    #[comptime] tile: Tile,
) {
    let rows = comptime!(tile.rows);
    sync_cube();
    #[unroll]
    for i in 0..rows {
        room[(place.y * rows + i) * comptime!(tile.units[0]) + place.x] =
            Vector::<f32, Four>::new(values[i]);
    }
    sync_cube();
}

/// The largest of the values that the units of a row have, for all of them.
#[cube]
pub fn row_max(
    values: &mut Array<f32>,
    room: &mut Shared<[Vector<f32, Four>]>,
    place: &Place,
    #[comptime] tile: Tile,
) {
    let side = comptime!(tile.units[0]);
    let rows = comptime!(tile.rows);
    let first = place.y * rows;
    offer(values, room, place, tile);
    #[unroll]
    for i in 0..rows {
        let mut most = room[(first + i) * side].extract(0usize);
        for other in 1..side {
            most = max(most, room[(first + i) * side + other].extract(0usize));
        }
        values[i] = most;
    }
}

/// The sum of the values that the units of a row have, in their order, for all of them.
#[cube]
pub fn row_sum(
    values: &mut Array<f32>,
    room: &mut Shared<[Vector<f32, Four>]>,
    place: &Place,
    #[comptime] tile: Tile,
) {
    let side = comptime!(tile.units[0]);
    let rows = comptime!(tile.rows);
    let first = place.y * rows;
    offer(values, room, place, tile);
    #[unroll]
    for i in 0..rows {
        let mut sum = room[(first + i) * side].extract(0usize);
        for other in 1..side {
            sum += room[(first + i) * side + other].extract(0usize);
        }
        values[i] = sum;
    }
}
