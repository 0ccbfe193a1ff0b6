use rand::RngExt;
use serde::{Deserialize, Serialize};
use spheroid_core::{Day, Dose, Group, ParamError, PlateFormat, at_least, within};

use crate::{EffectMix, Hill, Optics, PlateSim, SimError, screen, stream::Stream};

/// Settings of a simulated 96-well plate.
///
/// The spheroids lie in the inner 60 wells. The spreads set how hard the plate is: the wider they
/// are, the more a difference between two wells may be something else than the drug. All random
/// choices follow from `seed`; a spread of 0 takes that nuisance away and leaves the rest of the
/// plate as it was.
///
/// # Example
/// ```
/// use spheroid_sim::PlateSimConfig;
/// let easy = PlateSimConfig { gain_spread: 0.0, focus_drift: 0.0, ..PlateSimConfig::default() };
/// assert!(easy.build().is_ok());
/// let wrong = PlateSimConfig { gain_spread: f64::NAN, ..PlateSimConfig::default() };
/// assert!(wrong.build().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlateSimConfig {
    /// Fixes every random choice. Default 1.
    pub seed: u64,
    /// Name of the plate, part of the file names: ASCII letters, digits, `_` and `-`.
    /// Default `sim`.
    pub plate: String,
    /// Rows of an image, 32 to 4096. Default 512.
    pub rows: usize,
    /// Columns of an image, 32 to 4096. Default 512.
    pub columns: usize,
    /// Focal planes of a stack, at least 1. Default 3.
    pub planes: usize,
    /// Imaged days, ascending, from day 1 on. Default 7, 8, 9 and 10.
    pub days: Vec<Day>,
    /// Day on which the drugs are given, after imaging; before the last imaged day. Default 7.
    pub drug_day: Day,
    /// Wells without a drug. Default 14.
    pub untreated_wells: usize,
    /// The drugs and which of them are given to how many wells.
    pub screen: Screen,
    /// Standard deviation of the logarithms of start size and growth rate over wells, 0 to 0.5.
    /// Default 0.1.
    pub growth_spread: f64,
    /// Standard deviation over images of untreated spheroids' size, debris, core and grain, in
    /// amounts of a full drug effect, 0 to 0.5. Default 0.04.
    pub look_spread: f64,
    /// Standard deviation of the logarithm of the lamp's gain over images, 0 to 0.5. Default 0.07.
    pub gain_spread: f64,
    /// Standard deviation of the best focus over images, in steps of the planes, 0 to 10.
    /// Default 0.6.
    pub focus_drift: f64,
    /// Standard deviation of the spheroid's place over wells, in shorter image sides, 0 to 0.2;
    /// from image to image it moves by a quarter of that. Default 0.03.
    pub position_spread: f64,
    /// Standard deviation of a drug's kill over wells, about a kill of one half, 0 to 0.5.
    /// Default 0.04.
    pub response_spread: f64,
    /// Factor on everything that a kill makes visible, 0 to 2; the true kill stays. Default 1.
    pub effect_strength: f64,
    /// The microscope and what it shows of a cell line.
    pub optics: Optics,
}

impl Default for PlateSimConfig {
    fn default() -> Self {
        let day = |day: u32| Day::new(day.into()).expect("a whole number is finite");
        Self {
            seed: 1,
            plate: "sim".to_owned(),
            rows: 512,
            columns: 512,
            planes: 3,
            days: vec![day(7), day(8), day(9), day(10)],
            drug_day: day(7),
            untreated_wells: 14,
            screen: Screen::default(),
            growth_spread: 0.1,
            look_spread: 0.04,
            gain_spread: 0.07,
            focus_drift: 0.6,
            position_spread: 0.03,
            response_spread: 0.04,
            effect_strength: 1.0,
            optics: Optics::default(),
        }
    }
}

/// The drugs of a plate and how they are given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Screen {
    /// Drugs, concentrations and combinations drawn from the seed, the kills spread evenly over
    /// weak and strong.
    Drawn {
        /// Wells that receive the reference drug at its clinical concentration.
        single_dose_wells: usize,
        /// Wells that receive the other treatments.
        drug_screened_wells: usize,
        /// Least number of wells of one screened treatment.
        replicates: usize,
    },
    /// The drugs and treatments given here.
    Given {
        /// Every drug that a treatment names.
        drugs: Vec<Drug>,
        /// The treatments, without the untreated wells.
        treatments: Vec<TreatmentPlan>,
    },
}

impl Default for Screen {
    /// 6 wells of single dose and 40 wells in 13 treatments.
    fn default() -> Self {
        Self::Drawn {
            single_dose_wells: 6,
            drug_screened_wells: 40,
            replicates: 3,
        }
    }
}

/// A drug with known efficacy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drug {
    /// Its name.
    pub name: String,
    /// Its dose response.
    pub hill: Hill,
    /// How its kill shows.
    pub mix: EffectMix,
}

/// What is given to a number of wells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreatmentPlan {
    /// The name by which a ranking lists it; not `untreated`.
    pub name: String,
    /// [`Group::SingleDose`] or [`Group::DrugScreened`].
    pub group: Group,
    /// One dose a drug; several make a combination.
    pub doses: Vec<Dose>,
    /// Number of wells, at least 1.
    pub wells: usize,
}

/// Smallest image side: a cell is still half a pixel there.
const LEAST_SIDE: usize = 32;
/// Largest image side.
const MOST_SIDE: usize = 4096;

impl PlateSimConfig {
    /// A plate on which a drug is harder to see than on the default one: growth, look, lamp, focus, place and
    /// response vary half as much again or more, and everything that a kill makes visible is weaker by 30 %.
    pub fn hard() -> Self {
        Self {
            growth_spread: 0.15,
            look_spread: 0.06,
            gain_spread: 0.15,
            focus_drift: 1.0,
            position_spread: 0.045,
            response_spread: 0.06,
            effect_strength: 0.7,
            ..Self::default()
        }
    }

    /// A plate of settings drawn from `seed`, so wide that microscopes and cell lines of many laboratories lie between:
    /// from the sharpest and calmest to worse than [`hard`](Self::hard). Its drugs and wells follow from the same
    /// seed.
    ///
    /// # Source
    /// Tobin et al. 2017, "Domain Randomization for Transferring Deep Neural Networks from Simulation to the Real
    /// World", arXiv 1703.06907.
    pub fn varied(seed: u64) -> Self {
        let rng = &mut Stream::Settings.of_plate(seed);
        let mut between = |least: f64, most: f64| rng.random_range(least..most);
        Self {
            seed,
            growth_spread: between(0.03, 0.2),
            look_spread: between(0.02, 0.08),
            gain_spread: between(0.0, 0.2),
            focus_drift: between(0.2, 1.2),
            position_spread: between(0.01, 0.06),
            response_spread: between(0.02, 0.08),
            effect_strength: between(0.6, 1.3),
            optics: Optics {
                background: between(0.3, 0.8),
                sharpest: between(0.05, 0.35),
                defocus: between(0.15, 0.8),
                phase: between(0.0, 0.7),
                // Ratios are as wide on either side.
                full_well: 10_000.0 * between(-1.5, 1.5).exp(),
                cell: 0.013 * between(-0.5, 0.5).exp(),
                size: between(0.6, 1.05),
                depth: 1.05 * between(-0.5, 0.5).exp(),
                grain: between(0.1, 0.35),
            },
            ..Self::default()
        }
    }

    /// Checks the settings, draws the drugs and lays out the plate.
    ///
    /// # Errors
    /// When a setting is outside its range, the wells do not fit the plate, or the screen
    /// contradicts itself (unknown or repeated names, no dose, weights that are no mix).
    pub fn build(self) -> Result<PlateSim, SimError> {
        self.check()?;
        PlateSim::new(self)
    }

    fn check(&self) -> Result<(), ParamError> {
        for (name, side) in [("rows", self.rows), ("columns", self.columns)] {
            within(name, side, LEAST_SIDE, MOST_SIDE, "from 32 to 4096")?;
        }
        at_least("planes", self.planes, 1, "at least 1")?;
        let fits_a_file_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if self.plate.is_empty() || !self.plate.chars().all(fits_a_file_name) {
            let rule = "a name of ASCII letters, digits, `_` and `-`";
            return Err(ParamError::new("plate", format!("`{}`", self.plate), rule));
        }
        self.check_days()?;
        at_least("untreated_wells", self.untreated_wells, 1, "at least 1")?;
        screen::check(&self.screen)?;
        let wells = self.untreated_wells.saturating_add(self.screen.wells());
        let places = PlateFormat::W96.inner_wells().count();
        if wells > places {
            let rule = "at most 60, the inner wells of the plate, over all groups";
            return Err(ParamError::new("untreated_wells + screen", wells, rule));
        }
        self.optics.check()?;
        for (name, spread) in [
            ("growth_spread", self.growth_spread),
            ("look_spread", self.look_spread),
            ("gain_spread", self.gain_spread),
            ("response_spread", self.response_spread),
        ] {
            up_to(name, spread, 0.5, "between 0 and 0.5")?;
        }
        up_to("focus_drift", self.focus_drift, 10.0, "between 0 and 10")?;
        up_to(
            "position_spread",
            self.position_spread,
            0.2,
            "between 0 and 0.2",
        )?;
        up_to(
            "effect_strength",
            self.effect_strength,
            2.0,
            "between 0 and 2",
        )
    }

    fn check_days(&self) -> Result<(), ParamError> {
        let list = || {
            self.days
                .iter()
                .map(Day::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let ascending = self.days.windows(2).all(|pair| pair[0] < pair[1]);
        let (Some(first), Some(last), true) = (self.days.first(), self.days.last(), ascending)
        else {
            return Err(ParamError::new(
                "days",
                list(),
                "ascending and at least one",
            ));
        };
        if first.days() < 1.0 {
            return Err(ParamError::new("days", list(), "from day 1 on"));
        }
        if self.drug_day >= *last {
            let rule = "before the last imaged day";
            return Err(ParamError::new("drug_day", self.drug_day, rule));
        }
        Ok(())
    }
}

fn up_to(name: &'static str, value: f64, most: f64, rule: &'static str) -> Result<(), ParamError> {
    within(name, value, 0.0, most, rule).map(drop)
}

impl Screen {
    /// Number of treated wells.
    fn wells(&self) -> usize {
        match self {
            Self::Drawn {
                single_dose_wells,
                drug_screened_wells,
                ..
            } => single_dose_wells.saturating_add(*drug_screened_wells),
            Self::Given { treatments, .. } => treatments
                .iter()
                .fold(0, |sum, plan| sum.saturating_add(plan.wells)),
        }
    }
}
