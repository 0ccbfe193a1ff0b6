//! How scores and growth depend on the dose, where drugs were tested at several.

use std::collections::BTreeMap;

use serde::Serialize;
use spheroid_core::{Group, PlateWell, Warning};
use spheroid_rank::{
    RankError, WellScore,
    dose::{
        Combination, CombinationConfig, CombinationExcess, DoseSeries, DoseWarning, GrowthRate,
        GrowthRateConfig, GrowthWell, LogLogistic, LogLogisticConfig, LogLogisticParameters,
        combinations, dose_series,
    },
    median,
};

/// What [`DoseFindings::new`] finds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DoseFindings {
    /// A curve of every drug that was tested alone at enough concentrations, by name.
    pub curves: Vec<DoseCurve>,
    /// Every pair of such drugs that was tested together.
    pub pairs: Vec<DrugPair>,
    /// What was passed over, where there is a curve.
    #[serde(skip)]
    pub warnings: Vec<Warning>,
}

/// The scores of a drug by its concentration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DoseCurve {
    /// Name of the drug.
    pub drug: String,
    /// Unit of the concentrations.
    pub unit: String,
    /// Concentration and score of every well.
    #[serde(skip)]
    pub points: Vec<(f64, f64)>,
    /// Curve of the natural logarithms of the scores, which scatter alike; 0 at dose 0, where a typical
    /// untreated well is.
    pub of_log_scores: LogLogistic,
    /// Inhibition of the growth of the spheroid's area; none where untreated spheroids do not grow.
    pub growth: Option<GrowthRate>,
}

/// Two drugs together beside each alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DrugPair {
    /// Names of the drugs, ascending.
    pub drugs: [String; 2],
    /// Unit of each drug's concentrations.
    pub units: [String; 2],
    /// What every pair of concentrations does beyond what is expected. The effect is the logarithm of
    /// the score as a share of that of the strongest treatment: 0 as untreated, 1 as the strongest.
    pub excess: Vec<CombinationExcess>,
}

/// Area of the spheroid when drugs are given and at the end.
pub type Areas = BTreeMap<PlateWell, [f64; 2]>;

impl DoseFindings {
    /// Fits curves to every drug with at least three concentrations and four wells; the scores are above 0.
    /// A well whose area is not known, or was 0 at the start, takes no part in growth rates.
    ///
    /// # Errors
    /// When there is no well, a score is not finite and above 0, or a well occurs twice.
    pub fn new(wells: &[WellScore], areas: &Areas, confidence: f64) -> Result<Self, RankError> {
        let parameters = LogLogisticParameters::Three { zero_dose: 0.0 };
        let fitter = LogLogisticConfig {
            parameters,
            confidence,
            ..LogLogisticConfig::default()
        };
        let fitter = fitter.build()?;
        let (series, mut warnings) = dose_series(wells, parameters.least_doses())?;
        // As many wells as parameters leave nothing to tell scatter by.
        let enough = |series: &DoseSeries| series.scores.len() > parameters.least_doses();
        let mut curves = Vec::new();
        let mut without_growth = Vec::new();
        for series in series.into_iter().filter(enough) {
            let logs: Vec<f64> = series.scores.iter().map(|score| score.ln()).collect();
            let growth = growth(wells, areas, &series, confidence)?;
            if growth.is_none() {
                without_growth.push(series.drug.clone());
            }
            curves.push(DoseCurve {
                of_log_scores: fitter.fit(&series.concentrations, &logs)?,
                points: series
                    .concentrations
                    .into_iter()
                    .zip(series.scores)
                    .collect(),
                drug: series.drug,
                unit: series.unit,
                growth,
            });
        }
        if curves.is_empty() {
            return Ok(Self::default());
        }
        warnings.extend(Warning::about(
            "drug without growth rates, since untreated spheroids do not grow or too few areas are known",
            without_growth,
        ));
        let (tested, more) = combinations(wells, parameters.least_doses())?;
        warnings.extend(more);
        let strongest = strongest(wells)?;
        let (mut pairs, mut passed_over) = (Vec::new(), Vec::new());
        for pair in tested {
            // As above, of each drug alone.
            let enough = |drug: usize| {
                let alone = |doses: &&[f64; 2]| doses[drug] > 0.0 && doses[1 - drug] == 0.0;
                pair.doses.iter().filter(alone).count() > parameters.least_doses()
            };
            if strongest <= 0.0 || !(enough(0) && enough(1)) {
                passed_over.push(pair.drugs.join(" + "));
                continue;
            }
            let test = CombinationConfig {
                confidence,
                ..CombinationConfig::default()
            };
            let effects = pair.wells(|score| score.ln() / strongest);
            let Combination { drugs, units, .. } = pair;
            pairs.push(DrugPair {
                drugs,
                units,
                excess: test.build()?.excess(&effects)?,
            });
        }
        warnings.extend(Warning::about(
            "combination that is not compared with its drugs, since these have too few wells alone or no \
             treatment scores above untreated wells",
            passed_over,
        ));
        Ok(Self {
            curves,
            pairs,
            warnings,
        })
    }
}

/// Growth rates of a drug; none where they have no meaning.
fn growth(
    wells: &[WellScore],
    areas: &Areas,
    series: &DoseSeries,
    confidence: f64,
) -> Result<Option<GrowthRate>, RankError> {
    let grown = wells.iter().filter_map(|well| {
        let dose = match &well.treatment.doses[..] {
            _ if well.treatment.group == Group::Untreated => 0.0,
            [dose] if dose.drug == series.drug && dose.unit == series.unit => dose.concentration,
            _ => return None,
        };
        let key = PlateWell {
            plate: well.plate.clone(),
            well: well.well,
        };
        let &[start, end] = areas.get(&key)?;
        let measured = start > 0.0 && (end > 0.0 || dose > 0.0);
        measured.then_some(GrowthWell { dose, start, end })
    });
    let config = GrowthRateConfig {
        confidence,
        ..GrowthRateConfig::default()
    };
    match config.build()?.fit(&grown.collect::<Vec<_>>()) {
        Ok(growth) => Ok(Some(growth)),
        Err(
            RankError::UntreatedDidNotGrow { .. }
            | RankError::TooFewDoses { .. }
            | RankError::TooFewWells { .. },
        ) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The largest median logarithm of the scores of a treatment.
fn strongest(wells: &[WellScore]) -> Result<f64, RankError> {
    let mut logs: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for well in wells {
        let of_treatment = logs.entry(&well.treatment.name).or_default();
        of_treatment.push(well.score.ln());
    }
    let mut strongest = f64::NEG_INFINITY;
    for of_treatment in logs.values() {
        strongest = strongest.max(median(of_treatment)?);
    }
    Ok(strongest)
}

impl DoseCurve {
    /// Concentration and score along the curve, over the concentrations that were tested.
    pub fn line(&self) -> Vec<(f64, f64)> {
        const POINTS: usize = 80;
        let positive = self
            .points
            .iter()
            .map(|point| point.0)
            .filter(|dose| *dose > 0.0);
        let (least, most) = positive.fold((f64::INFINITY, 0.0f64), |(least, most), dose| {
            (least.min(dose), most.max(dose))
        });
        let point = |step: usize| {
            let dose = least * (most / least).powf(step as f64 / (POINTS - 1) as f64);
            (dose, self.of_log_scores.response(dose).exp())
        };
        (0..POINTS).map(point).collect()
    }

    /// Whether the scores depend on the dose beyond chance, without which an EC50 means nothing.
    pub fn responds(&self) -> bool {
        !self
            .of_log_scores
            .warnings
            .contains(&DoseWarning::FlatResponse)
    }
}

#[cfg(test)]
mod tests {
    use spheroid_core::{Dose, Treatment, WellId};

    use super::*;

    /// Six doses of drug a and of drug b, three wells each, and a pair that does what independent drugs would
    /// and `more`; areas that grow the less the higher the score.
    fn experiment(more: f64) -> (Vec<WellScore>, Areas) {
        let log = |dose: f64| 2.0 / (1.0 + (1.6 / dose).powi(2));
        let mut doses: Vec<Vec<(&str, f64)>> = vec![Vec::new(); 4];
        for dose in (0..6).map(|step| 0.1 * 4f64.powi(step)) {
            for drug in ["a", "b"] {
                doses.extend(vec![vec![(drug, dose)]; 3]);
            }
        }
        doses.extend(vec![vec![("a", 1.6), ("b", 1.6)]; 3]);
        doses.push(vec![("other", 2.0)]);
        let mut areas = Areas::new();
        let wells = doses.iter().enumerate().map(|(index, doses)| {
            let effect = match doses[..] {
                [] => 0.0,
                [(_, dose)] => log(dose),
                // Of the 2 that are possible, half by each alone.
                _ => 2.0 * (0.75 + more),
            };
            let scatter = 0.02 * ((index % 3) as f64 - 1.0);
            let names: Vec<String> = doses
                .iter()
                .map(|(drug, dose)| format!("{drug} {dose}"))
                .collect();
            let dose = |(drug, concentration): &(&str, f64)| Dose {
                drug: (*drug).into(),
                concentration: *concentration,
                unit: "uM".into(),
            };
            let well = WellScore {
                plate: "p".into(),
                well: WellId::new(index / 12, index % 12).unwrap(),
                treatment: Treatment {
                    name: if doses.is_empty() {
                        "untreated".into()
                    } else {
                        names.join(" + ")
                    },
                    group: match doses[..] {
                        [] => Group::Untreated,
                        _ => Group::DrugScreened,
                    },
                    doses: doses.iter().map(dose).collect(),
                },
                score: (effect + scatter).exp(),
            };
            let key = PlateWell {
                plate: "p".into(),
                well: well.well,
            };
            areas.insert(key, [0.1, 0.1 * (1.0 - effect / 2.0 + scatter).exp2()]);
            well
        });
        let wells = wells.collect();
        (wells, areas)
    }

    #[test]
    fn a_drug_with_a_series_has_curves_and_the_others_are_named() {
        let (wells, areas) = experiment(0.0);
        let found = DoseFindings::new(&wells, &areas, 0.95).unwrap();
        assert_eq!(found.curves.len(), 2);
        for curve in &found.curves {
            assert!((curve.of_log_scores.ec50 - 1.6).abs() < 0.1, "{curve:?}");
            assert!(curve.responds() && curve.of_log_scores.warnings.is_empty());
            assert_eq!(curve.points.len(), 18);
            let line = curve.line();
            let (first, last) = (line[0], line[line.len() - 1]);
            assert!((first.0 - 0.1).abs() < 1e-12 && (last.0 - 102.4).abs() < 1e-9);
            assert!((first.1 - 1.0).abs() < 0.05 && (last.1 - 2f64.exp()).abs() < 0.4);
            let growth = curve.growth.as_ref().unwrap();
            assert!((growth.untreated_doublings - 1.0).abs() < 0.05);
            assert!(growth.gr_max < 0.05 && growth.gr50 > Some(1.0));
        }
        let named = |what| found.warnings.iter().any(|warning| warning.items == [what]);
        assert!(named("other (uM)"));
    }

    #[test]
    fn pairs_are_compared_with_their_drugs() {
        for more in [0.0, 0.2] {
            let (wells, areas) = experiment(more);
            let found = DoseFindings::new(&wells, &areas, 0.95).unwrap();
            let [pair] = &found.pairs[..] else {
                panic!("{found:?}");
            };
            assert_eq!(pair.drugs, ["a", "b"]);
            let bliss = pair.excess[0].bliss;
            assert!((bliss.value - more).abs() < 0.05, "{bliss:?} for {more}");
            assert_eq!(bliss.low > 0.0, more > 0.0, "{bliss:?}");
        }
    }

    #[test]
    fn drugs_with_few_wells_alone_stop_nothing() {
        let (mut wells, areas) = experiment(0.0);
        // Of drug b one well at each of three concentrations is left.
        let mut seen = Vec::new();
        wells.retain(|well| match &well.treatment.doses[..] {
            [dose] if dose.drug == "b" => {
                let first = !seen.contains(&dose.concentration) && seen.len() < 3;
                seen.push(dose.concentration);
                first
            }
            _ => true,
        });
        let found = DoseFindings::new(&wells, &areas, 0.95).unwrap();
        assert_eq!((found.curves.len(), found.pairs.len()), (1, 0));
        assert!(
            found
                .warnings
                .iter()
                .any(|warning| warning.items == ["a + b"])
        );
    }

    #[test]
    fn spheroids_that_shrink_have_no_growth_rate() {
        let (wells, mut areas) = experiment(0.0);
        for area in areas.values_mut() {
            area[1] *= 0.3;
        }
        let found = DoseFindings::new(&wells, &areas, 0.95).unwrap();
        assert!(found.curves.iter().all(|curve| curve.growth.is_none()));
        assert!(
            found
                .warnings
                .iter()
                .any(|warning| warning.items == ["a", "b"])
        );
    }

    #[test]
    fn a_plate_without_a_series_has_no_curves_and_no_warnings() {
        let (mut wells, areas) = experiment(0.0);
        wells.retain(|well| {
            well.treatment.doses.is_empty() || well.treatment.doses[0].drug == "other"
        });
        let found = DoseFindings::new(&wells, &areas, 0.95).unwrap();
        assert_eq!(found, DoseFindings::default());
    }
}
