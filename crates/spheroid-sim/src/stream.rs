use rand_chacha::ChaCha8Rng;
use spheroid_core::{Day, DrawKey, WellId};

/// What a random stream is for.
///
/// Each purpose, well and day has its own stream, so that an image depends on nothing that was
/// drawn for another one and a new kind of draw leaves the old ones as they were.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    Screen,
    Layout,
    Dust,
    Growth,
    Response,
    Look,
    Outline,
    Debris,
    Grain,
    Drift,
    Coarse,
    Placement,
    Image,
    Noise,
    Settings,
}

impl Stream {
    /// The stream that the whole plate shares.
    pub(crate) fn of_plate(self, seed: u64) -> ChaCha8Rng {
        self.key(seed, u64::MAX, u64::MAX)
    }

    /// The stream of one well on all days.
    pub(crate) fn of_well(self, seed: u64, well: WellId) -> ChaCha8Rng {
        self.key(seed, index(well), u64::MAX)
    }

    /// The stream of one well on one day.
    pub(crate) fn of_image(self, seed: u64, well: WellId, day: Day) -> ChaCha8Rng {
        self.key(seed, index(well), day.days().to_bits())
    }

    fn key(self, seed: u64, item: u64, view: u64) -> ChaCha8Rng {
        DrawKey {
            seed,
            epoch: self as u64,
            item,
            view,
        }
        .rng()
    }
}

fn index(well: WellId) -> u64 {
    (well.row() as u64) << 32 | well.column() as u64
}
