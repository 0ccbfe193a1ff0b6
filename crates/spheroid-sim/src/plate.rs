use ndarray::{Array2, Array3};
use rand::seq::SliceRandom;
use rand_distr::{Distribution, StandardNormal};
use spheroid_core::{Day, Group, PlateFormat, PlateMap, PlateWell, StackKey, StackSource, WellId};
use spheroid_imaging::{FocalStack, Samples};

use crate::{
    EffectMix, PlateSimConfig, SimError,
    growth::Gompertz,
    microscope, response,
    scene::Appearance,
    screen::{self, Regimen},
    stream::Stream,
};

/// What is true of a treatment and what a method should find.
#[derive(Debug, Clone, PartialEq)]
pub struct TreatmentTruth {
    /// Name of the treatment.
    pub treatment: String,
    /// Group of its wells.
    pub group: Group,
    /// Fraction of cells killed on the last imaged day, 0 to 1, before the variation from well to
    /// well: the efficacy to order by.
    pub kill: f64,
    /// How the kill shows: weights of Euclidean length 1, or all 0 for no kill.
    pub mix: EffectMix,
}

/// A well of the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimWell {
    /// Its position.
    pub well: WellId,
    /// Its treatment, as an index into [`PlateSim::truth`].
    pub treatment: usize,
}

/// A simulated plate: made by [`PlateSimConfig::build`], rendered stack by stack on demand.
///
/// A stack depends on the configuration, the well and the day alone, not on what else was rendered
/// or by which thread.
#[derive(Debug, Clone)]
pub struct PlateSim {
    config: PlateSimConfig,
    regimens: Vec<Regimen>,
    truth: Vec<TreatmentTruth>,
    wells: Vec<SimWell>,
    keys: Vec<StackKey>,
    map: PlateMap,
}

impl PlateSim {
    /// Lays out the plate of a checked configuration.
    pub(crate) fn new(config: PlateSimConfig) -> Result<Self, SimError> {
        let mut regimens = vec![Regimen::untreated(config.untreated_wells)];
        regimens.extend(screen::regimens(&config.screen, config.seed));
        let shown = config
            .days
            .last()
            .map_or(0.0, |&last| effect_by(&config, last));
        let truth = regimens
            .iter()
            .map(|regimen| TreatmentTruth {
                treatment: regimen.treatment.name.clone(),
                group: regimen.treatment.group,
                kill: regimen.kill * shown,
                mix: regimen.mix,
            })
            .collect();

        let mut places: Vec<WellId> = PlateFormat::W96.inner_wells().collect();
        places.shuffle(&mut Stream::Layout.of_plate(config.seed));
        let given = regimens
            .iter()
            .enumerate()
            .flat_map(|(index, regimen)| std::iter::repeat_n(index, regimen.wells));
        let mut wells: Vec<SimWell> = places
            .into_iter()
            .zip(given)
            .map(|(well, treatment)| SimWell { well, treatment })
            .collect();
        wells.sort_by_key(|well| well.well);

        let keys = wells
            .iter()
            .flat_map(|well| config.days.iter().map(|&day| (well.well, day)))
            .map(|(well, day)| StackKey {
                plate: config.plate.clone(),
                well,
                day,
            })
            .collect();
        let rows = wells.iter().map(|well| {
            let place = PlateWell {
                plate: config.plate.clone(),
                well: well.well,
            };
            (place, regimens[well.treatment].treatment.clone())
        });
        let map = PlateMap::new(rows, PlateFormat::W96)?;
        Ok(Self {
            config,
            regimens,
            truth,
            wells,
            keys,
            map,
        })
    }

    /// The settings that the plate was built from.
    pub fn config(&self) -> &PlateSimConfig {
        &self.config
    }

    /// Which well got which treatment.
    pub fn plate_map(&self) -> &PlateMap {
        &self.map
    }

    /// The wells with a spheroid, in the order of the plate.
    pub fn wells(&self) -> &[SimWell] {
        &self.wells
    }

    /// The imaged days, ascending.
    pub fn days(&self) -> &[Day] {
        &self.config.days
    }

    /// The treatments with their true efficacy, `untreated` first.
    pub fn truth(&self) -> &[TreatmentTruth] {
        &self.truth
    }

    /// Renders the stack of `well` on any day, imaged or not.
    ///
    /// # Shapes
    /// `[plane, row, column]`; 12-bit values widened to 16 bits by bit replication.
    ///
    /// # Errors
    /// When the layout has no spheroid in `well`.
    pub fn render(&self, well: WellId, day: Day) -> Result<Array3<u16>, SimError> {
        let look = self.look(well, day)?;
        Ok(microscope::image(&self.config, well, day, look))
    }

    /// The true outline behind the stack of `well`: true on the spheroid, whatever of it can be seen.
    /// Shed cells are no part of it.
    ///
    /// # Shapes
    /// `[row, column]`.
    ///
    /// # Errors
    /// When the layout has no spheroid in `well`.
    pub fn mask(&self, well: WellId, day: Day) -> Result<Array2<bool>, SimError> {
        let look = self.look(well, day)?;
        Ok(microscope::mask(&self.config, well, day, look))
    }

    /// What is seen of `well` on `day`: the amount of every kind of effect, of the drug and of nature together, and the
    /// diameter that the spheroid would have without, in shorter image sides.
    ///
    /// # Errors
    /// When the layout has no spheroid in `well`.
    pub fn seen(&self, well: WellId, day: Day) -> Result<(EffectMix, f64), SimError> {
        let at = self
            .wells
            .binary_search_by_key(&well, |known| known.well)
            .map_err(|_| SimError::EmptyWell { well, day })?;
        let config = &self.config;
        let regimen = &self.regimens[self.wells[at].treatment];
        let rng = &mut Stream::Growth.of_well(config.seed, well);
        let growth = Gompertz::draw(rng, config.growth_spread);
        let z = StandardNormal.sample(&mut Stream::Response.of_well(config.seed, well));
        let kill = response::vary(regimen.kill, config.response_spread, z) * effect_by(config, day);
        let effect = regimen.mix.times(config.effect_strength * kill);
        let nature = EffectMix::natural(config.look_spread, config.seed, well, day);
        let diameter = config.optics.size * growth.diameter(day.days());
        Ok((effect.plus(nature), diameter))
    }

    fn look(&self, well: WellId, day: Day) -> Result<Appearance, SimError> {
        let (effect, diameter) = self.seen(well, day)?;
        Ok(Appearance::new(diameter, effect))
    }

    pub(crate) fn keys(&self) -> &[StackKey] {
        &self.keys
    }

    pub(crate) fn stack(&self, key: &StackKey) -> Result<FocalStack, SimError> {
        Ok(FocalStack::new(Samples::U16(
            self.render(key.well, key.day)?,
        ))?)
    }
}

/// The imaged wells and days, well by well.
impl StackSource for PlateSim {
    type Stack = FocalStack;
    type Error = SimError;

    fn len(&self) -> usize {
        self.keys.len()
    }

    fn key(&self, index: usize) -> &StackKey {
        &self.keys[index]
    }

    fn load(&self, index: usize) -> Result<FocalStack, SimError> {
        self.stack(&self.keys[index])
    }
}

/// Share of the final effect that shows on `day`.
fn effect_by(config: &PlateSimConfig, day: Day) -> f64 {
    response::onset(day.days() - config.drug_day.days())
}
