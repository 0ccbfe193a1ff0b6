//! Sizes of the work of a cube.

/// Values of a vector: 128 bits, the widest load of a GPU.
pub const WIDTH: usize = 4;

/// Half floats of a vector of as many bits.
pub const HALF_WIDTH: usize = 8;

/// Features are padded to whole stages.
pub const FEATURES: usize = 16;

/// Side of what a tensor core multiplies.
pub const CORE: usize = 16;
/// Units of a plane, and planes of a cube on tensor cores.
pub const PLANE: usize = 32;
pub const PLANES: usize = 8;
/// Planes side by side, which share rows.
pub const SIDE: usize = 2;
/// Rows and columns of a tile on tensor cores: sixteen rows a plane.
pub const CORE_ROWS: usize = CORE * PLANES / SIDE;
/// Units that go over the similarities of a row on tensor cores.
pub const ROW_UNITS: usize = PLANE * PLANES / CORE_ROWS;
/// Features of a stage on tensor cores, to which they are padded there.
pub const CORE_FEATURES: usize = 64;
/// Features that a cube on tensor cores adds up gradients for at most.
pub const CORE_PULL: usize = 128;

/// How a tile of similarities is shared by the units of a cube.
///
/// A unit has `rows` rows and `groups` times four columns that lie side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tile {
    /// Units side by side and one above the other.
    pub units: [usize; 2],
    /// Rows of a unit.
    pub rows: usize,
    /// Groups of four columns of a unit.
    pub groups: usize,
    /// Features that a cube adds up gradients for; a multiple of [`Tile::chunk`]. 0 in the forward pass.
    pub features: usize,
}

impl Tile {
    /// Tiles of the forward pass for a device that has so many units a cube and bytes of shared memory.
    pub fn forward(most_units: usize, shared: usize) -> Self {
        let tile = |units: [usize; 2], rows, groups| Self {
            units,
            rows,
            groups,
            features: 0,
        };
        let large = tile([16, 16], 4, 2);
        let small = tile([8, 8], 4, 1);
        if most_units >= 256 && large.shared_bytes() <= shared {
            large
        } else if most_units >= 64 && small.shared_bytes() <= shared {
            small
        } else {
            tile([1, 1], 4, 1)
        }
    }

    /// Tiles of the backward pass for rows of so many features.
    pub fn backward(most_units: usize, shared: usize, features: usize) -> Self {
        let tile = |units: [usize; 2], most: usize| Self {
            units,
            rows: 4,
            groups: 1,
            features: features.next_multiple_of(units[0] * WIDTH).min(most),
        };
        let large = tile([16, 16], 128);
        let small = tile([8, 8], 64);
        if most_units >= 256 && large.shared_bytes() <= shared {
            large
        } else if most_units >= 64 && small.shared_bytes() <= shared {
            small
        } else {
            tile([1, 1], 16)
        }
    }

    /// The places of the units of a cube on tensor cores, whatever each computes.
    pub fn cores() -> Self {
        Self {
            units: [ROW_UNITS, CORE_ROWS],
            rows: 1,
            groups: 1,
            features: 0,
        }
    }

    pub fn all_units(&self) -> usize {
        self.units[0] * self.units[1]
    }

    /// Rows of a tile.
    pub fn height(&self) -> usize {
        self.units[1] * self.rows
    }

    /// Columns of a tile.
    pub fn width(&self) -> usize {
        self.units[0] * WIDTH * self.groups
    }

    /// Features that all units add up at a time.
    pub fn chunk(&self) -> usize {
        self.units[0] * WIDTH
    }

    /// Chunks of [`Tile::features`].
    pub fn chunks(&self) -> usize {
        self.features / self.chunk()
    }

    /// Vectors between rows in shared memory: one more than a stage has, so that the rows of neighbouring
    /// units lie in different banks.
    pub fn stage_pitch(&self) -> usize {
        FEATURES / WIDTH + 1
    }

    /// Vectors of shared memory that the steps of a tile take one after the other: stages of rows, a chunk
    /// of the columns' features, and what the units of a row bring together.
    pub fn room(&self) -> usize {
        let stages = (self.height() + self.width()) * self.stage_pitch();
        let chunk = self.width() * self.units[0];
        let rows = self.height() * self.units[0];
        let chunk = if self.features == 0 { 0 } else { chunk };
        stages.max(chunk).max(rows)
    }

    /// Vectors of shared memory for the weights of a tile.
    pub fn weights(&self) -> usize {
        self.height() * self.width() / WIDTH
    }

    /// Bytes of shared memory.
    pub fn shared_bytes(&self) -> usize {
        let weights = if self.features == 0 {
            0
        } else {
            self.weights()
        };
        (self.room() + weights) * WIDTH * 4
    }
}
