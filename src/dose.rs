//! How scores depend on the dose, where drugs were tested at several.

use serde::Serialize;
use spheroid_core::Warning;
use spheroid_rank::{
    RankError, WellScore,
    dose::{
        DoseSeries, DoseWarning, LogLogistic, LogLogisticConfig, LogLogisticParameters, dose_series,
    },
};

/// What [`DoseFindings::new`] finds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DoseFindings {
    /// A curve of every drug that was tested alone at enough concentrations, by name.
    pub curves: Vec<DoseCurve>,
    /// Drugs that were passed over, where others have a curve.
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
}

impl DoseFindings {
    /// Fits a curve to every drug with at least three concentrations; the scores are above 0.
    ///
    /// # Errors
    /// When there is no well, a score is not finite and above 0, or a well occurs twice.
    pub fn new(wells: &[WellScore], confidence: f64) -> Result<Self, RankError> {
        let parameters = LogLogisticParameters::Three { zero_dose: 0.0 };
        let fitter = LogLogisticConfig {
            parameters,
            confidence,
            ..LogLogisticConfig::default()
        };
        let fitter = fitter.build()?;
        let (series, mut warnings) = dose_series(wells, parameters.least_doses())?;
        let curve = |series: DoseSeries| {
            let logs: Vec<f64> = series.scores.iter().map(|score| score.ln()).collect();
            Ok(DoseCurve {
                of_log_scores: fitter.fit(&series.concentrations, &logs)?,
                points: series
                    .concentrations
                    .into_iter()
                    .zip(series.scores)
                    .collect(),
                drug: series.drug,
                unit: series.unit,
            })
        };
        // As many wells as parameters leave nothing to tell scatter by.
        let fits = |series: &DoseSeries| series.scores.len() > parameters.least_doses();
        let curves = series.into_iter().filter(fits).map(curve);
        let curves = curves.collect::<Result<Vec<_>, RankError>>()?;
        if curves.is_empty() {
            warnings.clear();
        }
        Ok(Self { curves, warnings })
    }
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
    use spheroid_core::{Dose, Group, Treatment, WellId};

    use super::*;

    fn well(index: usize, drug: &str, concentration: f64, score: f64) -> WellScore {
        let untreated = drug == "untreated";
        let dose = Dose {
            drug: drug.into(),
            concentration,
            unit: "uM".into(),
        };
        WellScore {
            plate: "p".into(),
            well: WellId::new(index / 12, index % 12).unwrap(),
            treatment: Treatment {
                name: format!("{drug} {concentration}"),
                group: if untreated {
                    Group::Untreated
                } else {
                    Group::DrugScreened
                },
                doses: if untreated { Vec::new() } else { vec![dose] },
            },
            score,
        }
    }

    #[test]
    fn a_drug_with_a_series_has_a_curve_and_the_others_are_named() {
        let mut wells = vec![well(0, "untreated", 0.0, 1.0), well(1, "other", 2.0, 1.5)];
        for dose in 0..6 {
            for replicate in 0..3 {
                let concentration = 0.1 * 4f64.powi(dose);
                let log = 2.0 / (1.0 + (1.6 / concentration).powi(2));
                let scatter = 0.05 * (f64::from(replicate) - 1.0);
                let index = wells.len();
                wells.push(well(index, "drug", concentration, (log + scatter).exp()));
            }
        }
        let found = DoseFindings::new(&wells, 0.95).unwrap();
        let [curve] = &found.curves[..] else {
            panic!("{found:?}");
        };
        assert!((curve.of_log_scores.ec50 - 1.6).abs() < 0.1, "{curve:?}");
        assert!(curve.responds() && curve.of_log_scores.warnings.is_empty());
        assert_eq!(curve.points.len(), 18);
        let line = curve.line();
        let (first, last) = (line[0], line[line.len() - 1]);
        assert!((first.0 - 0.1).abs() < 1e-12 && (last.0 - 102.4).abs() < 1e-9);
        assert!((first.1 - 1.0).abs() < 0.05 && (last.1 - 2f64.exp()).abs() < 0.4);
        assert!(
            found
                .warnings
                .iter()
                .any(|warning| warning.items == ["other (uM)"])
        );
    }

    #[test]
    fn a_plate_without_a_series_has_no_curves_and_no_warnings() {
        let wells = [well(0, "untreated", 0.0, 1.0), well(1, "drug", 2.0, 1.5)];
        let found = DoseFindings::new(&wells, 0.95).unwrap();
        assert_eq!(found, DoseFindings::default());
    }
}
