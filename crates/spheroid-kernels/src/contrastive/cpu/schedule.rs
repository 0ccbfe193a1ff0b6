//! Who meets whom, and in which order.

use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// Runs `work` on the calling thread and on those of the pool. The caller does not wait for a thread to wake,
/// which takes longer than small tasks.
fn together(most: usize, work: impl Fn() + Sync) {
    let others = rayon::current_num_threads().min(most).saturating_sub(1);
    rayon::in_place_scope(|scope| {
        for _ in 0..others {
            scope.spawn(|_| work());
        }
        work();
    });
}

/// What `work` makes of every item, in their order.
pub(super) fn map<I: Send, R: Send>(items: Vec<I>, work: impl Fn(I) -> R + Sync) -> Vec<R> {
    let count = items.len();
    let items = Mutex::new(items.into_iter().enumerate());
    let results = Mutex::new(Vec::with_capacity(count));
    together(count, || {
        let take = || items.lock().expect("nothing fails while it is held").next();
        while let Some((index, item)) = take() {
            let result = work(item);
            let mut results = results.lock().expect("nothing fails while it is held");
            results.push((index, result));
        }
    });
    let mut results = results
        .into_inner()
        .expect("nothing fails while it is held");
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// A block that meets another, or itself.
pub(super) type Meeting = (usize, usize);

/// Every block by itself.
pub(super) fn alone(blocks: usize) -> Vec<Meeting> {
    (0..blocks).map(|block| (block, block)).collect()
}

/// Every block meets itself and then every other once, in rounds in which no block is in two meetings. The
/// number of blocks is even, or 1.
pub(super) fn tournament(blocks: usize) -> Vec<Meeting> {
    debug_assert!(blocks == 1 || blocks.is_multiple_of(2));
    let mut meetings = alone(blocks);
    let mut places: Vec<usize> = (0..blocks).collect();
    // The circle method: one stays, the others move on by one place.
    for _ in 1..blocks {
        let (left, right) = places.split_at(blocks / 2);
        meetings.extend(left.iter().copied().zip(right.iter().rev().copied()));
        places[1..].rotate_right(1);
    }
    meetings
}

/// Every block of the first half meets every block of the second half once.
pub(super) fn encounter(blocks: usize) -> Vec<Meeting> {
    let side = blocks / 2;
    let round = |round: usize| (0..side).map(move |k| (k, side + (k + round) % side));
    (0..side).flat_map(round).collect()
}

/// Holds the meetings on the threads of the pool. Every block has its meetings in the order of the list,
/// whatever the number of threads; `room` is made once a thread.
pub(super) fn hold<B: Send, R>(
    blocks: &mut [B],
    meetings: &[Meeting],
    room: impl Fn() -> R + Sync,
    meet: impl Fn(&mut R, &mut B, Option<&mut B>) + Sync,
) {
    let turns = turns(blocks.len(), meetings);
    let most = blocks.len();
    let blocks: Vec<_> = blocks
        .iter_mut()
        .map(|block| Mutex::new((0, block)))
        .collect();
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    together(most, || {
        let _alarm = Alarm(&failed);
        let mut room = room();
        // A meeting waits for earlier ones alone. These are with threads that run, and the first of them waits
        // for none.
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((&(a, b), &[turn_a, turn_b])) = meetings.get(index).zip(turns.get(index))
            else {
                break;
            };
            let mut first = await_turn(&blocks[a], turn_a, &failed);
            if a == b {
                meet(&mut room, first.1, None);
            } else {
                let mut second = await_turn(&blocks[b], turn_b, &failed);
                meet(&mut room, first.1, Some(second.1));
                second.0 += 1;
            }
            first.0 += 1;
        }
    });
}

/// How many meetings the blocks of each meeting have had before.
fn turns(blocks: usize, meetings: &[Meeting]) -> Vec<[u32; 2]> {
    let mut had = vec![0; blocks];
    let turn = |&(a, b): &Meeting| {
        let turn = [had[a], had[b]];
        had[a] += 1;
        if a != b {
            had[b] += 1;
        }
        turn
    };
    meetings.iter().map(turn).collect()
}

/// Tells the other threads that this one panics, which then do not wait for its meetings.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// The block, when it has had as many meetings as `turn`.
fn await_turn<'a, B>(
    block: &'a Mutex<(u32, B)>,
    turn: u32,
    failed: &AtomicBool,
) -> MutexGuard<'a, (u32, B)> {
    let mut tries = 0u32;
    loop {
        let held = block.lock().expect("no meeting of the block has failed");
        if held.0 == turn {
            return held;
        }
        drop(held);
        assert!(
            !failed.load(Ordering::Relaxed),
            "another meeting has failed"
        );
        tries += 1;
        if tries.is_multiple_of(64) {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_a_tournament_meets_once() {
        for blocks in [1, 2, 4, 8, 24] {
            let mut met = vec![vec![0; blocks]; blocks];
            for (a, b) in tournament(blocks) {
                met[a][b] += 1;
                met[b][a] += usize::from(a != b);
            }
            assert!(met.iter().flatten().all(|times| *times == 1), "{met:?}");
        }
    }

    #[test]
    fn every_pair_of_two_sides_meets_once() {
        for side in [1, 2, 3, 8] {
            let mut met = vec![vec![0; 2 * side]; 2 * side];
            for (a, b) in encounter(2 * side) {
                met[a][b] += 1;
            }
            for (a, row) in met.iter().enumerate() {
                for (b, times) in row.iter().enumerate() {
                    assert_eq!(*times, usize::from(a < side && b >= side));
                }
            }
        }
    }

    #[test]
    fn a_meeting_that_fails_does_not_leave_others_waiting() {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(3)
            .build()
            .unwrap();
        let mut blocks: Vec<usize> = (0..8).collect();
        let run = || {
            pool.install(|| {
                hold(
                    &mut blocks,
                    &tournament(8),
                    || (),
                    |(), a, b| {
                        assert!(!(*a == 0 && b.is_some()), "on purpose");
                    },
                );
            });
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
    }

    #[test]
    fn blocks_have_their_meetings_in_order_on_any_number_of_threads() {
        let meetings = tournament(16);
        let expected: Vec<Vec<usize>> = (0..16)
            .map(|block| {
                let with = |&(a, b): &Meeting| match block {
                    _ if a == block => Some(b),
                    _ if b == block => Some(a),
                    _ => None,
                };
                meetings.iter().filter_map(with).collect()
            })
            .collect();
        for threads in [1, 2, 5, 40] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let mut blocks: Vec<(usize, Vec<usize>)> = (0..16).map(|i| (i, Vec::new())).collect();
            pool.install(|| {
                hold(
                    &mut blocks,
                    &meetings,
                    || (),
                    |(), a, b| match b {
                        None => a.1.push(a.0),
                        Some(b) => {
                            a.1.push(b.0);
                            b.1.push(a.0);
                        }
                    },
                );
            });
            let found: Vec<_> = blocks.into_iter().map(|block| block.1).collect();
            assert_eq!(found, expected, "{threads} threads");
        }
    }
}
