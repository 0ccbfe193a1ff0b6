//! A report with every section and its plots as SVG files, from made-up data.
//!
//! ```text
//! cargo run -p spheroid-report --example sample_report -- FOLDER
//! ```
//!
//! Two plates of 96 wells: one that can carry a ranking and one that cannot. One treatment is named
//! like a script, which a browser must show and not run.

use std::{error::Error, path::PathBuf};

use ndarray::Array2;
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};
use spheroid_core::{Day, DrawKey, Group, PlateFormat, Warning, WellId};
use spheroid_report::{
    AuditStep, CombinationRow, Comparison, DoseResponse, DroppedWell, EmbeddingMap, LossPoint,
    MapPoint, PlateQualityRow, PositionRow, PredictorSkill, RankingRow, Report, Thumbnail,
    WellScore,
};

const SEED: u64 = 20_261_103;

/// Name, group, dose in µM and true effect of each treatment, strongest first.
const TREATMENTS: [(&str, Group, f64, f64); 12] = [
    ("paclitaxel + cisplatin", Group::DrugScreened, 0.1, 9.5),
    ("paclitaxel", Group::SingleDose, 0.1, 8.1),
    ("staurosporine 1 µM", Group::DrugScreened, 1.0, 7.9),
    ("doxorubicin", Group::SingleDose, 1.0, 6.2),
    ("<script>alert(1)</script>", Group::DrugScreened, 3.0, 5.9),
    (
        "gemcitabine + trametinib, low dose",
        Group::DrugScreened,
        0.03,
        4.6,
    ),
    ("trametinib", Group::DrugScreened, 0.3, 3.9),
    ("5-fluorouracil", Group::DrugScreened, 30.0, 3.6),
    ("olaparib", Group::DrugScreened, 10.0, 2.2),
    (
        "DMSO <0.1 %> & \"vehicle\"",
        Group::DrugScreened,
        100.0,
        1.2,
    ),
    ("erlotinib", Group::DrugScreened, 10.0, 1.1),
    ("untreated", Group::Untreated, 0.0, 1.0),
];

const PLATES: [&str; 2] = ["P1", "P2 / repeat"];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("name a folder")?;
    let folder = PathBuf::from(folder);
    let report = sample()?;
    report.write(&folder.join("report.html"))?;
    for path in report.write_svgs(&folder.join("svg"))? {
        println!("{}", path.display());
    }
    Ok(())
}

fn sample() -> Result<Report, Box<dyn Error>> {
    let mut noise = Noise(
        DrawKey {
            seed: SEED,
            epoch: 0,
            item: 0,
            view: 0,
        }
        .rng(),
    );
    let (wells, failed) = wells(&mut noise);
    let ranking = ranking(&wells);
    let text = |text: &str| text.to_owned();
    Ok(Report {
        verdict: vec![
            format!(
                "{} has the strongest effect: its wells end up {:.1} times as far from the \
                 prediction for untreated growth as a typical untreated well.",
                ranking[0].treatment, ranking[0].score
            ),
            text(
                "8 of 11 treatments differ from untreated wells at a false discovery rate of 5 %.",
            ),
        ],
        warnings: [
            Warning::about("well without an image on day 10", vec![text("P1:C07")]),
            Warning::about(
                "wells with one focal plane",
                (2..=11)
                    .map(|column| format!("P1:B{column:02}"))
                    .chain([text("P1:C02")])
                    .collect(),
            ),
        ]
        .into_iter()
        .flatten()
        .collect(),
        score_name: text("distance from untreated growth (typical untreated well = 1)"),
        interval_name: text("95 % interval"),
        area_name: text("area on day 10 (µm²)"),
        quality: quality(),
        position: positions(),
        embedding_map: Some(embedding_map(&wells, &mut noise)?),
        thumbnails: thumbnails(&wells)?,
        dose_responses: dose_responses(&mut noise),
        combinations: combinations(),
        training: training(&mut noise),
        predictors: [("persistence", 0.0), ("mean", -0.12), ("ridge", 0.18)]
            .map(|(name, skill)| PredictorSkill {
                name: text(name),
                skill,
            })
            .into(),
        comparisons: [
            ("Kendall's tau, method", 0.82),
            ("Kendall's tau, area alone", 0.42),
        ]
        .map(|(name, value)| Comparison {
            name: text(name),
            value,
        })
        .into(),
        audit: audit(&failed, wells.len()),
        settings: vec![
            (text("seed"), SEED.to_string()),
            (text("encoder.backbone"), text("resnet18")),
            (
                text("images"),
                text("/data/plates/2026-11-03/a-folder-with-a-rather-long-name/images.csv"),
            ),
        ],
        ranking,
        wells,
        failed,
        ..Report::new(
            "Drug screen of 3 November",
            PLATES.join(", "),
            PlateFormat::W96,
        )
    })
}

/// Normal deviates from one stream.
struct Noise<R>(R);

impl<R: Rng> Noise<R> {
    fn draw(&mut self, deviation: f64) -> f64 {
        let deviate: f64 = StandardNormal.sample(&mut self.0);
        deviation * deviate
    }
}

fn wells<R: Rng>(noise: &mut Noise<R>) -> (Vec<WellScore>, Vec<DroppedWell>) {
    let (mut wells, mut failed) = (Vec::new(), Vec::new());
    for (number, plate) in PLATES.into_iter().enumerate() {
        for (index, well) in PlateFormat::W96.inner_wells().enumerate() {
            if index % 29 == 28 {
                failed.push(DroppedWell {
                    plate: plate.into(),
                    well,
                    reason: ["no image on day 10", "no spheroid found"][(index / 29) % 2].into(),
                });
                continue;
            }
            let (treatment, group, _, effect) = TREATMENTS[(index * 5 + index / 12) % 12];
            // The second plate scatters so much that its effects drown.
            let spread = if number == 0 { 0.25 } else { 0.6 };
            let score = effect * noise.draw(spread).exp();
            let flags: &[&str] = match index % 17 {
                5 => &["fragmented"],
                11 if number == 1 => &["fragmented", "touches the border"],
                _ => &[],
            };
            wells.push(WellScore {
                plate: plate.into(),
                well,
                treatment: treatment.into(),
                group,
                score,
                area: (index % 23 != 7).then(|| 240_000.0 / (1.0 + 0.2 * score) + noise.draw(4e3)),
                p_value: (group != Group::Untreated).then(|| (-score / 1.5).exp().min(1.0)),
                flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            });
        }
    }
    (wells, failed)
}

fn ranking(wells: &[WellScore]) -> Vec<RankingRow> {
    let mut rows: Vec<RankingRow> = TREATMENTS
        .iter()
        .map(|&(treatment, group, dose, _)| {
            let mut scores: Vec<f64> = wells
                .iter()
                .filter(|well| well.treatment == treatment)
                .map(|well| well.score)
                .collect();
            scores.sort_by(f64::total_cmp);
            let score = scores[scores.len() / 2];
            let p = (-(score - 1.0).max(0.0) * 1.8).exp();
            RankingRow {
                rank: 0,
                treatment: treatment.into(),
                group,
                doses: if dose > 0.0 {
                    format!("{dose} µM")
                } else {
                    String::new()
                },
                score,
                interval: Some((scores[1], scores[scores.len() - 2])),
                rank_interval: None,
                wells: scores.len(),
                p_value: (group != Group::Untreated).then_some(p),
                q_value: (group != Group::Untreated).then_some((p * 1.6).min(1.0)),
                tier: None,
            }
        })
        .collect();
    rows.sort_by(|a, b| b.score.total_cmp(&a.score));
    let tiers = [1, 1, 1, 2, 2, 3, 3, 3, 4, 5, 5, 5];
    for (index, (row, tier)) in rows.iter_mut().zip(tiers).enumerate() {
        row.rank = index + 1;
        row.rank_interval = Some((index.max(1), (index + 2).min(TREATMENTS.len())));
        row.tier = Some(tier);
    }
    rows
}

fn quality() -> Vec<PlateQualityRow> {
    let row = |plate: &str, able, reason: &str, figures: [Option<f64>; 5]| PlateQualityRow {
        plate: plate.into(),
        able,
        reason: reason.into(),
        untreated: 5,
        reference: 10,
        figures: ["Z′", "robust Z′", "SSMD", "robust SSMD", "untreated CV"]
            .map(str::to_owned)
            .into_iter()
            .zip(figures)
            .collect(),
    };
    vec![
        row(
            PLATES[0],
            true,
            "Reference wells lie well above untreated ones (robust SSMD 4.1).",
            [Some(0.41), Some(0.52), Some(3.7), Some(4.1), Some(0.18)],
        ),
        row(
            PLATES[1],
            false,
            "Reference wells score no higher than untreated ones (p = 0.21).",
            [Some(-1.9), None, Some(0.4), Some(0.6), Some(0.61)],
        ),
    ]
}

fn positions() -> Vec<PositionRow> {
    [
        (0, "row", 0.08, 0.41),
        (0, "column", 0.11, 0.22),
        (0, "edge", 0.01, 0.56),
        (1, "row", 0.37, 0.0002),
        (1, "column", 0.16, 0.09),
        (1, "edge", 0.29, 0.004),
    ]
    .map(
        |(plate, position, share, p): (usize, _, _, _)| PositionRow {
            plate: PLATES[plate].into(),
            position: String::from(position),
            share,
            p_value: Some(p),
        },
    )
    .into()
}

fn embedding_map<R: Rng>(
    wells: &[WellScore],
    noise: &mut Noise<R>,
) -> Result<EmbeddingMap, Box<dyn Error>> {
    let mut points = Vec::new();
    for well in wells {
        let known = TREATMENTS.iter().find(|of| of.0 == well.treatment);
        let &(_, _, dose, effect) = known.ok_or("every well has a treatment")?;
        for (step, day) in [7.0, 8.5, 10.0].into_iter().enumerate() {
            let grown = 2.0 * step as f64;
            points.push(MapPoint {
                plate: well.plate.clone(),
                well: well.well,
                treatment: well.treatment.clone(),
                group: well.group,
                dose: (dose > 0.0).then_some(dose),
                day: Day::new(day)?,
                x: grown + 0.5 * noise.draw(0.8),
                y: -0.28 * effect * step as f64 + 0.5 * noise.draw(0.9),
            });
        }
    }
    Ok(EmbeddingMap {
        x_name: "principal component 1 (43 %)".into(),
        y_name: "component 2 (17 %)".into(),
        points,
    })
}

struct Drug {
    name: &'static str,
    unit: &'static str,
    ec50: f64,
    interval: Option<(Option<f64>, Option<f64>)>,
}

fn dose_responses<R: Rng>(noise: &mut Noise<R>) -> Vec<DoseResponse> {
    let cases = [
        Drug {
            name: "cisplatin",
            unit: "µM",
            ec50: 2.1,
            interval: Some((Some(1.2), Some(3.9))),
        },
        Drug {
            name: "paclitaxel",
            unit: "nM",
            ec50: 4.0,
            interval: Some((Some(1.1), None)),
        },
        Drug {
            name: TREATMENTS[4].0,
            unit: "µM",
            ec50: 30.0,
            interval: Some((None, None)),
        },
        Drug {
            name: "../x",
            unit: "µM",
            ec50: 0.6,
            interval: None,
        },
        Drug {
            name: "a/b",
            unit: "µM",
            ec50: 1.0,
            interval: Some((Some(0.5), Some(1.9))),
        },
    ];
    cases
        .into_iter()
        .enumerate()
        .map(
            |(
                index,
                Drug {
                    name,
                    unit,
                    ec50,
                    interval,
                },
            )| {
                let (slope, height) = (1.0 + 0.4 * index as f64, 8.5 - 1.2 * index as f64);
                let score = |dose: f64| 1.0 + height / (1.0 + (ec50 / dose).powf(slope));
                let doses = [0.1, 0.3, 1.0, 3.0, 10.0];
                let mut points = Vec::new();
                for dose in doses {
                    for _ in 0..3 {
                        points.push((dose, score(dose) + noise.draw(0.4)));
                    }
                }
                // Some drugs have wells at dose zero.
                if index % 2 == 0 {
                    points.extend((0..4).map(|_| (0.0, 1.0 + noise.draw(0.3))));
                }
                DoseResponse {
                    drug: name.into(),
                    unit: unit.into(),
                    points,
                    curve: (0..=60)
                        .map(|step| 0.1 * 100f64.powf(f64::from(step) / 60.0))
                        .map(|dose| (dose, score(dose)))
                        .collect(),
                    ec50: Some(ec50),
                    ec50_interval: interval,
                    notes: match interval {
                        Some((_, None)) => {
                            vec![
                                "The highest dose does not bound the EC50: test higher ones."
                                    .into(),
                            ]
                        }
                        _ => Vec::new(),
                    },
                    figures: [("GR50", 0.8 * ec50), ("GRmax", 0.11), ("Hill slope", slope)]
                        .map(|(name, value)| (name.to_owned(), value))
                        .into(),
                }
            },
        )
        .collect()
}

fn combinations() -> Vec<CombinationRow> {
    [
        ("paclitaxel + cisplatin", "Bliss", 1.3, Some((0.4, 2.2))),
        ("paclitaxel + cisplatin", "HSA", 2.0, Some((1.1, 2.9))),
        ("paclitaxel + cisplatin", "Loewe", 0.7, Some((-0.3, 1.6))),
        (
            "gemcitabine + trametinib, low dose",
            "Bliss",
            -0.6,
            Some((-1.5, 0.3)),
        ),
        ("gemcitabine + trametinib, low dose", "HSA", 0.1, None),
    ]
    .map(|(treatment, model, excess, interval)| CombinationRow {
        treatment: treatment.into(),
        model: String::from(model),
        excess,
        interval,
    })
    .into()
}

fn training<R: Rng>(noise: &mut Noise<R>) -> Vec<LossPoint> {
    (1..=40)
        .map(|epoch| {
            let fading = (-(epoch as f64) / 9.0).exp();
            LossPoint {
                epoch,
                loss: 1.4 + 2.6 * fading + noise.draw(0.03),
                signs: [
                    ("effective rank", 61.0 - 40.0 * fading + noise.draw(0.8)),
                    (
                        "standard deviation",
                        0.044 - 0.02 * fading + noise.draw(4e-4),
                    ),
                    ("uniformity", -3.4 + 2.2 * fading + noise.draw(0.03)),
                ]
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            }
        })
        .collect()
}

fn audit(failed: &[DroppedWell], ranked: usize) -> Vec<AuditStep> {
    let name = |well: &DroppedWell| format!("{}:{}", well.plate, well.well);
    let of = |reason: &str| -> Vec<String> {
        let wells = failed.iter().filter(|well| well.reason == reason);
        wells.map(name).collect()
    };
    let (no_image, no_spheroid) = (of("no image on day 10"), of("no spheroid found"));
    let step = |step: &str, kept, dropped| AuditStep {
        step: step.into(),
        kept,
        dropped,
    };
    vec![
        step("image files on disk", 2892, Vec::new()),
        step(
            "images that could be read",
            2880,
            (1..=12)
                .map(|plane| format!("P1/C07/day-10/plane-{plane:02}.tif"))
                .collect(),
        ),
        step(
            "wells of the plate map with images",
            ranked + failed.len(),
            Vec::new(),
        ),
        step(
            "wells with an image on day 10",
            ranked + no_spheroid.len(),
            no_image,
        ),
        step("wells with a spheroid", ranked, no_spheroid),
        step("ranked wells", ranked, Vec::new()),
    ]
}

/// One well a treatment of the first plate on three days.
fn thumbnails(wells: &[WellScore]) -> Result<Vec<Thumbnail>, Box<dyn Error>> {
    let mut thumbnails = Vec::new();
    for (treatment, group, _, effect) in TREATMENTS {
        let well: WellId = wells
            .iter()
            .find(|well| well.treatment == treatment)
            .ok_or("every treatment has wells")?
            .well;
        for (step, day) in [7.0, 8.5, 10.0].into_iter().enumerate() {
            thumbnails.push(Thumbnail {
                treatment: treatment.into(),
                group,
                plate: PLATES[0].into(),
                well,
                day: Day::new(day)?,
                pixels: spheroid(effect / 10.0, step as f64),
            });
        }
    }
    Ok(thumbnails)
}

/// A dark disc that grows by the day, less under effect, before a bright and grainy background.
fn spheroid(effect: f64, days: f64) -> Array2<f32> {
    let radius = 22.0 + days * (5.0 - 9.0 * effect);
    Array2::from_shape_fn((96, 96), |(row, column)| {
        let (y, x) = (row as f64 - 47.5, column as f64 - 47.5);
        let grain = ((row * 31 + column * 17 + row * column) % 13) as f64 / 13.0 - 0.5;
        let inside = 1.0 / (1.0 + ((x.hypot(y) - radius) / (1.0 + days * effect)).exp());
        let background = 1.0 - 0.0006 * x + 0.02 * grain;
        (background - inside * (0.45 + 0.1 * grain * (1.0 + 3.0 * effect * days))) as f32
    })
}
