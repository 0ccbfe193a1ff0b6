//! What the main job leaves behind.

use std::{collections::BTreeMap, path::Path};

use ndarray::{Array2, Axis};
use serde::Serialize;
use spheroid_core::{Columns, Day, Group, StackKey, Treatment, Values, WellId};
use spheroid_imaging::FocusMeasure;
use spheroid_rank::{
    PlateQuality, PlateVerdict, RankError, RankedTreatment, Resolution, plate_quality,
};
use spheroid_report::{
    Comparison, LossPoint, PredictorSkill, RankingRow, Report, Thumbnail, WellScore,
};

use crate::{
    PipelineError, Plate,
    crops::{Crops, write_json},
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
    wells: Vec<Well<'a>>,
    skills: BTreeMap<&'a str, f64>,
    agreement_with_truth: Option<Agreement>,
    warnings: Vec<String>,
    settings: &'a JobConfig,
}

#[derive(Serialize)]
struct Well<'a> {
    plate: &'a str,
    well: WellId,
    treatment: &'a str,
    group: Group,
    score: f64,
    p_value: f64,
    direction: Option<f64>,
}

fn wells(ranked: &Ranked) -> Vec<Well<'_>> {
    let well = |index: usize| {
        let well = &ranked.wells[index];
        Well {
            plate: &well.plate,
            well: well.well,
            treatment: &well.treatment.name,
            group: well.treatment.group,
            score: well.score,
            p_value: ranked.p_values[index],
            direction: ranked.directions.as_ref().map(|places| places[index]),
        }
    };
    (0..ranked.wells.len()).map(well).collect()
}

fn wells_table(wells: &[Well<'_>]) -> Columns {
    let text = |of: &dyn Fn(&Well<'_>) -> String| Values::Text(wells.iter().map(of).collect());
    let real = |of: fn(&Well<'_>) -> Option<f64>| Values::Real(wells.iter().map(of).collect());
    Columns::default()
        .with("Metadata_Plate", text(&|well| well.plate.to_owned()))
        .with("Metadata_Well", text(&|well| well.well.to_string()))
        .with(
            "Metadata_treatment",
            text(&|well| well.treatment.to_owned()),
        )
        .with("Metadata_group", text(&|well| well.group.to_string()))
        .with("score", real(|well| Some(well.score)))
        .with("p_value", real(|well| Some(well.p_value)))
        .with("direction", real(|well| well.direction))
}

/// Writes `ranking.json` and the tables `embeddings`, `morphology`, `wells` and `ranking`, in each of
/// [`Columns::FORMATS`].
pub(crate) fn write(
    out: &Path,
    config: &JobConfig,
    finished: &Finished,
    [learned, morphology]: [Columns; 2],
) -> Result<(), PipelineError> {
    let Finished { ranked, .. } = finished;
    let wells = wells(ranked);
    let tables = [
        ("embeddings", learned),
        ("morphology", morphology),
        ("wells", wells_table(&wells)),
        ("ranking", ranked.ranking.to_columns()),
    ];
    for (name, table) in tables {
        for format in Columns::FORMATS {
            table.write(&out.join(name).with_extension(format))?;
        }
    }
    let json = Json {
        from_day: ranked.from,
        to_day: ranked.to,
        ranking: &ranked.ranking.rows,
        resolution: ranked.ranking.resolution,
        plates: plate_quality(&ranked.wells, config.rank.ranking.scale)?,
        wells,
        skills: ranked
            .skills
            .iter()
            .map(|(name, skill)| (name.as_str(), *skill))
            .collect(),
        agreement_with_truth: finished.agreement,
        warnings: finished.warnings.iter().map(ToString::to_string).collect(),
        settings: config,
    };
    write_json(&out.join("ranking.json"), &json)
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
    let wells = wells(ranked).into_iter().map(|well| WellScore {
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
