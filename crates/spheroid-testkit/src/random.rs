use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// So many values of mean 0 and deviation 1, always the same for a seed.
#[must_use]
pub fn normal(count: usize, seed: u64) -> Vec<f32> {
    let rng = ChaCha8Rng::seed_from_u64(seed);
    rng.sample_iter(StandardNormal).take(count).collect()
}
