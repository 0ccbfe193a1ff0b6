//! Simulated plates to compare on.

use std::{
    collections::BTreeMap,
    error::Error,
    path::{Path, PathBuf},
};

use spheroid::{
    PipelineError, Plate,
    core::{Embeddings, PlateFormat},
    crops::Crops,
    prepare::PrepareConfig,
    pretrain::{Model, PretrainConfig},
    sim::PlateSimConfig,
    ssl::Device,
};

use super::{Bars, Settings, simulate};

/// A simulated plate on disk, and what the simulator knows of it.
pub struct SimulatedPlate {
    /// Where it lies.
    pub folder: PathBuf,
    /// The plate.
    pub plate: Plate,
    /// What was measured of every spheroid.
    pub morphology: Embeddings,
    /// The true kill of every treatment.
    pub truth: BTreeMap<String, f64>,
}

impl SimulatedPlate {
    /// Simulates it into a folder of `out`, or takes what lies there.
    pub fn new(seed: u64, settings: Settings, out: &Path) -> Result<Self, Box<dyn Error>> {
        let folder = out.join(format!("{settings:?}-{seed}").to_lowercase());
        Self::of(settings.of(seed), folder)
    }

    /// Simulates it into `folder`, or takes what lies there.
    pub fn of(config: PlateSimConfig, folder: PathBuf) -> Result<Self, Box<dyn Error>> {
        let sim = config.clone().build()?;
        simulate(config, &folder, &Bars::default())?;
        let plate = Plate::open(&folder, None, PlateFormat::W96)?;
        let truth = sim.truth().iter();
        let truth = truth.map(|truth| (truth.treatment.clone(), truth.kill));
        Ok(Self {
            morphology: crops(&plate, &folder, &PrepareConfig::default())?.morphology()?,
            truth: truth.collect(),
            plate,
            folder,
        })
    }

    /// Its crops.
    pub fn crops(&self, prepare: &PrepareConfig) -> Result<Crops, PipelineError> {
        crops(&self.plate, &self.folder, prepare)
    }

    /// An encoder trained on it.
    pub fn train(
        &self,
        crops: &Crops,
        config: PretrainConfig,
        device: &Device,
    ) -> Result<Model, PipelineError> {
        let folder = self.folder.join("model");
        Model::train(crops, self.plate.map(), config, device, &folder, false, &())
    }
}

fn crops(plate: &Plate, folder: &Path, prepare: &PrepareConfig) -> Result<Crops, PipelineError> {
    let folder = folder.join(format!("crops-{}", prepare.size));
    Crops::prepare(plate, &folder, prepare, &())
}
