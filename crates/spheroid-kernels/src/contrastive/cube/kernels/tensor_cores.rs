//! The same two passes for half floats on tensor cores, with sums in single precision.
//!
//! A cube has eight planes of 32 units and a tile of 64 by 64. A plane multiplies 16 rows by 32 columns; then
//! four units a row go over its similarities.

use cubecl::prelude::*;

use super::{
    backward::weight,
    forward::{EXCLUDED, Kind, Seen, finish},
    similarity::{Four, Place, row_sum},
    tile::{
        CORE, CORE_FEATURES, CORE_PULL, CORE_ROWS, HALF_WIDTH, PLANE, PLANES, ROW_UNITS, SIDE, Tile,
    },
};

/// Eight half floats, 128 bits.
pub type Eight = Const<8>;

/// Vectors between the rows of a stage: one more than it has, against conflicts of banks.
const STAGE_PITCH: usize = CORE_FEATURES / HALF_WIDTH + 1;
/// Values between the rows of the similarities and of the weights.
const PITCH: usize = CORE_ROWS + 4;
const WEIGHT_PITCH: usize = CORE_ROWS + 8;
/// Multiplications side by side of a plane, in a tile and in a chunk of features.
const COLUMNS: usize = CORE_ROWS / CORE / SIDE;
const CHUNK: usize = CORE_FEATURES / CORE / SIDE;

/// Loads `CORE_FEATURES` features of `CORE_ROWS` rows.
#[cube]
fn load<E: Float>(
    unit: &[Vector<E, Eight>],
    stage: &mut Shared<[Vector<E, Eight>]>,
    first: usize,
    feature: usize,
    #[comptime] pitch: usize,
) {
    let vectors = comptime!(CORE_FEATURES / HALF_WIDTH);
    let units = comptime!(PLANE * PLANES);
    #[unroll]
    for load in 0..comptime!(CORE_ROWS * vectors / units) {
        let index = load * units + UNIT_POS as usize;
        let row = index / vectors;
        let vector = index % vectors;
        stage[row * STAGE_PITCH + vector] = unit[(first + row) * pitch + feature + vector];
    }
}

/// Writes the products of the rows from `row` with the rows from `column`, 64 by 64.
#[cube]
fn similarities<E: Float>(
    unit: &[Vector<E, Eight>],
    left: &mut Shared<[Vector<E, Eight>]>,
    right: &mut Shared<[Vector<E, Eight>]>,
    tile: &mut Shared<[f32]>,
    row: usize,
    column: usize,
    steps: u32,
    #[comptime] pitch: usize,
) {
    let below = UNIT_POS_Y as usize / SIDE;
    let side = UNIT_POS_Y as usize % SIDE;
    let stage = comptime!(CORE_ROWS * STAGE_PITCH);
    let stride = comptime!((STAGE_PITCH * HALF_WIDTH) as u32);
    let mut sums = Sequence::<cmma::Matrix<f32>>::new();
    #[unroll]
    for _ in 0..COLUMNS {
        sums.push(cmma::Matrix::<f32>::from_value(
            cmma::MatrixIdent::Accumulator,
            CORE,
            CORE,
            CORE,
            cmma::MatrixLayout::Undefined,
            0.0,
        ));
    }
    let mut k = 0usize.runtime();
    for step in 0..steps as usize {
        if k == 0 {
            let feature = step * comptime!(CORE / HALF_WIDTH);
            sync_cube();
            load(unit, left, row, feature, pitch);
            load(unit, right, column, feature, pitch);
            sync_cube();
        }
        let at = below * comptime!(CORE * STAGE_PITCH) + k * comptime!(CORE / HALF_WIDTH);
        let own = cmma::Matrix::<Vector<E, Eight>>::from_slice(
            cmma::MatrixIdent::A,
            CORE,
            CORE,
            CORE,
            cmma::MatrixLayout::RowMajor,
            &left[at..stage],
            stride,
        );
        #[unroll]
        for j in 0..COLUMNS {
            let at = (side * COLUMNS + j) * comptime!(CORE * STAGE_PITCH)
                + k * comptime!(CORE / HALF_WIDTH);
            let others = cmma::Matrix::<Vector<E, Eight>>::from_slice(
                cmma::MatrixIdent::B,
                CORE,
                CORE,
                CORE,
                cmma::MatrixLayout::ColMajor,
                &right[at..stage],
                stride,
            );
            cmma::execute(&own, &others, &sums[j], &sums[j]);
        }
        k = (k + 1) % comptime!(CORE_FEATURES / CORE);
    }
    #[unroll]
    for j in 0..COLUMNS {
        let at = below * comptime!(CORE * PITCH)
            + side * comptime!(COLUMNS * CORE)
            + comptime!(j * CORE);
        cmma::store(
            &mut tile[at..comptime!(CORE_ROWS * PITCH)],
            &sums[j],
            comptime!(PITCH as u32),
            cmma::MatrixLayout::RowMajor,
        );
    }
    sync_cube();
}

/// The row of a unit within the tile, and which of the units of the row it is.
#[cube]
fn place() -> Place {
    let unit = UNIT_POS as usize;
    Place {
        x: unit % ROW_UNITS,
        y: unit / ROW_UNITS,
    }
}

/// As [`super::forward::forward`], of half floats of `16 · steps` features. The number is known, but not to the
/// compiler, which would unroll and run out of registers.
#[cube(launch)]
pub fn forward_on_cores<E: Float>(
    unit: &[Vector<E, Eight>],
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
    steps: u32,
    #[comptime] pitch: usize,
    #[comptime] kind: Kind,
    #[define(E)] _element: ElemType,
) {
    let places = comptime!(Tile::cores());
    let mut left = Shared::<[Vector<E, Eight>]>::new_slice(comptime!(CORE_ROWS * STAGE_PITCH));
    let mut right = Shared::<[Vector<E, Eight>]>::new_slice(comptime!(CORE_ROWS * STAGE_PITCH));
    let mut tile = Shared::<[f32]>::new_slice(comptime!(CORE_ROWS * PITCH));
    let mut room = Shared::<[Vector<f32, Four>]>::new_slice(comptime!(CORE_ROWS * ROW_UNITS));
    let place = place();
    let first = row_begin as usize + CUBE_POS_X as usize * CORE_ROWS;
    let own = first + place.y;
    let end = column_end as usize;
    let scale = 1.0 / temperature[0];
    let mut seen = Seen::new(1usize);
    let mut column = column_begin as usize;
    while column < end {
        similarities(
            unit, &mut left, &mut right, &mut tile, first, column, steps, pitch,
        );
        // Read again for every tile: registers are dearer.
        let group = groups[own];
        let count = min(end - column, CORE_ROWS);
        let mut best = seen.best[0];
        let mut within = place.x;
        while within < count {
            let other = column + within;
            let meets = other != own;
            let similarity = tile[place.y * PITCH + within] * scale;
            let positive = groups[other] == group;
            if meets && positive {
                seen.positive(0usize, similarity);
            }
            let negative = select(meets && !positive, similarity, EXCLUDED.runtime());
            tile[place.y * PITCH + within] = negative;
            best = max(best, negative);
            within += ROW_UNITS;
        }
        seen.raise(0usize, best);
        within = place.x;
        while within < count {
            seen.sum[0] += (tile[place.y * PITCH + within] - best).exp();
            within += ROW_UNITS;
        }
        column += CORE_ROWS;
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
        places,
    );
}

/// As [`super::backward::backward`], of half floats; weights are rounded to them. Whole blocks of rows are
/// written into `pull`, also behind `row_end`.
#[cube(launch)]
pub fn backward_on_cores<E: Float>(
    unit: &[Vector<E, Eight>],
    groups: &[u32],
    asked: &[Vector<f32, Four>],
    temperature: &[f32],
    pull: &mut [f32],
    heat: &mut [f32],
    row_begin: u32,
    row_end: u32,
    column_begin: u32,
    column_end: u32,
    steps: u32,
    #[comptime] pitch: usize,
    #[comptime] kind: Kind,
    #[define(E)] _element: ElemType,
) {
    let places = comptime!(Tile::cores());
    let stage = comptime!(CORE_ROWS * STAGE_PITCH);
    let stride = comptime!((STAGE_PITCH * HALF_WIDTH) as u32);
    let chunks = comptime!(CORE_PULL.min(pitch * HALF_WIDTH) / CORE_FEATURES);
    let mut left = Shared::<[Vector<E, Eight>]>::new_slice(stage);
    let mut right = Shared::<[Vector<E, Eight>]>::new_slice(stage);
    let mut tile = Shared::<[f32]>::new_slice(comptime!(CORE_ROWS * PITCH));
    let mut weights = Shared::<[E]>::new_slice(comptime!(CORE_ROWS * WEIGHT_PITCH));
    let mut room = Shared::<[Vector<f32, Four>]>::new_slice(comptime!(CORE_ROWS * ROW_UNITS));
    let place = place();
    let below = UNIT_POS_Y as usize / SIDE;
    let side = UNIT_POS_Y as usize % SIDE;
    let first = row_begin as usize + CUBE_POS_X as usize * CORE_ROWS;
    let feature = CUBE_POS_Y as usize * comptime!(CORE_PULL / HALF_WIDTH);
    let own = first + place.y;
    let end = column_end as usize;
    let scale = 1.0 / temperature[0];
    let mut own_heat = Array::<f32>::new(1usize);
    own_heat[0] = 0.0f32.runtime();
    let mut pulled = Sequence::<cmma::Matrix<f32>>::new();
    #[unroll]
    for _ in 0..comptime!(chunks * CHUNK) {
        pulled.push(cmma::Matrix::<f32>::from_value(
            cmma::MatrixIdent::Accumulator,
            CORE,
            CORE,
            CORE,
            cmma::MatrixLayout::Undefined,
            0.0,
        ));
    }
    let mut column = column_begin as usize;
    while column < end {
        similarities(
            unit, &mut left, &mut right, &mut tile, first, column, steps, pitch,
        );
        let pulls = min(end - column, CORE_ROWS).div_ceil(CORE);
        // Read again for every tile: registers are dearer.
        let group = groups[own];
        let own_asked = asked[own];
        let mut within = place.x;
        while within < pulls * CORE {
            let other = column + within;
            let meets = other < end && other != own;
            let similarity = tile[place.y * PITCH + within] * scale;
            let positive = groups[other] == group;
            let mine = weight(similarity, own_asked, positive, kind);
            let theirs = weight(similarity, asked[other], positive, kind);
            own_heat[0] += select(meets, mine * similarity, 0.0);
            let both = select(meets, mine + theirs, 0.0);
            weights[place.y * WEIGHT_PITCH + within] = E::cast_from(both);
            within += ROW_UNITS;
        }
        #[unroll]
        for chunk in 0..chunks {
            sync_cube();
            // The last cube of a row of cubes can have fewer features.
            let chunk_feature = feature + comptime!(chunk * CORE_FEATURES / HALF_WIDTH);
            if chunk_feature < pitch {
                load(unit, &mut right, column, chunk_feature, pitch);
            }
            sync_cube();
            for k in 0..pulls {
                let at = below * comptime!(CORE * WEIGHT_PITCH) + k * CORE;
                let factors = cmma::Matrix::<E>::from_slice(
                    cmma::MatrixIdent::A,
                    CORE,
                    CORE,
                    CORE,
                    cmma::MatrixLayout::RowMajor,
                    &weights[at..comptime!(CORE_ROWS * WEIGHT_PITCH)],
                    comptime!(WEIGHT_PITCH as u32),
                );
                #[unroll]
                for f in 0..CHUNK {
                    let at = k * comptime!(CORE * STAGE_PITCH)
                        + side * comptime!(CHUNK * CORE / HALF_WIDTH)
                        + comptime!(f * CORE / HALF_WIDTH);
                    let others = cmma::Matrix::<Vector<E, Eight>>::from_slice(
                        cmma::MatrixIdent::B,
                        CORE,
                        CORE,
                        CORE,
                        cmma::MatrixLayout::RowMajor,
                        &right[at..stage],
                        stride,
                    );
                    let index = comptime!(chunk * CHUNK + f);
                    cmma::execute(&factors, &others, &pulled[index], &pulled[index]);
                }
            }
        }
        column += CORE_ROWS;
    }
    let len = pull.len();
    #[unroll]
    for chunk in 0..chunks {
        let chunk_feature = feature * HALF_WIDTH + comptime!(chunk * CORE_FEATURES);
        if chunk_feature < comptime!(pitch * HALF_WIDTH) {
            #[unroll]
            for f in 0..CHUNK {
                let at = (first + below * CORE) * comptime!(pitch * HALF_WIDTH)
                    + chunk_feature
                    + side * comptime!(CHUNK * CORE)
                    + comptime!(f * CORE);
                cmma::store(
                    &mut pull[at..len],
                    &pulled[comptime!(chunk * CHUNK + f)],
                    comptime!((pitch * HALF_WIDTH) as u32),
                    cmma::MatrixLayout::RowMajor,
                );
            }
        }
    }
    row_sum(&mut own_heat, &mut room, &place, places);
    if own < row_end as usize && place.x == 0 && CUBE_POS_Y == 0 {
        heat[own] = own_heat[0];
    }
}
