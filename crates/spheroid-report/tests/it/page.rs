//! A realistic report and what must hold for its page.

use ndarray::Array2;
use spheroid_core::{Day, Group, PlateFormat, Warning, WellId};
use spheroid_report::{
    AuditStep, CombinationRow, Comparison, DoseResponse, DroppedWell, EmbeddingMap, LossPoint,
    MapPoint, PlateQualityRow, PositionRow, PredictorSkill, RankingRow, Report, Thumbnail,
    WellScore,
};

const NAMES: [&str; 15] = [
    "untreated",
    "cisplatin",
    "paclitaxel",
    "doxorubicin",
    "gemcitabine",
    "5-fluorouracil",
    "oxaliplatin",
    "etoposide",
    "trametinib",
    "everolimus",
    "olaparib",
    "erlotinib",
    "cisplatin + paclitaxel",
    "gemcitabine + cisplatin, low dose",
    "DMSO <0.1 %> & \"vehicle\"",
];

/// 15 treatments of 4 wells on the inner 60 wells of a plate, imaged on 4 days; every section.
pub(crate) fn realistic() -> Report {
    // Deterministic scatter between -1 and 1.
    let scatter = |index: usize| ((index * 7919 + 13) % 211) as f64 / 105.0 - 1.0;
    let group = |treatment: usize| match treatment {
        0 => Group::Untreated,
        1..=4 => Group::SingleDose,
        _ => Group::DrugScreened,
    };
    let effect = |treatment: usize| 6.0 + 2.9 * ((treatment * 11) % 15) as f64;
    let wells: Vec<WellScore> = PlateFormat::W96
        .inner_wells()
        .enumerate()
        .map(|(index, well)| {
            let treatment = (index * 4 + index / 15) % 15;
            WellScore {
                plate: "P1".into(),
                well,
                treatment: NAMES[treatment].into(),
                group: group(treatment),
                score: effect(treatment) + 3.0 * scatter(index),
                area: Some(1e4 + 900.0 * scatter(index)),
                p_value: (treatment != 0).then_some(0.03),
                flags: match index {
                    3 => vec!["fragmented".into(), "touches the border".into()],
                    _ => Vec::new(),
                },
            }
        })
        .collect();
    let mut ranking: Vec<RankingRow> = (0..NAMES.len())
        .map(|treatment| {
            let mut scores: Vec<f64> = wells
                .iter()
                .filter(|well| well.treatment == NAMES[treatment])
                .map(|well| well.score)
                .collect();
            scores.sort_by(f64::total_cmp);
            RankingRow {
                rank: 0,
                treatment: NAMES[treatment].into(),
                group: group(treatment),
                doses: if treatment == 0 {
                    String::new()
                } else {
                    format!("{treatment} µM")
                },
                score: scores.iter().sum::<f64>() / scores.len() as f64,
                interval: Some((scores[0], scores[scores.len() - 1])),
                rank_interval: None,
                wells: scores.len(),
                p_value: (treatment != 0).then_some(0.0123),
                q_value: (treatment != 0).then_some(0.0004),
                tier: None,
            }
        })
        .collect();
    ranking.sort_by(|a, b| b.score.total_cmp(&a.score));
    for (index, row) in ranking.iter_mut().enumerate() {
        row.rank = index + 1;
        row.tier = Some(1 + index / 4);
        row.rank_interval = Some((index.max(1), (index + 2).min(15)));
    }
    let thumbnails = (0..NAMES.len())
        .flat_map(|treatment| [7.0, 8.0, 9.0, 10.0].map(|day| (treatment, day)))
        .map(|(treatment, day)| Thumbnail {
            treatment: NAMES[treatment].into(),
            group: group(treatment),
            plate: "P1".into(),
            well: wells
                .iter()
                .find(|well| well.treatment == NAMES[treatment])
                .expect("every treatment has wells")
                .well,
            day: Day::new(day).expect("finite"),
            pixels: spheroid(effect(treatment) / 50.0, day - 7.0),
        })
        .collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Report {
        verdict: vec![
            format!(
                "{} shows the strongest effect of 14 treatments.",
                ranking[0].treatment
            ),
            "Twelve treatments lie outside the interval of untreated wells.".into(),
            "The order is stable: resampling wells moves no treatment by more than one rank."
                .into(),
        ],
        warnings: [
            Warning::about(
                "well left out, spheroid touches the border",
                vec!["C07".into()],
            ),
            Warning::about(
                "wells with one focal plane",
                (2..=15).map(|column| format!("B{column:02}")).collect(),
            ),
        ]
        .into_iter()
        .flatten()
        .collect(),
        score_name: "Mahalanobis distance to the predicted day 10".into(),
        interval_name: "95 % interval".into(),
        area_name: "area on day 10 (px²)".into(),
        quality: vec![PlateQualityRow {
            plate: "P1".into(),
            able: true,
            reason: "Reference wells lie apart from untreated ones.".into(),
            untreated: 4,
            reference: 16,
            figures: vec![("Z′".into(), Some(0.41)), ("robust SSMD".into(), None)],
        }],
        position: vec![PositionRow {
            plate: "P1".into(),
            position: "edge".into(),
            share: 0.03,
            p_value: Some(0.4),
        }],
        failed: vec![DroppedWell {
            plate: "P1".into(),
            well: "H12".parse().expect("a well"),
            reason: "no spheroid found".into(),
        }],
        dose_responses: ["cisplatin", "paclitaxel"]
            .map(|drug| DoseResponse {
                drug: drug.into(),
                unit: "µM".into(),
                points: vec![(0.0, 1.1), (0.1, 1.0), (1.0, 4.2), (10.0, 8.8)],
                curve: vec![(0.1, 1.0), (1.0, 4.5), (10.0, 9.0)],
                ec50: Some(1.0),
                ec50_interval: Some((Some(0.4), None)),
                notes: vec!["The interval is open above.".into()],
                figures: vec![("GR50".into(), 0.8)],
            })
            .into(),
        combinations: vec![CombinationRow {
            treatment: "cisplatin + paclitaxel".into(),
            model: "Bliss".into(),
            excess: 0.7,
            interval: Some((-0.1, 1.5)),
        }],
        embedding_map: Some(EmbeddingMap {
            x_name: "component 1".into(),
            y_name: "component 2".into(),
            points: wells
                .iter()
                .enumerate()
                .map(|(index, well)| MapPoint {
                    plate: well.plate.clone(),
                    well: well.well,
                    treatment: well.treatment.clone(),
                    group: well.group,
                    dose: (well.group != Group::Untreated).then_some(0.1 + index as f64),
                    day: Day::new(7.0 + (index % 2) as f64).expect("finite"),
                    x: scatter(index),
                    y: 2.0 * scatter(index + 50),
                })
                .collect(),
        }),
        audit: vec![AuditStep {
            step: "wells with a spheroid".into(),
            kept: 60,
            dropped: vec!["P1:H12".into()],
        }],
        ranking,
        wells,
        thumbnails,
        training: (0..40)
            .map(|epoch| LossPoint {
                epoch: epoch + 1,
                loss: 1.4 + 2.6 * (-(epoch as f64) / 9.0).exp() + 0.04 * scatter(epoch),
                signs: vec![
                    ("effective rank".into(), 60.0 + scatter(epoch)),
                    ("uniformity".into(), -3.0 + 0.1 * scatter(epoch)),
                ],
            })
            .collect(),
        predictors: [
            ("persistence", 0.0),
            ("mean", -0.12),
            ("ridge", 0.18),
            ("linear", 0.09),
        ]
        .map(|(name, skill)| PredictorSkill {
            name: name.into(),
            skill,
        })
        .into(),
        comparisons: [
            ("Kendall's tau, method", 0.82),
            ("Kendall's tau, area alone", 0.42),
        ]
        .map(|(name, value)| Comparison {
            name: name.into(),
            value,
        })
        .into(),
        settings: vec![
            pair("seed", "7"),
            pair("encoder.backbone", "resnet18"),
            pair("encoder.pool", "mean + standard deviation at every depth"),
            pair("train.epochs", "40"),
            pair("images", "/data/plates/2026-11-03/plate-one/images.csv"),
        ],
        ..Report::new("Drug screen of 3 November", "Plate P1", PlateFormat::W96)
    }
}

/// A dark disc on a bright, slightly uneven background; it grows by the day, less under effect.
fn spheroid(effect: f64, days: f64) -> Array2<f32> {
    const SIDE: usize = 96;
    let radius = 22.0 + days * (4.0 - 9.0 * effect);
    Array2::from_shape_fn((SIDE, SIDE), |(row, column)| {
        let (y, x) = (row as f64 - 47.5, column as f64 - 47.5);
        let grain = ((row * 31 + column * 17 + row * column) % 13) as f64 / 13.0 - 0.5;
        let inside = 1.0 / (1.0 + ((x.hypot(y) - radius) / (1.0 + days * effect)).exp());
        let background = 1.0 - 0.0006 * x + 0.02 * grain;
        (background - inside * (0.45 + 0.1 * grain * (1.0 + 3.0 * effect * days))) as f32
    })
}

/// Every tag of a page as written, without its angle brackets.
pub(crate) fn tags(html: &str) -> Vec<&str> {
    html.split('<')
        .skip(1)
        .map(|rest| rest.split_once('>').expect("a tag ends").0)
        .collect()
}

/// Names and values of a tag's attributes; fails unless each is `name="value"`.
fn attributes(tag: &str) -> Vec<(&str, &str)> {
    let mut rest = tag.split_once(' ').map_or("", |(_, attributes)| attributes);
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("<{tag}>"));
        let (value, after) = after.split_once('"').unwrap_or_else(|| panic!("<{tag}>"));
        assert!(
            name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'),
            "<{tag}>"
        );
        found.push((name, value));
        rest = after.trim_start();
    }
    found
}

#[test]
fn a_realistic_report_is_whole() {
    let report = realistic();
    assert_eq!((report.wells.len(), report.thumbnails.len()), (60, 60));
    let html = report.to_html().unwrap();
    assert!(html.len() < 1_200_000, "{} bytes", html.len());

    let tags = tags(&html);
    let count = |name: &str| {
        tags.iter()
            .filter(|tag| tag.split(' ').next() == Some(name))
            .count()
    };
    assert_eq!(
        count("svg"),
        1 + 4 + 2 + 1 + 3 + 3,
        "forest, plate by four measures, two drugs, combinations, map by three, loss and two signs"
    );
    assert_eq!(count("input"), 4 + 3);
    assert_eq!(count("img"), 60);
    assert_eq!(count("script"), 0);
    assert_eq!(count("caption"), count("table"));
    for text in NAMES {
        let escaped = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        let escaped = escaped.replace('"', "&quot;");
        for before in ["<th scope=\"row\">", " · "] {
            assert!(
                html.contains(&format!("{before}{escaped}")),
                "{before}{text}"
            );
        }
    }
    let sections = [
        "summary",
        "quality",
        "ranking",
        "plate",
        "doses",
        "combinations",
        "map",
        "images",
        "training",
        "methods",
        "audit",
        "settings",
    ]
    .map(|id| html.find(&format!("<section id=\"{id}\"")).expect(id));
    assert!(sections.is_sorted());
    for well in ["B02", "G11"] {
        assert!(html.contains(&format!("<title>{well} · ")));
    }
    for shown in [
        "✓ can carry a ranking",
        ">0.012</td>",
        ">&lt;0.001</td>",
        "Z′",
        "EC50 1.00 µM (0.400 to open)",
        "H12 · not ranked: no spheroid found",
        "flags: fragmented, touches the border",
        "above 0",
    ] {
        assert!(
            html.to_lowercase().contains(&shown.to_lowercase()),
            "{shown}"
        );
    }
    assert!(!html.contains("cannot carry a ranking"));
    let excluded: WellId = "A01".parse().unwrap();
    assert!(html.contains(&format!("<title>{excluded} · not scored</title>")));
}

#[test]
fn tags_are_balanced_and_attributes_well_formed() {
    const VOID: [&str; 4] = ["meta", "img", "br", "input"];
    let html = realistic().to_html().unwrap();
    let mut open = Vec::new();
    for tag in tags(&html) {
        let name = tag.split(' ').next().unwrap();
        if let Some(closed) = name.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed));
        } else if name != "!DOCTYPE" {
            for (attribute, value) in attributes(tag) {
                // The letters of an image's bytes spell anything.
                let number = !value.starts_with("data:");
                assert!(
                    !(number && (value.contains("NaN") || value.contains("inf"))),
                    "<{tag}>"
                );
                match attribute {
                    "x" | "y" | "x1" | "x2" | "y1" | "y2" | "cx" | "cy" | "r" | "width"
                    | "height" => {
                        assert!(value.parse::<f64>().unwrap().is_finite(), "<{tag}>");
                    }
                    "viewBox" => {
                        assert!(
                            value.split(' ').all(|n| n.parse::<f64>().is_ok()),
                            "<{tag}>"
                        );
                    }
                    _ => {}
                }
            }
            if name == "svg" {
                let found = attributes(tag);
                assert!(found.contains(&("role", "img")));
                assert!(
                    found
                        .iter()
                        .any(|(name, value)| *name == "aria-label" && value.len() > 20)
                );
            }
            if !VOID.contains(&name) {
                open.push(name);
            }
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn nothing_is_fetched() {
    let html = realistic().to_html().unwrap();
    assert!(html.contains("default-src 'none'"));
    for tag in tags(&html) {
        if tag.starts_with('!') || tag.starts_with('/') {
            continue;
        }
        for (attribute, value) in attributes(tag) {
            match attribute {
                "src" => assert!(value.starts_with("data:image/png;base64,"), "<{tag}>"),
                "for" => assert!(html.contains(&format!("id=\"{value}\"")), "{value}"),
                "href" => {
                    let target = value.strip_prefix('#').unwrap();
                    assert!(html.contains(&format!("id=\"{target}\"")), "{target}");
                }
                _ => {}
            }
        }
    }
    let style = &html[html.find("<style>").unwrap()..html.find("</style>").unwrap()];
    assert!(!style.contains("url(") && !style.contains("@import"));
}

pub(crate) const ATTACK: &str = "\"><script>alert(1)</script><img src=x onerror='a'>";

/// The realistic report with an attack in every text.
pub(crate) fn attacked() -> Report {
    let mut report = realistic();
    report.title = ATTACK.into();
    report.plate = ATTACK.into();
    report.score_name = ATTACK.into();
    report.interval_name = ATTACK.into();
    report.verdict.push(ATTACK.into());
    report.warnings[0].what = ATTACK.into();
    report.warnings[1].items[0] = ATTACK.into();
    report.ranking[3].treatment = ATTACK.into();
    report.ranking[3].doses = ATTACK.into();
    report.wells[0].treatment = ATTACK.into();
    report.wells[1].plate = ATTACK.into();
    report.thumbnails[0].treatment = ATTACK.into();
    report.thumbnails[0].plate = ATTACK.into();
    report.predictors[0].name = ATTACK.into();
    report.comparisons[0].name = ATTACK.into();
    report.settings.push((ATTACK.into(), ATTACK.into()));
    report.area_name = ATTACK.into();
    report.quality[0] = PlateQualityRow {
        plate: ATTACK.into(),
        able: false,
        reason: ATTACK.into(),
        figures: vec![(ATTACK.into(), None)],
        ..report.quality[0].clone()
    };
    report.position[0].plate = ATTACK.into();
    report.position[0].position = ATTACK.into();
    report.wells[2].flags = vec![ATTACK.into()];
    report.failed[0].plate = ATTACK.into();
    report.failed[0].reason = ATTACK.into();
    let response = &mut report.dose_responses[0];
    response.drug = ATTACK.into();
    response.unit = ATTACK.into();
    response.notes[0] = ATTACK.into();
    response.figures[0].0 = ATTACK.into();
    report.combinations[0].treatment = ATTACK.into();
    report.combinations[0].model = ATTACK.into();
    if let Some(map) = &mut report.embedding_map {
        map.x_name = ATTACK.into();
        map.y_name = ATTACK.into();
        map.points[0].plate = ATTACK.into();
        map.points[0].treatment = ATTACK.into();
    }
    report.training[0].signs[0].0 = ATTACK.into();
    report.audit[0].step = ATTACK.into();
    report.audit[0].dropped[0] = ATTACK.into();
    report
}

#[test]
fn text_is_shown_and_never_run() {
    let report = attacked();
    let html = report.to_html().unwrap();
    assert!(!html.contains("<script") && !html.contains("<img src=x"));
    assert!(
        html.matches("&lt;script&gt;alert(1)&lt;/script&gt;")
            .count()
            >= 40
    );
    for tag in tags(&html).iter().filter(|tag| !tag.starts_with('!')) {
        assert!(
            attributes(tag)
                .iter()
                .all(|(name, _)| !name.starts_with("on")),
            "<{tag}>"
        );
    }
}

#[test]
fn parts_without_data_are_left_out() {
    let full = realistic();
    let bare = Report {
        ranking: full.ranking,
        ..Report::new("t", "p", PlateFormat::W96)
    };
    let html = bare.to_html().unwrap();
    assert_eq!(html.matches("<section").count(), 2, "summary and ranking");
    assert_eq!(html.matches("<svg").count(), 1);
    assert!(html.contains("No warnings."));
}

#[test]
fn plates_share_one_scale() {
    let mut report = realistic();
    for well in &mut report.wells[30..] {
        well.plate = "P2".into();
    }
    let html = report.to_html().unwrap();
    assert_eq!(html.matches("<svg class=\"plate\"").count(), 2 * 4);
    assert!(html.contains("one scale for all plates"));
    // Only one well has the lowest and one the highest colour of scores.
    let from = html.find("<h4>Score</h4>").unwrap();
    let scores = &html[from..html.find("<h4>Rank</h4>").unwrap()];
    for colour in ["#440154", "#fde725"] {
        assert_eq!(
            scores
                .matches(&format!("\" fill=\"{colour}\"></circle>"))
                .count(),
            1
        );
    }
}

#[test]
fn a_plate_that_cannot_rank_stands_above_all_else() {
    let mut report = realistic();
    report.quality[0].able = false;
    report.quality[0].reason = "Too few untreated wells.".into();
    let html = report.to_html().unwrap();
    let banner = html
        .find("✕ Plate P1 cannot carry a ranking.</strong> Too few untreated wells.")
        .expect("the banner");
    assert!(banner < html.find("<h1>").unwrap());
    assert!(html.contains("<b>✕ cannot carry a ranking</b>"));
}

#[test]
fn equal_reports_are_equal_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out/report.html");
    realistic().write(&path).unwrap();
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(written, realistic().to_html().unwrap());
}
