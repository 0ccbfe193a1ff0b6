//! Memory of maps that nobody needs any more, kept for the next.
//!
//! An allocator hands large blocks back to the system, which clears every page of those that it gives out: a tenth of
//! a training step.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Floats that are kept at most: 256 MiB.
const MOST: usize = 64 << 20;
/// Floats below which an allocator is as good.
const LEAST: usize = 1 << 14;

/// Blocks by their capacity.
#[derive(Debug)]
struct Kept {
    blocks: BTreeMap<usize, Vec<Vec<f32>>>,
    floats: usize,
}

static KEPT: Mutex<Kept> = Mutex::new(Kept {
    blocks: BTreeMap::new(),
    floats: 0,
});

impl Kept {
    fn lock() -> MutexGuard<'static, Self> {
        KEPT.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block of hardly more floats.
    fn take(&mut self, len: usize) -> Option<Vec<f32>> {
        let (&capacity, blocks) = self.blocks.range_mut(len..=len + len / 4).next()?;
        let block = blocks.pop()?;
        if blocks.is_empty() {
            self.blocks.remove(&capacity);
        }
        self.floats -= capacity;
        Some(block)
    }

    fn give(&mut self, block: Vec<f32>) {
        let capacity = block.capacity();
        if !(LEAST..=MOST).contains(&capacity) {
            return;
        }
        // Sizes that nobody asks for any more shall not stay.
        if self.floats + capacity > MOST {
            self.blocks.clear();
            self.floats = 0;
        }
        self.floats += capacity;
        self.blocks.entry(capacity).or_default().push(block);
    }
}

fn kept(len: usize) -> Option<Vec<f32>> {
    (len >= LEAST).then(|| Kept::lock().take(len))?
}

/// Floats of any value.
pub(crate) fn take(len: usize) -> Vec<f32> {
    let mut block = kept(len).unwrap_or_else(|| vec![0.0; len]);
    block.resize(len, 0.0);
    // Who forgets a place shall find out.
    #[cfg(test)]
    block.fill(f32::NAN);
    block
}

/// Floats that are 0.
pub(crate) fn take_zeros(len: usize) -> Vec<f32> {
    match kept(len) {
        Some(mut block) => {
            block.clear();
            block.resize(len, 0.0);
            block
        }
        None => vec![0.0; len],
    }
}

/// Keeps memory for the next that asks.
pub(crate) fn give(block: Vec<f32>) {
    Kept::lock().give(block);
}

/// Floats that are given back when they are dropped.
#[derive(Debug)]
pub(crate) struct Room(Vec<f32>);

impl Room {
    /// Of any value.
    pub(crate) fn new(len: usize) -> Self {
        Self(take(len))
    }

    pub(crate) fn zeros(len: usize) -> Self {
        Self(take_zeros(len))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.0));
    }
}

impl Deref for Room {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Room {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Kept {
        Kept {
            blocks: BTreeMap::new(),
            floats: 0,
        }
    }

    #[test]
    fn blocks_come_back_to_who_asks_for_their_size() {
        let mut kept = empty();
        kept.give(vec![1.0; 20_000]);
        kept.give(vec![2.0; 30_000]);
        assert_eq!(kept.take(40_000), None);
        assert_eq!(kept.take(15_000), None);
        assert_eq!(kept.take(29_000).unwrap().capacity(), 30_000);
        assert_eq!(kept.take(29_000), None);
        assert_eq!(kept.take(20_000).unwrap().capacity(), 20_000);
        assert_eq!(kept.floats, 0);
    }

    #[test]
    fn no_more_is_kept_than_is_allowed() {
        let mut kept = empty();
        kept.give(vec![0.0; LEAST - 1]);
        kept.give(Vec::with_capacity(MOST + 1));
        assert!(kept.blocks.is_empty());
        for _ in 0..10 {
            kept.give(Vec::with_capacity(MOST / 3));
            assert!(kept.floats <= MOST);
            let floats = kept.blocks.iter().map(|(size, blocks)| size * blocks.len());
            assert_eq!(floats.sum::<usize>(), kept.floats);
        }
    }

    #[test]
    fn memory_that_is_asked_for_as_zeros_is() {
        give(vec![1.0; 77_777]);
        assert!(take_zeros(77_777).iter().all(|value| *value == 0.0));
        drop(Room::new(55_555));
        assert_eq!(take(55_555).len(), 55_555);
    }
}
