use ndarray::Array3;
use serde::{Deserialize, Serialize};
use spheroid_core::{Augment, DrawKey};

use crate::{
    Affine, AffineConfig, AffineDraw, AugmentError, Defocus, DefocusConfig, DefocusDraw, Gain,
    GainConfig, GainDraw, PlaneChoice, PlaneDraw, ReadNoise, ReadNoiseConfig, ReadNoiseDraw,
};

/// Settings of [`SpheroidPolicy`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SpheroidPolicyConfig {
    /// Orientation, size and position.
    pub affine: AffineConfig,
    /// Focus, beyond what the choice of the plane changes.
    pub defocus: DefocusConfig,
    /// Lamp.
    pub gain: GainConfig,
    /// Camera.
    pub noise: ReadNoiseConfig,
}

impl Default for SpheroidPolicyConfig {
    fn default() -> Self {
        Self {
            affine: AffineConfig::default(),
            defocus: DefocusConfig { most_sigma: 0.8 },
            gain: GainConfig { spread: 0.03 },
            noise: ReadNoiseConfig { deviation: 0.01 },
        }
    }
}

impl SpheroidPolicyConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// As each part.
    pub fn build(&self) -> Result<SpheroidPolicy, AugmentError> {
        Ok(SpheroidPolicy {
            affine: self.affine.build()?,
            defocus: self.defocus.build()?,
            gain: self.gain.build()?,
            noise: self.noise.build()?,
        })
    }
}

/// The project's own views: one plane of the stack, then orientation, focus, lamp and camera vary.
///
/// What a drug changes (size, outline, darkness, grain) is kept, since an encoder that learns to
/// ignore it cannot rank drugs: there is no random crop, no strong change of size or contrast.
#[derive(Debug, Clone, PartialEq)]
pub struct SpheroidPolicy {
    affine: Affine,
    defocus: Defocus,
    gain: Gain,
    noise: ReadNoise,
}

/// Everything random about one view, in the order of application.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SpheroidDraw {
    /// Which plane is seen.
    pub plane: PlaneDraw,
    /// How it lies.
    pub affine: AffineDraw,
    /// How blurred it is.
    pub defocus: DefocusDraw,
    /// How bright it is.
    pub gain: GainDraw,
    /// How noisy it is.
    pub noise: ReadNoiseDraw,
}

impl Augment<Array3<f32>> for SpheroidPolicy {
    type Draw = SpheroidDraw;
    /// `[1, row, column]`
    type View = Array3<f32>;
    type Error = AugmentError;

    fn draw(&self, key: DrawKey) -> SpheroidDraw {
        // Every part gets a stream of its own, or their first numbers would be the same.
        let part = |index: u64| DrawKey {
            view: key.view * PARTS + index,
            ..key
        };
        SpheroidDraw {
            plane: PlaneChoice.draw(part(0)),
            affine: self.affine.draw(part(1)),
            defocus: self.defocus.draw(part(2)),
            gain: self.gain.draw(part(3)),
            noise: self.noise.draw(part(4)),
        }
    }

    fn apply(&self, stack: &Array3<f32>, draw: &SpheroidDraw) -> Result<Array3<f32>, AugmentError> {
        let view = PlaneChoice.apply(stack, &draw.plane)?;
        let view = self.affine.apply(&view, &draw.affine)?;
        let view = self.defocus.apply(&view, &draw.defocus)?;
        let view = self.gain.apply(&view, &draw.gain)?;
        self.noise.apply(&view, &draw.noise)
    }
}

const PARTS: u64 = 5;

#[cfg(test)]
mod tests {
    use spheroid_testkit::conformance;

    use super::*;

    fn stack() -> Array3<f32> {
        Array3::from_shape_fn((3, 16, 16), |(p, r, c)| 0.3 + 0.01 * (p * r + c) as f32)
    }

    #[test]
    fn every_transform_fulfils_the_contract_of_augment() {
        let config = SpheroidPolicyConfig::default();
        conformance::augment(&config.build().unwrap(), &stack());
        conformance::augment(&config.affine.build().unwrap(), &stack());
        conformance::augment(
            &DefocusConfig { most_sigma: 3.0 }.build().unwrap(),
            &stack(),
        );
        conformance::augment(&config.gain.build().unwrap(), &stack());
        conformance::augment(&config.noise.build().unwrap(), &stack());
    }

    #[test]
    fn a_draw_that_was_stored_gives_the_same_view() {
        let policy = SpheroidPolicyConfig::default().build().unwrap();
        let draw = policy.draw(DrawKey {
            seed: 1,
            epoch: 2,
            item: 3,
            view: 1,
        });
        let stored = serde_json::to_string(&draw).unwrap();
        let read: SpheroidDraw = serde_json::from_str(&stored).unwrap();
        assert_eq!(
            policy.apply(&stack(), &read).unwrap(),
            policy.apply(&stack(), &draw).unwrap()
        );
    }

    #[test]
    fn an_empty_stack_is_refused() {
        let policy = SpheroidPolicyConfig::default().build().unwrap();
        let draw = policy.draw(DrawKey {
            seed: 1,
            epoch: 2,
            item: 3,
            view: 1,
        });
        let error = policy.apply(&Array3::zeros((3, 0, 4)), &draw);
        assert!(matches!(error, Err(AugmentError::Empty { .. })));
    }
}
