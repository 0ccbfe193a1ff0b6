use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use spheroid_core::{Dose, Warning};

use super::DoseWell;
use crate::{RankError, Scale, WellScore, well_score::by_plate};

/// The wells in which one drug was tested alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DoseSeries {
    /// Name of the drug.
    pub drug: String,
    /// Unit of the concentrations.
    pub unit: String,
    /// Concentration of each well, in `unit`.
    pub concentrations: Vec<f64>,
    /// Score of each well.
    pub scores: Vec<f64>,
}

impl DoseSeries {
    /// Number of distinct concentrations above 0.
    pub fn distinct(&self) -> usize {
        distinct(self.concentrations.iter().copied())
    }
}

/// The wells in which two drugs were tested, together and alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Combination {
    /// Names of the drugs, ascending.
    pub drugs: [String; 2],
    /// Unit of each drug's concentrations.
    pub units: [String; 2],
    /// Concentrations of both drugs in each well; 0 for a drug that is not there.
    pub doses: Vec<[f64; 2]>,
    /// Score of each well.
    pub scores: Vec<f64>,
}

impl Combination {
    /// The wells with the effect that stands for each score, such as the share of the way from
    /// untreated wells to reference wells: `|score| (score - untreated) / (reference - untreated)`.
    pub fn wells(&self, effect: impl Fn(f64) -> f64) -> Vec<DoseWell> {
        let wells = self.doses.iter().zip(&self.scores);
        wells
            .map(|(&doses, &score)| DoseWell {
                doses,
                effect: effect(score),
            })
            .collect()
    }
}

type Key<'a> = (&'a str, &'a str);

/// What was tested, wells by plate and position.
struct Tested<'a> {
    alone: BTreeMap<Key<'a>, Vec<(f64, f64)>>,
    together: BTreeMap<[Key<'a>; 2], Vec<([f64; 2], f64)>>,
}

fn tested(wells: &[WellScore]) -> Result<Tested<'_>, RankError> {
    let mut tested = Tested {
        alone: BTreeMap::new(),
        together: BTreeMap::new(),
    };
    fn key(dose: &Dose) -> Key<'_> {
        (&dose.drug, &dose.unit)
    }
    for (well, score) in by_plate(wells, Scale::Linear)?.into_values().flatten() {
        let doses = &well.treatment.doses;
        for dose in doses {
            if !(dose.concentration.is_finite() && dose.concentration >= 0.0) {
                return Err(RankError::BadConcentration {
                    plate: well.plate.clone(),
                    well: well.well.to_string(),
                    drug: dose.drug.clone(),
                    concentration: dose.concentration,
                });
            }
        }
        let mut given: Vec<&Dose> = doses.iter().filter(|d| d.concentration > 0.0).collect();
        given.sort_by_key(|dose| key(dose));
        // A vehicle: dose 0 of one drug.
        if let ([], [none]) = (&given[..], &doses[..]) {
            given.push(none);
        }
        match given[..] {
            [one] => {
                let of_drug = tested.alone.entry(key(one)).or_default();
                of_drug.push((one.concentration + 0.0, score));
            }
            [a, b] => {
                let of_pair = tested.together.entry([key(a), key(b)]).or_default();
                of_pair.push(([a.concentration, b.concentration], score));
            }
            _ => {}
        }
    }
    Ok(tested)
}

/// Number of distinct doses above 0.
fn distinct(doses: impl Iterator<Item = f64>) -> usize {
    let doses = doses.filter(|dose| *dose > 0.0);
    doses.map(f64::to_bits).collect::<BTreeSet<_>>().len()
}

/// Every drug that was tested alone at `least_doses` distinct concentrations above 0 or more, by name.
///
/// A drug whose concentrations come in several units gives a series for each, since units are names
/// here and not converted; a warning lists such drugs. Another lists drugs with too few concentrations.
/// Wells without a drug belong to no series: their score is what [`LogLogisticParameters::Three`] takes
/// as known, or they may be added at concentration 0.
///
/// [`LogLogisticParameters::Three`]: super::LogLogisticParameters::Three
///
/// # Errors
/// When there is no well, a score is not finite, a well occurs twice, or a concentration is negative or
/// not finite.
///
/// # Example
/// ```
/// use spheroid_core::{Dose, Group, Treatment, WellId};
/// use spheroid_rank::{WellScore, dose::dose_series};
///
/// let wells: Vec<WellScore> = (1..6)
///     .map(|column| {
///         let concentration = 3f64.powi(column);
///         let dose = Dose { drug: "cisplatin".into(), concentration, unit: "uM".into() };
///         WellScore {
///             plate: "P1".into(),
///             well: WellId::new(1, column as usize).expect("on the plate"),
///             treatment: Treatment {
///                 name: format!("cisplatin {concentration} uM"),
///                 group: Group::DrugScreened,
///                 doses: vec![dose],
///             },
///             score: f64::from(column),
///         }
///     })
///     .collect();
/// let (series, warnings) = dose_series(&wells, 4)?;
/// assert_eq!(series[0].concentrations, [3.0, 9.0, 27.0, 81.0, 243.0]);
/// assert!(warnings.is_empty());
/// # Ok::<(), spheroid_rank::RankError>(())
/// ```
pub fn dose_series(
    wells: &[WellScore],
    least_doses: usize,
) -> Result<(Vec<DoseSeries>, Vec<Warning>), RankError> {
    let alone = tested(wells)?.alone;
    let mut units: BTreeMap<&str, usize> = BTreeMap::new();
    for (drug, _) in alone.keys() {
        *units.entry(drug).or_default() += 1;
    }
    let several = units.iter().filter(|(_, count)| **count > 1);
    let several = several.map(|(drug, _)| (*drug).to_owned()).collect();
    let (mut series, mut short) = (Vec::new(), Vec::new());
    for ((drug, unit), of_drug) in alone {
        let (concentrations, scores) = of_drug.into_iter().unzip();
        let of_drug = DoseSeries {
            drug: drug.to_owned(),
            unit: unit.to_owned(),
            concentrations,
            scores,
        };
        if of_drug.distinct() >= least_doses {
            series.push(of_drug);
        } else {
            short.push(format!("{drug} ({unit})"));
        }
    }
    let warnings = [
        Warning::about(
            "drug with concentrations in several units: each unit makes a series of its own",
            several,
        ),
        Warning::about(
            format!(
                "drug tested alone at fewer than {least_doses} concentrations: it has no series"
            ),
            short,
        ),
    ];
    Ok((series, warnings.into_iter().flatten().collect()))
}

/// Every pair of drugs that was tested together, and each alone at `least_doses` distinct
/// concentrations above 0 or more; with the wells of the pair and of either drug alone.
///
/// A drug counts as tested alone where its unit is the same. A warning lists the other pairs. Wells
/// with three drugs or more are passed over.
///
/// # Errors
/// As [`dose_series`].
pub fn combinations(
    wells: &[WellScore],
    least_doses: usize,
) -> Result<(Vec<Combination>, Vec<Warning>), RankError> {
    let Tested { alone, together } = tested(wells)?;
    let (mut pairs, mut short) = (Vec::new(), Vec::new());
    for (keys, of_pair) in together {
        let singles = keys.map(|key| alone.get(&key).map_or(&[][..], Vec::as_slice));
        let enough = |single: &[(f64, f64)]| distinct(single.iter().map(|s| s.0)) >= least_doses;
        let [(first, _), (second, _)] = keys;
        if !singles.iter().all(|single| enough(single)) {
            short.push(format!("{first} + {second}"));
            continue;
        }
        let [a, b] = singles;
        let a = a.iter().map(|&(dose, score)| ([dose, 0.0], score));
        let b = b.iter().map(|&(dose, score)| ([0.0, dose], score));
        let (doses, scores) = of_pair.into_iter().chain(a).chain(b).unzip();
        pairs.push(Combination {
            drugs: keys.map(|key| key.0.to_owned()),
            units: keys.map(|key| key.1.to_owned()),
            doses,
            scores,
        });
    }
    let warning = Warning::about(
        format!(
            "combination whose drugs were not both tested alone, in the same units, at \
             {least_doses} concentrations: it is not compared with them"
        ),
        short,
    );
    Ok((pairs, warning.into_iter().collect()))
}
