use ndarray::ArrayViewMut2;
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// Standard deviation of the read noise, in electrons.
const READ_NOISE: f32 = 8.0;
/// Largest value of the 12-bit converter.
const FULL_SCALE: f32 = 4095.0;

/// Widens a 12-bit value to 16 bits by bit replication, so that full scale stays full scale.
pub(crate) fn widen(value: u16) -> u16 {
    value << 4 | value >> 8
}

/// Exposes `light`, 1 being full scale or `full_well` electrons, with shot noise (the Gaussian limit of Poisson) and
/// read noise, quantised to 12 bits.
pub(crate) fn expose(
    light: &[f32],
    full_well: f32,
    rng: &mut impl Rng,
    mut plane: ArrayViewMut2<'_, u16>,
) {
    for (pixel, light) in plane.iter_mut().zip(light) {
        let electrons = light.max(0.0) * full_well;
        let z: f32 = StandardNormal.sample(rng);
        let noisy = electrons + z * (electrons + READ_NOISE * READ_NOISE).sqrt();
        let counts = (noisy * (FULL_SCALE / full_well))
            .round()
            .clamp(0.0, FULL_SCALE);
        *pixel = widen(counts as u16);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use spheroid_core::DrawKey;

    use super::*;

    #[test]
    fn bit_replication_keeps_both_ends() {
        assert_eq!(
            [0, 0x217, 0xAAA, 0xFFF].map(widen),
            [0, 0x2172, 0xAAAA, 0xFFFF]
        );
    }

    #[test]
    fn noise_has_the_mean_and_variance_of_photons() {
        let mut rng = DrawKey {
            seed: 5,
            epoch: 0,
            item: 0,
            view: 0,
        }
        .rng();
        let mut plane = Array2::zeros((200, 200));
        expose(&vec![0.5; 40_000], 10_000.0, &mut rng, plane.view_mut());
        let counts = plane.mapv(|v| f64::from(v >> 4));
        let mean = counts.mean().unwrap();
        let variance = counts.var(1.0);
        // 5000 electrons; variance (5000 + 64) scaled to counts, plus 1/12 for the rounding.
        let expected = 5064.0 * 0.4095f64.powi(2) + 1.0 / 12.0;
        assert!((mean - 2047.5).abs() < 0.6, "{mean}");
        assert!(
            (variance / expected - 1.0).abs() < 0.03,
            "{variance} against {expected}"
        );
    }

    #[test]
    fn too_much_light_saturates() {
        let mut rng = DrawKey {
            seed: 5,
            epoch: 0,
            item: 0,
            view: 0,
        }
        .rng();
        let mut plane = Array2::zeros((1, 3));
        expose(&[2.0, -1.0, 3.0], 10_000.0, &mut rng, plane.view_mut());
        assert_eq!((plane[[0, 0]], plane[[0, 2]]), (0xFFFF, 0xFFFF));
        assert!(plane[[0, 1]] < 0x0200);
    }
}
