//! Images of many simulated plates with what is true of each: what an encoder can learn from before it sees a plate.

use ndarray::{Array3, Axis};
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use spheroid_core::{DrawKey, ParamError, StackSource, at_least};
use spheroid_sim::PlateSimConfig;

use crate::{Monitor, PipelineError, crops::hex_digest, prepare::PrepareConfig, views::ImageSet};

/// Most values of all images: 4 GiB of them.
const MOST_VALUES: usize = 1 << 30;
/// Diameter whose logarithm counts as 0, in shorter image sides.
const MEDIAN_DIAMETER: f64 = 0.34;

/// Which images are simulated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SimulatedImagesConfig {
    /// Number of plates, each with settings of its own: [`PlateSimConfig::varied`].
    pub plates: usize,
    /// Stacks that are drawn of each plate; every plane becomes an image.
    pub stacks: usize,
    /// Seed of the first plate; the others follow.
    pub first_seed: u64,
    /// Rows and columns that the microscope sees, 32 to 4096.
    pub side: usize,
    /// How crops are made.
    pub prepare: PrepareConfig,
}

impl Default for SimulatedImagesConfig {
    /// 40 stacks of each of 100 plates of 256 px, seeds from 1000 on.
    fn default() -> Self {
        Self {
            plates: 100,
            stacks: 40,
            first_seed: 1000,
            side: 256,
            prepare: PrepareConfig::default(),
        }
    }
}

/// Crops of simulated plates, and of each the amount of the four kinds of effect and the logarithm of its diameter.
#[derive(Debug)]
pub struct SimulatedImages {
    images: Vec<Array3<f32>>,
    truths: Vec<[f32; 5]>,
    identity: String,
}

impl SimulatedImages {
    /// Simulates them, plates in parallel.
    ///
    /// # Errors
    /// When a setting is wrong, images would take more than 4 GiB, or a stack cannot be prepared.
    pub fn new(
        config: &SimulatedImagesConfig,
        monitor: &dyn Monitor,
    ) -> Result<Self, PipelineError> {
        at_least("plates", config.plates, 1, "at least 1")?;
        at_least("stacks", config.stacks, 1, "at least 1")?;
        config.prepare.build()?;
        let planes = PlateSimConfig::default().planes;
        let values = [
            config.stacks,
            planes,
            config.prepare.size,
            config.prepare.size,
        ]
        .into_iter()
        .try_fold(config.plates, usize::checked_mul);
        if values.is_none_or(|values| values > MOST_VALUES) {
            let rule = "few enough for all images to fit into 4 GiB";
            return Err(ParamError::new("plates", config.plates, rule).into());
        }
        monitor.start("simulating plates", config.plates);
        let plates = (0..config.plates as u64).into_par_iter().map(|plate| {
            let images = of_plate(config, config.first_seed.wrapping_add(plate))?;
            monitor.step(None);
            Ok(images)
        });
        let plates = plates.collect::<Result<Vec<_>, PipelineError>>()?;
        monitor.finish();
        let (images, truths) = plates.into_iter().flatten().unzip();
        let settings = serde_json::to_vec(config).expect("numbers can be written");
        Ok(Self {
            images,
            truths,
            identity: hex_digest(&settings),
        })
    }
}

/// An image and what is true of it.
type Known = (Array3<f32>, [f32; 5]);

fn of_plate(config: &SimulatedImagesConfig, seed: u64) -> Result<Vec<Known>, PipelineError> {
    let plate = PlateSimConfig {
        rows: config.side,
        columns: config.side,
        ..PlateSimConfig::varied(seed)
    };
    let plate = plate.build()?;
    let preparer = config.prepare.build()?;
    let mut stacks: Vec<usize> = (0..plate.len()).collect();
    let key = DrawKey {
        seed,
        epoch: 0,
        item: 0,
        view: 0,
    };
    stacks.shuffle(&mut key.rng());
    let mut images = Vec::new();
    for stack in stacks.into_iter().take(config.stacks) {
        let key = plate.key(stack);
        let (effect, diameter) = plate.seen(key.well, key.day)?;
        let truth = [
            effect.shrink,
            effect.scatter,
            effect.necrosis,
            effect.coarsen,
            (diameter / MEDIAN_DIAMETER).ln(),
        ]
        .map(|number| number as f32);
        let prepared = preparer.prepare(&plate.load(stack)?)?;
        let planes = prepared.crop.axis_iter(Axis(0));
        images.extend(planes.map(|plane| (plane.insert_axis(Axis(0)).to_owned(), truth)));
    }
    Ok(images)
}

impl ImageSet for SimulatedImages {
    fn images(&self) -> &[Array3<f32>] {
        &self.images
    }

    fn description(&self, item: usize) -> Option<Vec<f32>> {
        Some(self.truths[item].to_vec())
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> SimulatedImagesConfig {
        let mut config = SimulatedImagesConfig {
            plates: 2,
            stacks: 5,
            side: 96,
            ..SimulatedImagesConfig::default()
        };
        config.prepare.size = 32;
        config
    }

    #[test]
    fn every_plane_has_the_truth_of_its_stack() {
        let images = SimulatedImages::new(&config(), &()).unwrap();
        assert_eq!(images.images.len(), 2 * 5 * 3);
        assert!(images.images.iter().all(|image| image.dim() == (1, 32, 32)));
        for planes in images.truths.chunks_exact(3) {
            assert!(planes[0] == planes[1] && planes[1] == planes[2]);
            assert!(planes[0][..4].iter().all(|amount| amount.abs() < 1.5));
        }
        let truths = |of: usize| &images.truths[15 * of..15 * (of + 1)];
        assert_ne!(truths(0), truths(1));
        let again = SimulatedImages::new(&config(), &()).unwrap();
        assert_eq!(
            (&again.images, &again.truths),
            (&images.images, &images.truths)
        );
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        for wrong in [
            SimulatedImagesConfig {
                plates: 0,
                ..config()
            },
            SimulatedImagesConfig {
                stacks: 0,
                ..config()
            },
            SimulatedImagesConfig {
                plates: usize::MAX,
                ..config()
            },
            SimulatedImagesConfig {
                side: 5,
                ..config()
            },
        ] {
            assert!(SimulatedImages::new(&wrong, &()).is_err(), "{wrong:?}");
        }
    }
}
