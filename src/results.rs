//! What the main job leaves behind.

use std::{collections::BTreeMap, path::Path};

use ndarray::{Array2, Axis};
use serde::Serialize;
use spheroid_core::{CoreError, Day, Group, StackKey, Treatment, WellId, atomic};
use spheroid_imaging::FocusMeasure;
use spheroid_rank::{
    PlateQuality, PlateVerdict, RankError, RankedTreatment, Resolution, benjamini_hochberg,
    permutation_test, plate_quality,
};
use spheroid_report::{
    Comparison, LossPoint, PredictorSkill, RankingRow, Report, Thumbnail, WellScore,
};

use crate::{
    PipelineError, Plate,
    crops::{Crops, io, write_json},
    job::{Agreement, Finished, JobConfig},
    pretrain::Model,
    ranking::Ranked,
};

/// `ranking.json`.
#[derive(Serialize)]
struct Json<'a> {
    from_day: Day,
    to_day: Day,
    ranking: &'a [RankedTreatment],
    resolution: Option<Resolution>,
    plates: Vec<PlateQuality>,
    significance: BTreeMap<&'a str, Significance>,
    wells: Vec<Well<'a>>,
    skills: BTreeMap<&'a str, f64>,
    agreement_with_truth: Option<Agreement>,
    warnings: Vec<String>,
    settings: &'a JobConfig,
}

/// Whether a treatment does more than chance would.
#[derive(Serialize)]
struct Significance {
    /// One-sided p-value of its wells among untreated ones.
    p: f64,
    /// Adjusted for the number of treatments.
    q: f64,
}

/// The significance of every treatment but the untreated one.
fn significance(ranked: &Ranked) -> Result<BTreeMap<&str, Significance>, RankError> {
    let mut untreated = Vec::new();
    let mut treated: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for well in &ranked.wells {
        match well.treatment.group {
            Group::Untreated => untreated.push(well.score),
            _ => {
                let of_treatment = treated.entry(&well.treatment.name).or_default();
                of_treatment.push(well.score);
            }
        }
    }
    let tests = treated.values();
    let tests = tests.map(|scores| Ok(permutation_test(scores, &untreated)?.p_value));
    let p_values = tests.collect::<Result<Vec<f64>, RankError>>()?;
    let adjusted = benjamini_hochberg(&p_values)?;
    let both = p_values.into_iter().zip(adjusted);
    let significance = both.map(|(p, q)| Significance { p, q });
    Ok(treated.into_keys().zip(significance).collect())
}

#[derive(Serialize)]
struct Well<'a> {
    plate: &'a str,
    well: WellId,
    treatment: &'a str,
    group: Group,
    score: f64,
}

fn wells(finished: &Finished) -> impl Iterator<Item = Well<'_>> {
    finished.ranked.wells.iter().map(|well| Well {
        plate: &well.plate,
        well: well.well,
        treatment: &well.treatment.name,
        group: well.treatment.group,
        score: well.score,
    })
}

/// Writes `wells.csv`, `ranking.json` and `ranking.csv`.
pub(crate) fn write(
    out: &Path,
    config: &JobConfig,
    finished: &Finished,
) -> Result<(), PipelineError> {
    let path = out.join("wells.csv");
    atomic::write_file(&path, |file| {
        let csv_error = |source| CoreError::Csv {
            path: path.clone(),
            source,
        };
        let mut table = csv::Writer::from_writer(file);
        table
            .write_record([
                "Metadata_plate",
                "Metadata_Well",
                "Metadata_treatment",
                "Metadata_group",
                "score",
            ])
            .map_err(csv_error)?;
        for Well {
            plate,
            well,
            treatment,
            group,
            score,
        } in wells(finished)
        {
            let [well, group, score] = [well.to_string(), group.to_string(), score.to_string()];
            let record = [
                plate,
                well.as_str(),
                treatment,
                group.as_str(),
                score.as_str(),
            ];
            table.write_record(record).map_err(csv_error)?;
        }
        table.flush().map_err(io(&path, "write"))
    })?;
    let json = Json {
        from_day: finished.ranked.from,
        to_day: finished.ranked.to,
        ranking: &finished.ranked.ranking.rows,
        resolution: finished.ranked.ranking.resolution,
        plates: plate_quality(&finished.ranked.wells, config.rank.ranking.scale)?,
        significance: significance(&finished.ranked)?,
        wells: wells(finished).collect(),
        skills: finished
            .ranked
            .skills
            .iter()
            .map(|(name, skill)| (name.as_str(), *skill))
            .collect(),
        agreement_with_truth: finished.agreement,
        warnings: finished.warnings.iter().map(ToString::to_string).collect(),
        settings: config,
    };
    write_json(&out.join("ranking.json"), &json)?;
    Ok(finished
        .ranked
        .ranking
        .write_csv(&out.join("ranking.csv"))?)
}

/// Fills the report.
pub(crate) fn report(
    plate: &Plate,
    crops: &Crops,
    model: &Model,
    config: &JobConfig,
    finished: &Finished,
) -> Result<Report, PipelineError> {
    let ranked = &finished.ranked;
    let mut plates: Vec<&str> = ranked
        .wells
        .iter()
        .map(|well| well.plate.as_str())
        .collect();
    plates.dedup();
    let ranking = ranked.ranking.rows.iter().map(|row| RankingRow {
        rank: row.rank,
        treatment: row.treatment.clone(),
        group: row.group,
        doses: plate
            .map()
            .treatments()
            .get(&row.treatment)
            .map_or(String::new(), doses),
        score: row.score,
        interval: row.ci_low.zip(row.ci_high),
        rank_interval: row.rank_low.zip(row.rank_high),
        wells: row.wells,
    });
    let wells = wells(finished).map(|well| WellScore {
        plate: well.plate.to_owned(),
        well: well.well,
        treatment: well.treatment.to_owned(),
        group: well.group,
        score: well.score,
    });
    let comparisons = finished.agreement.into_iter().flat_map(|agreement| {
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
    let skills = ranked.skills.iter();
    Ok(Report {
        verdict: verdict(config, finished)?,
        warnings: finished.warnings.clone(),
        score_name: "distance from untreated growth (typical untreated well = 1)".to_owned(),
        interval_name: format!("{} % interval", 100.0 * config.rank.ranking.confidence),
        ranking: ranking.collect(),
        wells: wells.collect(),
        thumbnails: thumbnails(crops, finished)?,
        training: model
            .epochs
            .iter()
            .map(|epoch| LossPoint {
                epoch: epoch.epoch,
                loss: epoch.loss,
            })
            .collect(),
        predictors: skills
            .map(|(name, skill)| PredictorSkill {
                name: name.clone(),
                skill: *skill,
            })
            .collect(),
        comparisons: comparisons.collect(),
        settings: settings(config)?,
        ..Report::new(
            "Drug efficacy from bright-field images",
            plates.join(", "),
            plate.format(),
        )
    })
}

fn verdict(config: &JobConfig, finished: &Finished) -> Result<Vec<String>, RankError> {
    let ranked = &finished.ranked;
    let rows = &ranked.ranking.rows;
    let untreated = rows.iter().filter(|row| row.group == Group::Untreated);
    let highest = untreated.filter_map(|row| row.ci_high).reduce(f64::max);
    let treated = rows.iter().filter(|row| row.group != Group::Untreated);
    let mut sentences = Vec::new();
    let plates = plate_quality(&ranked.wells, config.rank.ranking.scale)?;
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
    let significant = significance(ranked)?;
    let called = significant.values().filter(|of| of.q <= 0.05).count();
    sentences.push(format!(
        "{called} of {} treatments differ from untreated wells at a false discovery rate of 5 %.",
        significant.len()
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
    Ok(sentences)
}

fn doses(treatment: &Treatment) -> String {
    let doses = treatment
        .doses
        .iter()
        .map(|dose| format!("{} {} {}", dose.drug, dose.concentration, dose.unit));
    doses.collect::<Vec<_>>().join(" + ")
}

/// The sharpest plane on every day of the well whose score is in the middle of its treatment's.
fn thumbnails(crops: &Crops, finished: &Finished) -> Result<Vec<Thumbnail>, PipelineError> {
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
