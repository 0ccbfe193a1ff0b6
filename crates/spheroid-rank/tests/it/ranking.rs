use proptest::prelude::*;
use spheroid_core::{Group, Treatment, WellId};
use spheroid_rank::{RankError, RankedTreatment, Ranker, Ranking, RankingConfig, WellScore};

fn well(index: usize, treatment: &str, score: f64) -> WellScore {
    let group = if treatment == "control" {
        Group::Untreated
    } else {
        Group::DrugScreened
    };
    WellScore {
        plate: "P1".into(),
        well: WellId::new(index / 12, index % 12).unwrap(),
        treatment: Treatment {
            name: treatment.into(),
            group,
            doses: vec![],
        },
        score,
    }
}

fn wells(scores: &[(&str, f64)]) -> Vec<WellScore> {
    scores
        .iter()
        .enumerate()
        .map(|(i, (name, score))| well(i, name, *score))
        .collect()
}

fn ranker() -> Ranker {
    RankingConfig {
        draws: 200,
        ..Default::default()
    }
    .build()
    .unwrap()
}

fn rank(scores: &[(&str, f64)]) -> Ranking {
    ranker().rank(&wells(scores)).unwrap().0
}

const PLATE: [(&str, f64); 9] = [
    ("control", 1.0),
    ("weak", 2.0),
    ("strong", 9.0),
    ("control", 1.5),
    ("weak", 4.0),
    ("strong", 7.0),
    ("control", 0.5),
    ("weak", 3.0),
    ("strong", 8.0),
];

#[test]
fn treatments_stand_by_falling_median() {
    let ranking = rank(&PLATE);
    let summary: Vec<_> = ranking
        .rows
        .iter()
        .map(|r| (r.rank, r.treatment.as_str(), r.score, r.wells))
        .collect();
    assert_eq!(
        summary,
        [
            (1, "strong", 8.0, 3),
            (2, "weak", 3.0, 3),
            (3, "control", 1.0, 3)
        ]
    );
    assert_eq!(ranking.rows[2].group, Group::Untreated);
    // With three wells the interval is their range (see the exact distribution of the resamples).
    assert_eq!(
        (ranking.rows[0].ci_low, ranking.rows[0].ci_high),
        (Some(7.0), Some(9.0))
    );
}

#[test]
fn ties_share_the_smaller_rank() {
    let ranking = rank(&[
        ("d", 1.0),
        ("c", 5.0),
        ("b", 5.0),
        ("a", 9.0),
        ("e", 0.0),
        ("f", -0.0),
    ]);
    let ranks: Vec<_> = ranking
        .rows
        .iter()
        .map(|r| (r.rank, r.treatment.as_str()))
        .collect();
    assert_eq!(
        ranks,
        [(1, "a"), (2, "b"), (2, "c"), (4, "d"), (5, "e"), (5, "f")]
    );
}

#[test]
fn a_single_well_has_no_interval_and_is_named() {
    let (ranking, warnings) = ranker()
        .rank(&wells(&[("a", 1.0), ("b", 2.0), ("b", 3.0)]))
        .unwrap();
    assert!(ranking.rows[0].ci_low.is_some());
    assert_eq!(
        (ranking.rows[1].ci_low, ranking.rows[1].ci_high),
        (None, None)
    );
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].items, ["a"]);
}

#[test]
fn equal_scores_have_equal_intervals() {
    let scores = [0.31, 0.12, 0.77, 0.45, 0.98, 0.60];
    let plate: Vec<_> = ["a", "b"]
        .iter()
        .flat_map(|t| scores.map(|score| (*t, score)))
        .collect();
    let rows = rank(&plate).rows;
    assert_eq!(
        (rows[0].ci_low, rows[0].ci_high),
        (rows[1].ci_low, rows[1].ci_high)
    );
    assert!(rows[0].ci_low < rows[0].ci_high);
}

#[test]
fn faults_are_named() {
    let rank = |scores: &[WellScore]| ranker().rank(scores).unwrap_err();
    assert!(matches!(rank(&[]), RankError::NoWells));
    for bad in [f64::NAN, f64::INFINITY] {
        assert_eq!(
            rank(&wells(&[("a", 1.0), ("a", bad)])).to_string(),
            format!("plate P1, well A02: score is {bad}, but it must be finite")
        );
    }
    let twice = [well(3, "a", 1.0), well(3, "b", 2.0)];
    assert!(matches!(rank(&twice), RankError::DuplicateWell { well, .. } if well == "A04"));
    let mut conflict = wells(&[("a", 1.0), ("a", 2.0)]);
    conflict[1].treatment.group = Group::SingleDose;
    assert!(matches!(
        rank(&conflict),
        RankError::TreatmentConflict { treatment, well, .. } if treatment == "a" && well == "A02"
    ));
}

#[test]
fn settings_outside_their_range_are_refused() {
    for draws in [0, 99] {
        let config = RankingConfig {
            draws,
            ..Default::default()
        };
        assert_eq!(config.build().unwrap_err().param, "draws");
    }
    for confidence in [0.0, 1.0, -0.5, f64::NAN] {
        let config = RankingConfig {
            confidence,
            ..Default::default()
        };
        assert_eq!(config.build().unwrap_err().param, "confidence");
    }
}

#[test]
fn csv_has_the_documented_columns_and_reads_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ranking.csv");
    let ranking = rank(&[("b, \"quoted\"", 0.1 + 0.2), ("a", 1.0), ("a", 2.0)]);
    ranking.write_csv(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "rank,treatment,group,score,ci_low,ci_high,wells");
    assert_eq!(lines[1], "1,a,drug_screened,1.5,1.0,2.0,2");
    assert_eq!(
        lines[2],
        "2,\"b, \"\"quoted\"\"\",drug_screened,0.30000000000000004,,,1"
    );
    let rows: Vec<RankedTreatment> = csv::Reader::from_path(&path)
        .unwrap()
        .deserialize()
        .map(Result::unwrap)
        .collect();
    assert_eq!(rows, ranking.rows);
}

#[test]
fn json_reads_back() {
    let ranking = rank(&PLATE);
    let text = serde_json::to_string(&ranking).unwrap();
    assert_eq!(serde_json::from_str::<Ranking>(&text).unwrap(), ranking);
}

#[test]
fn a_table_that_cannot_be_written_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    assert!(matches!(
        rank(&PLATE).write_csv(&blocked.join("ranking.csv")),
        Err(RankError::Core(_))
    ));
}

fn plates() -> impl Strategy<Value = Vec<WellScore>> {
    prop::collection::vec(("[a-e]", -3i8..9), 1..30).prop_map(|scores| {
        let named = scores
            .iter()
            .map(|(name, score)| (name.as_str(), f64::from(*score) / 4.0));
        wells(&named.collect::<Vec<_>>())
    })
}

proptest! {
    #[test]
    fn the_order_of_wells_changes_nothing(
        (plate, shuffled) in plates().prop_flat_map(|p| (Just(p.clone()), Just(p).prop_shuffle())),
    ) {
        prop_assert_eq!(ranker().rank(&plate).unwrap(), ranker().rank(&shuffled).unwrap());
    }

    #[test]
    fn intervals_hold_the_score_and_lie_within_the_wells(plate in plates()) {
        let (ranking, _) = ranker().rank(&plate).unwrap();
        for row in &ranking.rows {
            let scores = || plate.iter().filter(|w| w.treatment.name == row.treatment).map(|w| w.score);
            prop_assert_eq!(row.wells, scores().count());
            if let (Some(low), Some(high)) = (row.ci_low, row.ci_high) {
                prop_assert!(low <= row.score && row.score <= high);
                prop_assert!(scores().any(|s| s <= low) && scores().any(|s| s >= high));
            }
            let stronger = ranking.rows.iter().filter(|other| other.score > row.score).count();
            prop_assert_eq!(row.rank, stronger + 1);
        }
    }

    #[test]
    fn other_treatments_do_not_change_an_interval(plate in plates(), extra in 0.0..5.0) {
        let (before, _) = ranker().rank(&plate).unwrap();
        let mut more = plate;
        more.push(well(95, "z", extra));
        let (after, _) = ranker().rank(&more).unwrap();
        for row in &before.rows {
            let same = after.rows.iter().find(|other| other.treatment == row.treatment).unwrap();
            prop_assert_eq!((row.ci_low, row.ci_high), (same.ci_low, same.ci_high));
        }
    }
}
