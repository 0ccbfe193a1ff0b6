//! What the main job leaves behind.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;
use spheroid_core::{Columns, Day, Group, PlateFormat, PlateWell, Values, WellId};
use spheroid_rank::{
    PlateQuality, PositionEffect, PositionTestConfig, RankCoverage, RankSet, RankedTreatment,
    Resolution, plate_quality,
};

use crate::{
    PipelineError,
    crops::write_json,
    dose::DoseFindings,
    job::{Agreement, Finished, JobConfig},
    ranking::Ranked,
};

/// What tells whether the plates can be trusted.
pub(crate) struct Checked {
    pub(crate) plates: Vec<PlateQuality>,
    pub(crate) position_effects: Vec<PositionEffect>,
}

impl Checked {
    pub(crate) fn new(
        ranked: &Ranked,
        config: &JobConfig,
        format: PlateFormat,
    ) -> Result<Self, PipelineError> {
        let scale = config.rank.ranking.scale;
        let position = PositionTestConfig {
            scale,
            ..PositionTestConfig::default()
        };
        Ok(Self {
            plates: plate_quality(&ranked.wells, scale)?,
            position_effects: position.build()?.test(&ranked.wells, format)?,
        })
    }
}

/// `ranking.json`.
#[derive(Serialize)]
struct Json<'a> {
    from_day: Day,
    to_day: Day,
    ranking: &'a [RankedTreatment],
    /// Of each row of the ranking, with its confidence for all rows at once.
    rank_sets: Option<Vec<RankSet>>,
    resolution: Option<Resolution>,
    plates: &'a [PlateQuality],
    position_effects: &'a [PositionEffect],
    doses: &'a DoseFindings,
    wells: Vec<Well<'a>>,
    failed_wells: Vec<String>,
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
    checked: &Checked,
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
        rank_sets: ranked.ranking.rank_sets(RankCoverage::Simultaneous),
        resolution: ranked.ranking.resolution,
        plates: &checked.plates,
        position_effects: &checked.position_effects,
        doses: &finished.doses,
        wells,
        failed_wells: finished.failed.iter().map(PlateWell::to_string).collect(),
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
