//! Who meets whom: every pair of blocks once, in a fixed order, many pairs at a time.

use std::sync::Mutex;

use rayon::prelude::*;

/// Room that a meeting needs, made once a thread and not once a meeting.
pub(super) struct Scratch<I, F> {
    free: Mutex<Vec<I>>,
    make: F,
}

impl<I, F: Fn() -> I> Scratch<I, F> {
    pub(super) fn new(make: F) -> Self {
        Self {
            free: Mutex::default(),
            make,
        }
    }

    /// Lends room that other meetings have used before.
    pub(super) fn lend(&self, work: impl FnOnce(&mut I)) {
        // A meeting that panicked has not given its room back.
        let free = || {
            self.free
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
        };
        let used = free().pop();
        let mut room = used.unwrap_or_else(&self.make);
        work(&mut room);
        free().push(room);
    }
}

/// Every block meets every other once. In a round no block is in two meetings, so meetings run in parallel
/// and may change both; the order of the meetings of a block does not depend on the number of threads.
///
/// The number of blocks is even, or 1.
pub(super) fn tournament<B: Send>(blocks: &mut [B], meet: impl Fn(&mut B, &mut B) + Sync + Send) {
    if blocks.len() < 2 {
        return;
    }
    debug_assert!(blocks.len().is_multiple_of(2));
    // The circle method: one stays, the others move on by one place.
    for _ in 1..blocks.len() {
        let (left, right) = blocks.split_at_mut(blocks.len() / 2);
        let pairs = left.par_iter_mut().zip(right.par_iter_mut().rev());
        pairs.for_each(|(a, b)| meet(a, b));
        blocks[1..].rotate_right(1);
    }
}

/// Every block of one side meets every block of the other once; the sides are of one length.
pub(super) fn encounter<B: Send>(
    first: &mut [B],
    second: &mut [B],
    meet: impl Fn(&mut B, &mut B) + Sync + Send,
) {
    debug_assert_eq!(first.len(), second.len());
    for _ in 0..second.len() {
        let pairs = first.par_iter_mut().zip(second.par_iter_mut());
        pairs.for_each(|(a, b)| meet(a, b));
        second.rotate_left(1);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_pair_meets_once_and_all_are_back_in_place() {
        for count in [1, 2, 4, 8, 24] {
            let mut blocks: Vec<_> = (0..count).map(|i| (i, BTreeSet::new())).collect();
            tournament(&mut blocks, |a, b| {
                assert!(a.1.insert(b.0) && b.1.insert(a.0));
            });
            for (i, (block, met)) in blocks.into_iter().enumerate() {
                assert_eq!(block, i);
                assert_eq!(met, (0..count).filter(|j| *j != i).collect());
            }
        }
    }

    #[test]
    fn every_pair_of_two_sides_meets_once() {
        for count in [1, 2, 3, 8] {
            let side = || -> Vec<_> { (0..count).map(|i| (i, BTreeSet::new())).collect() };
            let (mut first, mut second) = (side(), side());
            encounter(&mut first, &mut second, |a, b| {
                assert!(a.1.insert(b.0) && b.1.insert(a.0));
            });
            for (i, (block, met)) in first.into_iter().chain(second).enumerate() {
                assert_eq!(block, i % count);
                assert_eq!(met, (0..count).collect());
            }
        }
    }
}
