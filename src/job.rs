//! The main job: from a plate on disk to a ranked list with its report.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use spheroid_core::{Embeddings, PlateMap, PlateWell, RankMetric, StackKey, Warning};
use spheroid_rank::{KendallTauB, RankError};
use spheroid_ssl::Device;

use crate::{
    Monitor, PipelineError, Plate,
    crops::Crops,
    dose::{Areas, DoseFindings},
    embed::{Planes, embed},
    prepare::AREA,
    pretrain::{Beginning, Model, PretrainConfig},
    ranking::{FeatureSet, RankConfig, Ranked, check, morphology_baseline, rank},
    report_page::Material,
    results::{self, Checked},
};

/// Settings of [`run`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobConfig {
    /// The encoder and its training; the drug day is that of the ranking.
    pub pretrain: PretrainConfig,
    /// The ranking.
    pub rank: RankConfig,
}

/// What [`run`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The ranked plate.
    pub ranked: Ranked,
    /// Agreement with the truth, where it is known.
    pub agreement: Option<Agreement>,
    /// How scores depend on the dose.
    pub doses: DoseFindings,
    /// Wells that failed ([`Crops::failed_wells`]) and are not ranked.
    pub failed: BTreeSet<PlateWell>,
    /// What was left out or is doubtful.
    pub warnings: Vec<Warning>,
    /// What became of the file of weights that the encoder began with.
    pub weights: Option<Beginning>,
    /// The page that shows all of it.
    pub report: PathBuf,
}

/// Kendall's τ-b between scores and the true kill.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Of the ranking.
    pub ranking: f64,
    /// Of the learned features without morphology.
    pub embedding_alone: f64,
    /// Of the plain baseline: area, circularity and intensity.
    pub morphology_baseline: f64,
}

impl Agreement {
    fn new(
        truth: &BTreeMap<String, f64>,
        ranked: &Ranked,
        alone: &Ranked,
        baseline: &BTreeMap<String, f64>,
    ) -> Result<Self, RankError> {
        Ok(Self {
            ranking: kendall_tau(&treatment_scores(ranked), truth)?,
            embedding_alone: kendall_tau(&treatment_scores(alone), truth)?,
            morphology_baseline: kendall_tau(baseline, truth)?,
        })
    }
}

/// Kendall's τ-b over the treatments that both know.
///
/// # Errors
/// When fewer than two treatments are known to both, or all are tied.
pub fn kendall_tau(
    scores: &BTreeMap<String, f64>,
    truth: &BTreeMap<String, f64>,
) -> Result<f64, RankError> {
    let common = scores
        .iter()
        .filter_map(|(name, score)| Some((*score, *truth.get(name)?)));
    let (scores, truth): (Vec<f64>, Vec<f64>) = common.unzip();
    KendallTauB.evaluate(&scores, &truth)
}

/// The score of every treatment.
pub fn treatment_scores(ranked: &Ranked) -> BTreeMap<String, f64> {
    ranked
        .ranking
        .rows
        .iter()
        .map(|row| (row.treatment.clone(), row.score))
        .collect()
}

/// Area of every ranked spheroid when drugs are given and at the end, as a share of the frame.
fn areas(morphology: &Embeddings, ranked: &Ranked) -> Areas {
    let column = morphology.values();
    let column = column.column(AREA);
    let of_keys: BTreeMap<&StackKey, f32> = morphology
        .keys()
        .iter()
        .zip(column.iter().copied())
        .collect();
    let wells = ranked.wells.iter().filter_map(|well| {
        let of_day = |day| {
            let key = StackKey {
                plate: well.plate.clone(),
                well: well.well,
                day,
            };
            of_keys.get(&key).map(|area| f64::from(*area))
        };
        let key = PlateWell {
            plate: well.plate.clone(),
            well: well.well,
        };
        Some((key, [of_day(ranked.from)?, of_day(ranked.to)?]))
    });
    wells.collect()
}

/// How much the scores by morphology count, where those by the learned features count 1.
pub const MORPHOLOGY_WEIGHT: f64 = 2.0;

/// Ranks the learned features and morphology together: the scores that the main job reports.
///
/// # Errors
/// As [`rank`].
pub fn rank_features(
    learned: &Embeddings,
    morphology: &Embeddings,
    map: &PlateMap,
    config: &RankConfig,
) -> Result<Ranked, PipelineError> {
    let sets = [
        FeatureSet::new("learned", learned),
        FeatureSet {
            weight: MORPHOLOGY_WEIGHT,
            ..FeatureSet::new("morphology", morphology)
        },
    ];
    rank(&sets, map, config)
}

/// Prepares, trains, embeds, predicts, scores, ranks and reports into the folder `out`.
///
/// Crops and checkpoints in `out` are used again when they belong to the same images and settings;
/// with `resume` training goes on after the last finished epoch. Results appear when all of them are
/// there: `ranking.csv`, `ranking.json`, `wells.csv`, `embeddings.csv`, `morphology.csv` (with the
/// feature `parquet` as `.parquet` too), `report.html`, its plots as SVG files in `plots/`, and `model/`.
///
/// # Errors
/// When a stage fails; no result file is then written.
pub fn run(
    plate: &Plate,
    truth: Option<&BTreeMap<String, f64>>,
    config: &JobConfig,
    device: &Device,
    out: &Path,
    resume: bool,
    monitor: &dyn Monitor,
) -> Result<Finished, PipelineError> {
    check(plate, &config.rank)?;
    if let Some(truth) = truth {
        // Undefined agreement shall not come up after the training.
        let known = plate
            .map()
            .treatments()
            .keys()
            .filter_map(|name| truth.get_key_value(name));
        let known = known.map(|(name, kill)| (name.clone(), *kill)).collect();
        kendall_tau(&known, truth).map_err(PipelineError::Truth)?;
    }
    let JobConfig {
        pretrain,
        rank: rank_config,
    } = config;
    let crops = Crops::prepare(plate, &out.join("crops"), &pretrain.prepare, monitor)?;
    let morphology = crops.morphology()?;
    let failed = crops.failed_wells(plate.map(), rank_config.drug_day);
    let map = plate.map().without(&failed);
    let baseline = morphology_baseline(&morphology, &map, rank_config)?;
    let folder = out.join("model");
    let mut pretrain = pretrain.clone();
    pretrain.views.drug_day = rank_config.drug_day;
    let told = plate.map();
    let model = Model::train(&crops, told, pretrain, device, &folder, resume, monitor)?;
    let learned = embed(&crops, &model.freeze(device), Planes::Mean, monitor)?;
    let mut ranked = rank_features(&learned, &morphology, &map, rank_config)?;
    let agreement = truth
        .map(|truth| {
            let alone = rank(&[FeatureSet::new("learned", &learned)], &map, rank_config)?;
            Ok::<_, PipelineError>(Agreement::new(truth, &ranked, &alone, &baseline)?)
        })
        .transpose()?;
    let pretrain_method = &model.config.method;
    let mut warnings = plate.warnings().to_vec();
    warnings.extend(crops.warnings());
    warnings.extend(Warning::about(
        "well that failed, without a spheroid before the drug or without an untreated one at the end; not ranked",
        failed.iter().map(ToString::to_string).collect(),
    ));
    warnings.append(&mut ranked.warnings);
    let areas = areas(&morphology, &ranked);
    let mut doses = DoseFindings::new(&ranked.wells, &areas, rank_config.ranking.confidence)?;
    warnings.append(&mut doses.warnings);
    if pretrain_method.learns_from_labels() {
        warnings.push(Warning {
            what: "method that is told what was done to every well, so that a score is no independent evidence"
                .to_owned(),
            items: vec![pretrain_method.name().to_owned()],
        });
    }
    if model
        .weights
        .as_ref()
        .is_some_and(|weights| weights.loaded.untrained)
    {
        warnings.push(Warning {
            what: "file of weights that were never trained; use another".to_owned(),
            items: model
                .config
                .weights
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
        });
    }
    warnings.extend(model.collapse().map(|collapse| Warning {
        what: "training that failed; train with another method or more images".to_owned(),
        items: vec![collapse.to_string()],
    }));
    let finished = Finished {
        ranked,
        agreement,
        doses,
        failed,
        warnings,
        weights: model.weights.clone(),
        report: out.join("report.html"),
    };
    let checked = Checked::new(&finished.ranked, config, plate.format())?;
    let material = Material {
        areas: &areas,
        plate,
        crops: &crops,
        model: &model,
        learned: &learned,
        config,
        finished: &finished,
        checked: &checked,
    };
    let report = material.report()?;
    model.save(&folder)?;
    let tables = [&learned, &morphology].map(|features| features.to_columns(Some(plate.map())));
    results::write(out, config, &finished, &checked, tables)?;
    report.write_svgs(&out.join("plots"))?;
    report.write(&finished.report)?;
    Ok(finished)
}
