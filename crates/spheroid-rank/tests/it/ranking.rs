use proptest::prelude::*;
use spheroid_core::{Group, Treatment, WellId};
use spheroid_rank::{
    Aggregate, RankCoverage, RankError, RankedTreatment, Ranker, Ranking, RankingConfig, Scale,
    WellScore, benjamini_hochberg, permutation_test,
};

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
        scale: Scale::Linear,
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
    let strong = &ranking.rows[0];
    assert!(strong.ci_low < Some(8.0) && strong.ci_high > Some(8.0));
    assert_eq!((strong.rank_low, strong.rank_high), (Some(1), Some(1)));
    assert_eq!(
        (strong.tier, ranking.rows[2].better_than_next),
        (Some(1), None)
    );
    assert!(strong.better_than_next > Some(0.99));
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
fn a_single_well_borrows_the_scatter_of_the_others_and_is_named() {
    let (ranking, warnings) = ranker()
        .rank(&wells(&[("a", 1.0), ("b", 2.0), ("b", 3.0)]))
        .unwrap();
    let width = |row: &RankedTreatment| row.ci_high.unwrap() - row.ci_low.unwrap();
    assert!(width(&ranking.rows[1]) > width(&ranking.rows[0]));
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].items, ["a"]);
}

#[test]
fn single_wells_alone_have_no_interval() {
    let (ranking, warnings) = ranker().rank(&wells(&[("a", 1.0), ("b", 2.0)])).unwrap();
    for row in &ranking.rows {
        assert_eq!((row.ci_low, row.rank_low, row.tier), (None, None, None));
    }
    assert_eq!(
        (ranking.resolution, ranking.probability_better("a", "b")),
        (None, None)
    );
    assert_eq!(warnings[0].items, ["b", "a"]);
    assert!(warnings[0].what.contains("no interval"));
}

#[test]
fn probabilities_order_pairs_by_name() {
    let ranking = rank(&PLATE);
    let better = |a, b| ranking.probability_better(a, b);
    assert!(better("strong", "control") > Some(0.99));
    assert_eq!(
        better("control", "strong"),
        better("strong", "control").map(|p| 1.0 - p)
    );
    assert_eq!(better("weak", "weak"), Some(0.5));
    assert_eq!(better("weak", "nothing"), None);
    assert_eq!(ranking.rows[0].better_than_next, better("strong", "weak"));
}

#[test]
fn a_tier_ends_where_its_leader_is_better_for_sure() {
    let ranking = rank(&[
        ("a", 10.0),
        ("a", 10.4),
        ("a", 10.8),
        ("b", 10.1),
        ("b", 10.3),
        ("b", 10.5),
        ("c", 5.1),
        ("c", 5.3),
        ("c", 5.6),
        ("d", 1.0),
        ("d", 1.2),
        ("d", 1.6),
    ]);
    let tiers: Vec<_> = ranking.rows.iter().map(|row| row.tier.unwrap()).collect();
    assert_eq!(tiers, [1, 1, 2, 3]);
}

#[test]
fn ratios_are_ranked_on_the_logarithmic_scale() {
    let plate = PLATE.map(|(name, score)| (name, f64::exp(score)));
    let log = RankingConfig {
        draws: 200,
        ..Default::default()
    }
    .build()
    .unwrap();
    let (by_log, _) = log.rank(&wells(&plate)).unwrap();
    for (a, b) in by_log.rows.iter().zip(rank(&PLATE).rows) {
        assert_eq!(
            (a.rank, &a.treatment, a.rank_low, a.rank_high),
            (b.rank, &b.treatment, b.rank_low, b.rank_high)
        );
        assert!((a.score.ln() - b.score).abs() < 1e-12);
    }
    let error = log.rank(&wells(&[("a", 1.0), ("a", 0.0)])).unwrap_err();
    assert!(
        matches!(&error, RankError::ScoreNotPositive { well, .. } if well == "A02"),
        "{error}"
    );
    assert!(error.to_string().contains("linear"));
}

#[test]
fn more_wells_resolve_smaller_differences() {
    let wells = wells(&PLATE);
    let few = ranker().resolution(&wells, 3).unwrap().unwrap();
    let many = ranker().resolution(&wells, 12).unwrap().unwrap();
    assert!(many.difference < few.difference, "{many:?} {few:?}");
    assert_eq!(few.smallest_p, Some(0.25));
    assert_eq!(rank(&PLATE).resolution, Some(few));
    let text = few.to_string();
    assert!(
        text.starts_with("Two treatments of 3 wells each must differ by "),
        "{text}"
    );
    assert!(text.ends_with("conformal p-value below 0.250."), "{text}");
    assert!(matches!(
        ranker().resolution(&wells, 0),
        Err(RankError::Param(_))
    ));
}

#[test]
fn names_of_treatments_change_no_figure() {
    let renamed = PLATE.map(|(name, score)| match name {
        "weak" => ("zzz", score),
        "strong" => ("aaa", score),
        _ => (name, score),
    });
    let figures = |ranking: Ranking| {
        let rows = ranking.rows.into_iter();
        rows.map(|row| RankedTreatment {
            treatment: String::new(),
            ..row
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(figures(rank(&PLATE)), figures(rank(&renamed)));
}

#[test]
fn the_number_of_threads_changes_no_figure() {
    let ranked = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let ranking = rank(&PLATE);
            let sets = ranking.rank_sets(RankCoverage::Simultaneous);
            (ranking, sets)
        })
    };
    assert_eq!(ranked(1), ranked(3));
}

#[test]
fn sets_of_ranks_are_absent_without_draws() {
    let text = serde_json::to_string(&rank(&PLATE)).unwrap();
    let back: Ranking = serde_json::from_str(&text).unwrap();
    assert_eq!(back.rank_sets(RankCoverage::Marginal), None);
}

#[test]
fn treatments_without_any_scatter_have_one_rank_each() {
    let ranking = rank(&[
        ("a", 3.0),
        ("a", 3.0),
        ("b", 2.0),
        ("b", 2.0),
        ("c", 2.0),
        ("c", 2.0),
    ]);
    let sets = ranking.rank_sets(RankCoverage::Simultaneous).unwrap();
    let sets: Vec<_> = sets.iter().map(|set| (set.low, set.high)).collect();
    assert_eq!(sets, [(1, 1), (2, 3), (2, 3)]);
    assert_eq!(
        (ranking.rows[0].ci_low, ranking.rows[0].ci_high),
        (Some(3.0), Some(3.0))
    );
}

#[test]
fn what_a_plate_adds_does_not_widen_intervals() {
    let on_two = |shift: f64| {
        let mut plates = wells(&PLATE);
        let second = plates.clone().into_iter().map(|mut well| {
            well.plate = "P2".into();
            // Other wells than those of the first plate.
            well.score += shift
                + if well.well.column() % 2 == 0 {
                    0.2
                } else {
                    -0.2
                };
            well
        });
        plates.extend(second.collect::<Vec<_>>());
        ranker().resolution(&plates, 3).unwrap().unwrap().difference
    };
    // The draws differ, since rounding makes other residuals.
    let (level, shifted) = (on_two(0.0), on_two(100.0));
    assert!((level / shifted - 1.0).abs() < 0.1, "{level} {shifted}");
}

#[test]
fn plates_at_another_level_are_named() {
    let warned = |shift: f64| {
        let mut plates = wells(&PLATE);
        for (index, (name, score)) in PLATE.iter().enumerate() {
            let mut other = well(index, name, score + shift);
            other.plate = "P2".into();
            plates.push(other);
        }
        ranker().rank(&plates).unwrap().1
    };
    assert!(warned(0.1).is_empty());
    let warnings = warned(5.0);
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].items, ["P1", "P2"]);
    assert!(warnings[0].what.contains("standardise"));
}

#[test]
fn every_aggregate_ranks() {
    for aggregate in [
        Aggregate::TrimmedMean { share: 0.2 },
        Aggregate::HodgesLehmann,
    ] {
        let config = RankingConfig {
            aggregate,
            draws: 200,
            ..Default::default()
        };
        let (ranking, _) = config.build().unwrap().rank(&wells(&PLATE)).unwrap();
        assert_eq!(ranking.rows[0].treatment, "strong");
        assert!(
            ranking.rows.iter().all(|row| row.ci_low < row.ci_high),
            "{aggregate:?}"
        );
    }
    let aggregate = Aggregate::TrimmedMean { share: 0.5 };
    let config = RankingConfig {
        aggregate,
        ..Default::default()
    };
    assert_eq!(config.build().unwrap_err().param, "share");
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
    ranking.write(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[0],
        "Metadata_treatment,Metadata_group,rank,score,ci_low,ci_high,wells,rank_low,rank_high,tier,\
         better_than_next,p_value,q_value"
    );
    assert!(
        lines[1].starts_with("a,drug_screened,1,1.5,"),
        "{}",
        lines[1]
    );
    assert!(lines[2].starts_with("\"b, \"\"quoted\"\"\",drug_screened,2,0.30000000000000004,"));
    assert!(lines[2].ends_with(",,,"));
    let fields = text.replace("Metadata_", "");
    let mut reader = csv::Reader::from_reader(fields.as_bytes());
    let rows: Vec<RankedTreatment> = reader.deserialize().map(Result::unwrap).collect();
    assert_eq!(rows, ranking.rows);
}

#[test]
fn treatments_are_tested_against_untreated_wells() {
    let ranking = rank(&PLATE);
    let scores = |name: &str| -> Vec<f64> {
        let wells = PLATE.iter().filter(|well| well.0 == name);
        wells.map(|well| well.1).collect()
    };
    let untreated: Vec<f64> = scores("control").into_iter().map(f64::exp).collect();
    let mut p_values = Vec::new();
    for row in &ranking.rows {
        if row.group == Group::Untreated {
            assert_eq!((row.p_value, row.q_value), (None, None));
        } else {
            // The scale is linear, that of the test logarithmic.
            let treated: Vec<f64> = scores(&row.treatment).into_iter().map(f64::exp).collect();
            let expected = permutation_test(&treated, &untreated).unwrap();
            assert_eq!(row.p_value, Some(expected.p_value), "{}", row.treatment);
            p_values.push(expected.p_value);
        }
    }
    let q_values: Vec<f64> = ranking.rows.iter().filter_map(|row| row.q_value).collect();
    assert_eq!(q_values, benjamini_hochberg(&p_values).unwrap());
    // Nothing to test against.
    let alone = rank(&[("a", 1.0), ("a", 2.0), ("b", 3.0)]);
    assert!(alone.rows.iter().all(|row| row.p_value.is_none()));
}

#[test]
fn json_reads_back() {
    let ranking = rank(&PLATE);
    let text = serde_json::to_string(&ranking).unwrap();
    let back: Ranking = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&back.rows, back.resolution),
        (&ranking.rows, ranking.resolution)
    );
    // The draws are not stored.
    assert_eq!(back.probability_better("strong", "weak"), None);
}

#[test]
fn a_table_that_cannot_be_written_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    assert!(matches!(
        rank(&PLATE).write(&blocked.join("ranking.csv")),
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
    fn intervals_hold_the_score_and_the_rank(plate in plates()) {
        let (ranking, _) = ranker().rank(&plate).unwrap();
        for row in &ranking.rows {
            let scores = || plate.iter().filter(|w| w.treatment.name == row.treatment).map(|w| w.score);
            prop_assert_eq!(row.wells, scores().count());
            if let (Some(low), Some(high)) = (row.ci_low, row.ci_high) {
                prop_assert!(low <= row.score && row.score <= high);
                let (first, last) = (row.rank_low.unwrap(), row.rank_high.unwrap());
                prop_assert!(first <= row.rank && row.rank <= last && last <= ranking.rows.len());
            }
            let stronger = ranking.rows.iter().filter(|other| other.score > row.score).count();
            prop_assert_eq!(row.rank, stronger + 1);
        }
    }
}
