//! Noise, independent in every pixel of every plane.

mod gaussian_noise;
mod read_noise;
mod shot_noise;

pub use gaussian_noise::{GaussianNoise, GaussianNoiseDraw};
pub use read_noise::{ReadNoise, ReadNoiseDraw};
pub use shot_noise::{ShotNoise, ShotNoiseDraw};

use ndarray::Array3;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Adds Gaussian noise of `deviation` on the unit scale; not clamped.
fn add_gaussian(samples: &mut Array3<f32>, deviation: f32, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for value in samples {
        let noise: f32 = StandardNormal.sample(&mut rng);
        *value += deviation * noise;
    }
}
