use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use serde::{Deserialize, Serialize};

/// Fixes every random choice of one augmented view.
///
/// The same key gives the same draw, whatever the number of threads or the order of the work, so a
/// draw can be logged and replayed.
///
/// # Example
/// ```
/// use spheroid_core::DrawKey;
/// use rand::Rng;
/// let key = DrawKey { seed: 7, epoch: 0, item: 3, view: 1 };
/// assert_eq!(key.rng().next_u64(), key.rng().next_u64());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DrawKey {
    /// Seed of the whole run.
    pub seed: u64,
    /// Pass over the data.
    pub epoch: u64,
    /// Image, or position in the epoch.
    pub item: u64,
    /// View of that image.
    pub view: u64,
}

impl DrawKey {
    /// The random stream that belongs to this key alone.
    ///
    /// The four numbers are the 256-bit ChaCha key, so no two keys share a stream.
    pub fn rng(self) -> ChaCha8Rng {
        let mut key = [0u8; 32];
        for (bytes, part) in key
            .chunks_exact_mut(8)
            .zip([self.seed, self.epoch, self.item, self.view])
        {
            bytes.copy_from_slice(&part.to_le_bytes());
        }
        ChaCha8Rng::from_seed(key)
    }
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn each_part_of_the_key_changes_the_stream() {
        let key = DrawKey {
            seed: 1,
            epoch: 2,
            item: 3,
            view: 4,
        };
        let others = [
            DrawKey { seed: 0, ..key },
            DrawKey { epoch: 0, ..key },
            DrawKey { item: 0, ..key },
            DrawKey { view: 0, ..key },
        ];
        let first = key.rng().next_u64();
        assert!(others.iter().all(|other| other.rng().next_u64() != first));
    }
}
