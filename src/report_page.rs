//! Fills the report of the main job.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::{Array2, Axis};
use spheroid_core::{Embeddings, Group, PlateWell, StackKey, Treatment};
use spheroid_imaging::FocusMeasure;
use spheroid_rank::{
    PlateQuality, PlateVerdict, PositionEffect, RankedTreatment, principal_components,
};
use spheroid_report::{
    AuditStep, CombinationRow, Comparison, DoseResponse, DroppedWell, EmbeddingMap, LossPoint,
    MapPoint, PlateQualityRow, PositionRow, PredictorSkill, RankingRow, Report, Thumbnail,
    WellScore,
};
use spheroid_ssl::{collapse::Health, train::Epoch};

use crate::{
    PipelineError, Plate,
    crops::Crops,
    dose::{Areas, DoseCurve, DrugPair},
    job::{Finished, JobConfig},
    pretrain::Model,
    results::Checked,
};

/// What the report is filled from.
pub(crate) struct Material<'a> {
    pub(crate) plate: &'a Plate,
    pub(crate) crops: &'a Crops,
    pub(crate) model: &'a Model,
    pub(crate) learned: &'a Embeddings,
    pub(crate) areas: &'a Areas,
    pub(crate) config: &'a JobConfig,
    pub(crate) finished: &'a Finished,
    pub(crate) checked: &'a Checked,
}

impl Material<'_> {
    /// Fills the report.
    ///
    /// # Errors
    /// When crops cannot be read or a figure cannot be computed.
    pub(crate) fn report(&self) -> Result<Report, PipelineError> {
        let Self {
            plate,
            model,
            config,
            finished,
            ..
        } = self;
        let ranked = &finished.ranked;
        let plates: BTreeSet<&str> = ranked.wells.iter().map(|well| &*well.plate).collect();
        let plates: Vec<&str> = plates.into_iter().collect();
        let skills = ranked.skills.iter();
        Ok(Report {
            verdict: self.verdict(),
            warnings: finished.warnings.clone(),
            score_name: "distance from untreated growth (typical untreated well = 1)".to_owned(),
            interval_name: format!("{} % interval", 100.0 * config.rank.ranking.confidence),
            area_name: format!("area on day {} (share of the frame)", ranked.to),
            quality: self.quality(),
            position: self.position(),
            ranking: self.ranking(),
            wells: self.wells(),
            failed: self.failed(),
            dose_responses: dose_responses(&finished.doses.curves),
            combinations: finished.doses.pairs.iter().flat_map(combinations).collect(),
            embedding_map: self.embedding_map()?,
            thumbnails: self.thumbnails()?,
            training: model.epochs.iter().map(loss_point).collect(),
            predictors: skills
                .map(|(name, skill)| PredictorSkill {
                    name: name.clone(),
                    skill: *skill,
                })
                .collect(),
            comparisons: self.comparisons(),
            audit: self.audit(),
            settings: settings(config)?,
            ..Report::new(
                "Drug efficacy from bright-field images",
                plates.join(", "),
                plate.format(),
            )
        })
    }

    fn quality(&self) -> Vec<PlateQualityRow> {
        let plates = self.checked.plates.iter();
        let row = |plate: &PlateQuality| PlateQualityRow {
            plate: plate.plate.clone(),
            able: plate.verdict != PlateVerdict::CannotRank,
            reason: plate.reason.clone(),
            untreated: plate.untreated,
            reference: plate.reference,
            figures: [
                ("Z′-factor", plate.z_prime),
                ("robust Z′-factor", plate.robust_z_prime),
                ("SSMD", plate.ssmd),
                ("robust SSMD", plate.robust_ssmd),
                ("spread of untreated wells", plate.untreated_cv),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        };
        plates.map(row).collect()
    }

    fn position(&self) -> Vec<PositionRow> {
        let effects = self.checked.position_effects.iter();
        let row = |effect: &PositionEffect| PositionRow {
            plate: effect.plate.clone(),
            position: effect.position.to_string(),
            share: effect.share,
            p_value: effect.p,
        };
        effects.map(row).collect()
    }

    fn ranking(&self) -> Vec<RankingRow> {
        let treatments = self.plate.map().treatments();
        let rows = self.finished.ranked.ranking.rows.iter();
        let row = |row: &RankedTreatment| RankingRow {
            rank: row.rank,
            treatment: row.treatment.clone(),
            group: row.group,
            doses: treatments
                .get(&row.treatment)
                .map(doses)
                // Said already.
                .filter(|doses| *doses != row.treatment)
                .unwrap_or_default(),
            score: row.score,
            interval: row.ci_low.zip(row.ci_high),
            rank_interval: row.rank_low.zip(row.rank_high),
            wells: row.wells,
            p_value: row.p_value,
            q_value: row.q_value,
            tier: row.tier,
        };
        rows.map(row).collect()
    }

    fn wells(&self) -> Vec<WellScore> {
        let ranked = &self.finished.ranked;
        let wells = ranked.wells.iter().zip(&ranked.p_values);
        let well = |(well, p_value): (&spheroid_rank::WellScore, &f64)| {
            let key = StackKey {
                plate: well.plate.clone(),
                well: well.well,
                day: ranked.to,
            };
            let flags = self.crops.flags(&key).iter().map(ToString::to_string);
            WellScore {
                plate: well.plate.clone(),
                well: well.well,
                treatment: well.treatment.name.clone(),
                group: well.treatment.group,
                score: well.score,
                area: self.areas.get(&key.plate_well()).map(|[_, end]| *end),
                p_value: Some(*p_value),
                flags: flags.collect(),
            }
        };
        wells.map(well).collect()
    }

    /// Wells with images that were not ranked.
    fn unranked(&self) -> Vec<PlateWell> {
        let ranked = self.finished.ranked.wells.iter();
        let ranked: BTreeSet<_> = ranked.map(|well| (&*well.plate, well.well)).collect();
        let imaged = self.imaged().into_iter();
        imaged
            .filter(|well| !ranked.contains(&(&*well.plate, well.well)))
            .collect()
    }

    /// Wells with images that were not ranked, and why.
    fn failed(&self) -> Vec<DroppedWell> {
        let Finished { failed, ranked, .. } = self.finished;
        let dropped = |well: PlateWell| DroppedWell {
            reason: if failed.contains(&well) {
                "no spheroid where one is needed".to_owned()
            } else {
                format!("no images of day {} and day {}", ranked.from, ranked.to)
            },
            plate: well.plate,
            well: well.well,
        };
        self.unranked().into_iter().map(dropped).collect()
    }

    fn imaged(&self) -> BTreeSet<PlateWell> {
        let stacks = self.plate.stacks().iter();
        stacks.map(|stack| stack.key.plate_well()).collect()
    }

    fn audit(&self) -> Vec<AuditStep> {
        let Finished { failed, ranked, .. } = self.finished;
        let imaged = self.imaged().len();
        let unmatched = self.plate.warnings().iter();
        let names = |wells: Vec<PlateWell>| wells.iter().map(ToString::to_string).collect();
        let mut incomplete = self.unranked();
        incomplete.retain(|well| !failed.contains(well));
        vec![
            AuditStep {
                step: "stacks of images of wells in the plate map".to_owned(),
                kept: self.plate.stacks().len(),
                dropped: unmatched
                    .flat_map(|warning| warning.items.clone())
                    .collect(),
            },
            AuditStep {
                step: "wells with images".to_owned(),
                kept: imaged,
                dropped: Vec::new(),
            },
            AuditStep {
                step: "wells with a spheroid before the drug, untreated ones at the end too"
                    .to_owned(),
                kept: imaged - failed.len(),
                dropped: names(failed.iter().cloned().collect()),
            },
            AuditStep {
                step: format!(
                    "ranked wells, with images of day {} and day {}",
                    ranked.from, ranked.to
                ),
                kept: ranked.wells.len(),
                dropped: names(incomplete),
            },
        ]
    }

    /// The first two principal components of the learned features, all days.
    fn embedding_map(&self) -> Result<Option<EmbeddingMap>, PipelineError> {
        let map = self.plate.map();
        let components = principal_components(self.learned.values(), 2)?;
        let [Some(x), Some(y)] = [0, 1].map(|axis| components.explained.get(axis)) else {
            return Ok(None);
        };
        let name = |axis: usize, share: &f64| format!("component {axis} ({:.0} %)", 100.0 * share);
        let keys = self.learned.keys().iter();
        let points = keys
            .zip(components.places.rows())
            .filter_map(|(key, place)| {
                let treatment = map.treatment_of(&key.plate_well())?;
                let dose = match &treatment.doses[..] {
                    [dose] => Some(dose.concentration),
                    _ => None,
                };
                Some(MapPoint {
                    plate: key.plate.clone(),
                    well: key.well,
                    treatment: treatment.name.clone(),
                    group: treatment.group,
                    dose,
                    day: key.day,
                    x: place[0],
                    y: place[1],
                })
            });
        Ok(Some(EmbeddingMap {
            x_name: name(1, x),
            y_name: name(2, y),
            points: points.collect(),
        }))
    }

    fn comparisons(&self) -> Vec<Comparison> {
        let comparisons = self.finished.agreement.into_iter().flat_map(|agreement| {
            [
                (
                    "Kendall's tau with the truth, this ranking",
                    agreement.ranking,
                ),
                (
                    "Kendall's tau with the truth, learned features alone",
                    agreement.embedding_alone,
                ),
                (
                    "Kendall's tau with the truth, morphology baseline",
                    agreement.morphology_baseline,
                ),
            ]
            .map(|(name, value)| Comparison {
                name: name.to_owned(),
                value,
            })
        });
        comparisons.collect()
    }

    fn verdict(&self) -> Vec<String> {
        let ranked = &self.finished.ranked;
        let rows = &ranked.ranking.rows;
        let untreated = rows.iter().filter(|row| row.group == Group::Untreated);
        let highest = untreated.filter_map(|row| row.ci_high).reduce(f64::max);
        let treated = rows.iter().filter(|row| row.group != Group::Untreated);
        let mut sentences = Vec::new();
        let plates = &self.checked.plates;
        for plate in plates
            .iter()
            .filter(|plate| plate.verdict == PlateVerdict::CannotRank)
        {
            sentences.push(format!(
                "Plate {} cannot carry a ranking. {}",
                plate.plate, plate.reason
            ));
        }
        if let Some(first) = treated.clone().next() {
            sentences.push(format!(
            "{} has the strongest effect: its wells end up {:.1} times as far from the prediction \
             for untreated growth as a typical untreated well.",
            first.treatment, first.score
        ));
        }
        if let Some(highest) = highest {
            let (all, apart) = (
                treated.clone().count(),
                treated.filter(|row| row.ci_low > Some(highest)).count(),
            );
            sentences.push(format!(
                "{apart} of {all} treatments have an interval above that of the untreated wells."
            ));
        }
        sentences.push(format!(
        "Predicted from day {} to day {} for {} wells; untreated wells are predicted and scored out \
         of fold.",
        ranked.from,
        ranked.to,
        ranked.wells.len()
    ));
        let tested = rows.iter().filter_map(|row| row.q_value);
        let called = tested.clone().filter(|q| *q <= 0.05).count();
        sentences.push(format!(
        "{called} of {} treatments differ from untreated wells at a false discovery rate of 5 %.",
        tested.count()
    ));
        let able = plates
            .iter()
            .filter(|plate| plate.verdict != PlateVerdict::CannotRank);
        sentences.extend(able.map(|plate| format!("Plate {}: {}", plate.plate, plate.reason)));
        sentences.extend(
            ranked
                .ranking
                .resolution
                .map(|resolution| resolution.to_string()),
        );
        sentences
    }

    /// The sharpest plane on every day of the well whose score is in the middle of its treatment's.
    fn thumbnails(&self) -> Result<Vec<Thumbnail>, PipelineError> {
        let (crops, finished) = (self.crops, self.finished);
        let mut by_treatment: BTreeMap<&str, Vec<&spheroid_rank::WellScore>> = BTreeMap::new();
        for well in &finished.ranked.wells {
            by_treatment
                .entry(&well.treatment.name)
                .or_default()
                .push(well);
        }
        let mut thumbnails = Vec::new();
        for mut wells in by_treatment.into_values() {
            wells.sort_by(|a, b| a.score.total_cmp(&b.score));
            let shown = wells[(wells.len() - 1) / 2];
            let of_well = |key: &StackKey| key.plate == shown.plate && key.well == shown.well;
            for (index, key) in crops.keys().enumerate().filter(|(_, key)| of_well(key)) {
                thumbnails.push(Thumbnail {
                    treatment: shown.treatment.name.clone(),
                    group: shown.treatment.group,
                    plate: shown.plate.clone(),
                    well: shown.well,
                    day: key.day,
                    pixels: sharpest(&crops.load(index)?)?,
                });
            }
        }
        Ok(thumbnails)
    }
}

fn dose_responses(curves: &[DoseCurve]) -> Vec<DoseResponse> {
    let response = |curve: &DoseCurve| {
        let of_drug = curves.iter().filter(|other| other.drug == curve.drug);
        let drug = match of_drug.count() {
            1 => curve.drug.clone(),
            _ => format!("{} ({})", curve.drug, curve.unit),
        };
        dose_response(curve, drug)
    };
    curves.iter().map(response).collect()
}

fn dose_response(curve: &DoseCurve, drug: String) -> DoseResponse {
    let line = curve.line();
    let fitted = &curve.of_log_scores;
    let notes = fitted.warnings.iter().map(ToString::to_string);
    let mut figures = vec![
        ("slope".to_owned(), fitted.slope),
        (
            "curve at the largest dose".to_owned(),
            line[line.len() - 1].1,
        ),
    ];
    if let Some(growth) = &curve.growth {
        let of_area = [
            ("GR50 of the area", growth.gr50),
            ("GRmax of the area", Some(growth.gr_max)),
            ("GR AOC of the area", Some(growth.gr_aoc)),
        ];
        let known = of_area.map(|(name, value)| Some((name.to_owned(), value?)));
        figures.extend(known.into_iter().flatten());
    }
    DoseResponse {
        drug,
        unit: curve.unit.clone(),
        points: curve.points.clone(),
        curve: line,
        ec50: curve.responds().then_some(fitted.ec50),
        ec50_interval: curve
            .responds()
            .then_some((fitted.ec50_low, fitted.ec50_high)),
        notes: notes.collect(),
        figures,
    }
}

/// Every dose pair by each of the three models.
fn combinations(pair: &DrugPair) -> impl Iterator<Item = CombinationRow> {
    let [a, b] = [0, 1].map(|drug| (&pair.drugs[drug], &pair.units[drug]));
    pair.excess.iter().flat_map(move |found| {
        let [dose_a, dose_b] = found.doses;
        let treatment = format!("{} {dose_a} {} + {} {dose_b} {}", a.0, a.1, b.0, b.1);
        [
            ("Bliss", found.bliss),
            ("HSA", found.hsa),
            ("Loewe", found.loewe),
        ]
        .map(|(model, excess)| CombinationRow {
            treatment: treatment.clone(),
            model: model.to_owned(),
            excess: excess.value,
            interval: Some((excess.low, excess.high)),
        })
    })
}

fn loss_point(epoch: &Epoch) -> LossPoint {
    let signs = epoch.health.into_iter().flat_map(|health: Health| {
        [
            ("spread", Some(health.spread)),
            ("effective rank", Some(health.effective_rank)),
            ("alignment", health.alignment),
            ("uniformity", Some(health.uniformity)),
            ("agreement of views", health.agreement),
        ]
    });
    LossPoint {
        epoch: epoch.epoch,
        loss: epoch.loss,
        signs: signs
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
    }
}

fn doses(treatment: &Treatment) -> String {
    let doses = treatment
        .doses
        .iter()
        .map(|dose| format!("{} {} {}", dose.drug, dose.concentration, dose.unit));
    doses.collect::<Vec<_>>().join(" + ")
}

fn sharpest(crop: &ndarray::Array3<f32>) -> Result<Array2<f32>, PipelineError> {
    let mut best = (f64::NEG_INFINITY, 0);
    for (index, plane) in crop.axis_iter(Axis(0)).enumerate() {
        let sharpness = FocusMeasure::MeanGradient.of_plane(plane)?;
        if sharpness > best.0 {
            best = (sharpness, index);
        }
    }
    Ok(crop.index_axis(Axis(0), best.1).to_owned())
}

/// Every setting by its path, such as `pretrain.train.seed`.
fn settings(config: &JobConfig) -> Result<Vec<(String, String)>, PipelineError> {
    let value = serde_json::to_value(config).map_err(|source| PipelineError::Json {
        path: "settings".into(),
        source,
    })?;
    let mut rows = vec![("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
    flatten("", &value, &mut rows);
    Ok(rows)
}

fn flatten(path: &str, value: &serde_json::Value, rows: &mut Vec<(String, String)>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                flatten(&path, value, rows);
            }
        }
        serde_json::Value::String(text) => rows.push((path.to_owned(), text.clone())),
        other => rows.push((path.to_owned(), other.to_string())),
    }
}
