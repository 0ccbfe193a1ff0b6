//! The main job on a sound plate.

use std::{collections::BTreeMap, fs, path::Path};

use spheroid::{core::Group, prepare::MORPHOLOGY, sim::read_truth};

use crate::support::{
    RESULTS, STACKS, WELLS, assert_same_file, copy_folder, copy_of_plate, edit_lines, example,
    files_of, finished, image, json, plate, plate_map, rank_plate, rank_plate_for, run, table,
    weights, wells,
};

#[test]
fn every_result_is_written_and_the_last_line_names_the_report() {
    let finished = finished();
    let report = finished.out.join("report.html");
    let (out, path) = (finished.out.display(), report.display());
    let expected = format!("results in {out}; report: {path}");
    assert_eq!(finished.run.last_line(), expected);
    for name in RESULTS {
        let size = fs::metadata(finished.out.join(name)).unwrap().len();
        assert!(size > 0, "{name}");
    }
    let page = fs::read_to_string(&report).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    for treatment in plate_map().treatments().keys() {
        assert!(page.contains(treatment.as_str()), "{treatment}");
    }
}

#[test]
fn the_ranking_lists_every_treatment_from_the_strongest_effect_on() {
    let out = &finished().out;
    let (header, rows) = table(&out.join("ranking.csv"));
    let columns = "Metadata_treatment,Metadata_group,rank,score,ci_low,ci_high,wells,rank_low,\
                   rank_high,tier,better_than_next,p_value,q_value";
    assert_eq!(header.join(","), columns);
    let number = |cell: &String| cell.parse::<f64>().unwrap();
    for (position, row) in rows.iter().enumerate() {
        assert_eq!(row[2], (position + 1).to_string());
        let [score, low, high] = [3, 4, 5].map(|column| number(&row[column]));
        assert!(low <= score && score <= high, "{row:?}");
        let [rank, low, high] = [2, 7, 8].map(|column| number(&row[column]));
        assert!(low <= rank && rank <= high, "{row:?}");
        assert!(row[1] == plate_map().treatments()[&row[0]].group.name());
    }
    assert!(
        rows.windows(2)
            .all(|pair| number(&pair[0][3]) >= number(&pair[1][3]))
    );
    assert_eq!(rows.len(), plate_map().treatments().len());
    assert_eq!(
        rows.iter().map(|row| number(&row[6])).sum::<f64>(),
        WELLS as f64
    );

    let json = json(&out.join("ranking.json"));
    assert_eq!(
        (&json["from_day"], &json["to_day"]),
        (&7.0.into(), &10.0.into())
    );
    for (row, object) in rows.iter().zip(json["ranking"].as_array().unwrap()) {
        assert_eq!(object["treatment"], *row[0]);
        for (name, cell) in [
            ("score", &row[3]),
            ("ci_low", &row[4]),
            ("ci_high", &row[5]),
        ] {
            let (value, cell) = (object[name].as_f64().unwrap(), number(cell));
            assert!((value - cell).abs() <= 1e-12 * cell, "{name} of {row:?}");
        }
    }
    for row in &rows {
        if row[1] == Group::Untreated.name() {
            assert_eq!((row[11].as_str(), row[12].as_str()), ("", ""));
        } else {
            let [p, q] = [11, 12].map(|column| number(&row[column]));
            assert!(0.0 < p && p <= q && q <= 1.0, "{row:?}");
        }
    }
    let sets = json["rank_sets"].as_array().unwrap();
    assert_eq!(sets.len(), rows.len());
    for (row, set) in rows.iter().zip(sets) {
        let [low, high] = ["low", "high"].map(|end| set[end].as_f64().unwrap());
        assert!(
            low <= number(&row[2]) && number(&row[2]) <= high,
            "{row:?}: {set}"
        );
    }
    assert_eq!(json["settings"]["pretrain"]["train"]["epochs"], 1);
    assert_eq!(json["wells"].as_array().unwrap().len(), WELLS);
}

#[test]
fn a_treatment_scores_the_median_of_its_wells() {
    let out = &finished().out;
    let mut by_treatment: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for row in table(&out.join("wells.csv")).1 {
        let score = row[4].parse().unwrap();
        by_treatment.entry(row[2].clone()).or_default().push(score);
    }
    for row in table(&out.join("ranking.csv")).1 {
        let mut scores = by_treatment[&row[0]].clone();
        scores.sort_by(f64::total_cmp);
        let (low, high) = (scores[(scores.len() - 1) / 2], scores[scores.len() / 2]);
        let score: f64 = row[3].parse().unwrap();
        assert!(
            (score - f64::sqrt(low * high)).abs() < 1e-12 * score,
            "{row:?}"
        );
    }
}

#[test]
fn tables_of_features_have_a_row_for_every_stack() {
    for (name, features) in [
        ("embeddings.csv", 256),
        ("morphology.csv", MORPHOLOGY.len()),
    ] {
        let (header, rows) = table(&finished().out.join(name));
        let metadata = ["Plate", "Well", "day", "treatment", "group"];
        assert_eq!(header[..5], metadata.map(|name| format!("Metadata_{name}")));
        assert_eq!((header.len(), rows.len()), (5 + features, STACKS), "{name}");
    }
}

#[test]
fn one_seed_gives_the_same_bytes_on_one_thread_and_on_two() {
    for threads in ["1", "2"] {
        let out = tempfile::tempdir().unwrap();
        let mut command = rank_plate(plate(), out.path());
        run(command.env("RAYON_NUM_THREADS", threads)).assert_success();
        for name in RESULTS {
            assert_same_file(&out.path().join(name), &finished().out.join(name));
        }
        assert!(weights(&out.path().join("model")) == weights(&finished().out.join("model")));
    }
}

#[test]
fn another_seed_gives_other_features() {
    let out = tempfile::tempdir().unwrap();
    run(rank_plate(plate(), out.path()).args(["--seed", "2"])).assert_success();
    let read = |folder: &Path| fs::read(folder.join("embeddings.csv")).unwrap();
    assert_ne!(read(out.path()), read(&finished().out));
}

#[test]
fn a_second_run_uses_the_crops_of_the_first() {
    let out = tempfile::tempdir().unwrap();
    copy_folder(&finished().out, out.path());
    let crops = out.path().join("crops/crops.bin");
    let before = fs::metadata(&crops).unwrap().modified().unwrap();
    run(&mut rank_plate(plate(), out.path())).assert_success();
    assert_eq!(fs::metadata(&crops).unwrap().modified().unwrap(), before);
    assert_same_file(
        &out.path().join("ranking.csv"),
        &finished().out.join("ranking.csv"),
    );
}

#[test]
fn crops_are_made_anew_when_an_image_changes() {
    let plate = copy_of_plate();
    let out = tempfile::tempdir().unwrap();
    let embeddings = || {
        // Untrained, so that the features of a stack depend on its own image alone.
        run(&mut rank_plate_for(0, plate.path(), out.path())).assert_success();
        table(&out.path().join("embeddings.csv")).1
    };
    let before = embeddings();
    let well = wells(Group::DrugScreened)[0];
    let [day_8, day_9] = [8, 9].map(|day| plate.path().join(image(well, day)));
    fs::copy(day_9, day_8).unwrap();
    let after = embeddings();
    let features = |rows: &[Vec<String>], day: &str| {
        let of_well = |row: &&Vec<String>| row[1] == well.to_string() && row[2] == day;
        rows.iter().find(of_well).unwrap()[5..].to_vec()
    };
    assert_eq!(features(&after, "8"), features(&before, "9"));
    let changed = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| before != after);
    assert_eq!(changed.count(), 1);
}

#[test]
fn crops_are_made_anew_when_the_table_says_another_day() {
    let plate = copy_of_plate();
    let out = tempfile::tempdir().unwrap();
    let last_day = || {
        run(&mut rank_plate_for(0, plate.path(), out.path())).assert_success();
        let (_, rows) = table(&out.path().join("embeddings.csv"));
        let days = rows.iter().map(|row| row[2].parse::<f64>().unwrap());
        days.fold(0.0, f64::max)
    };
    assert_eq!(last_day(), 10.0);
    edit_lines(&plate.path().join("images.csv"), |line| {
        let corrected = line.strip_suffix(",10").map(|start| format!("{start},14"));
        Some(corrected.unwrap_or_else(|| line.to_owned()))
    });
    assert_eq!(last_day(), 14.0);
}

#[test]
fn a_result_is_left_whole_when_a_later_run_fails() {
    let out = tempfile::tempdir().unwrap();
    copy_folder(&finished().out, out.path());
    let results = || {
        let mut files = files_of(out.path());
        files.retain(|path, _| !path.starts_with("crops"));
        files
    };
    let before = results();
    assert!(
        RESULTS
            .iter()
            .all(|name| before.contains_key(Path::new(name)))
    );

    let broken = copy_of_plate();
    fs::write(
        broken.path().join(image(wells(Group::Untreated)[0], 7)),
        "text",
    )
    .unwrap();
    run(&mut rank_plate(broken.path(), out.path())).assert_refusal(&["not a TIFF file"]);
    assert!(results() == before);
    run(rank_plate(plate(), out.path()).args(["--metric", "l3"]))
        .assert_refusal(&["no discrepancy `l3`"]);
    assert!(results() == before);
    run(rank_plate_for(3, plate(), out.path()).arg("--resume"))
        .assert_refusal(&["the checkpoint was made with other settings"]);
    assert!(results() == before);
}

#[test]
fn a_folder_for_results_that_is_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "mine").unwrap();
    run(&mut rank_plate(plate(), &file)).assert_refusal(&["file/crops"]);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[test]
fn a_simulated_plate_is_ranked_with_its_agreement_with_the_truth() {
    let folder = tempfile::tempdir().unwrap();
    let (data, out) = (folder.path().join("plate"), folder.path().join("out"));
    let simulate = || {
        let mut command = example("simulate_plate");
        command.args([
            "--rows",
            "64",
            "--columns",
            "64",
            "--planes",
            "2",
            "--seed",
            "3",
        ]);
        command.args([
            "--untreated",
            "6",
            "--single-dose",
            "2",
            "--drug-screened",
            "6",
        ]);
        let run = run(command.arg("--out").arg(&data));
        run.assert_success();
        assert_eq!(run.last_line(), format!("plate in {}", data.display()));
        fs::metadata(data.join("images.csv"))
            .unwrap()
            .modified()
            .unwrap()
    };
    // The same settings take the plate that lies there.
    assert_eq!(simulate(), simulate());

    let run = run(&mut rank_plate(&data, &out));
    run.assert_success();
    let truth = read_truth(&data.join("truth.csv")).unwrap();
    let pairs: Vec<(f64, f64)> = table(&out.join("ranking.csv"))
        .1
        .iter()
        .map(|row| (row[3].parse().unwrap(), truth[&row[0]]))
        .collect();
    let tau = kendall(&pairs);
    let expected = format!("Kendall's tau with the true efficacy: {tau:.3} (learned features");
    assert!(run.stdout.contains(&expected), "{expected} in {run:?}");
    let agreement = &json(&out.join("ranking.json"))["agreement_with_truth"];
    assert!((agreement["ranking"].as_f64().unwrap() - tau).abs() < 1e-12);
}

/// Of pairs without ties: concordant less discordant among all pairs of pairs.
fn kendall(pairs: &[(f64, f64)]) -> f64 {
    let mut sum = 0.0;
    for (i, a) in pairs.iter().enumerate() {
        for b in &pairs[..i] {
            let product = (a.0 - b.0) * (a.1 - b.1);
            assert_ne!(product, 0.0, "tied");
            sum += product.signum();
        }
    }
    sum / (pairs.len() * (pairs.len() - 1) / 2) as f64
}

#[test]
fn no_agreement_is_told_where_the_truth_is_not_known() {
    let plate = copy_of_plate();
    fs::remove_file(plate.path().join("truth.csv")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let run = run(&mut rank_plate(plate.path(), out.path()));
    run.assert_success();
    assert!(!run.stdout.contains("Kendall"), "{run:?}");
    assert!(json(&out.path().join("ranking.json"))["agreement_with_truth"].is_null());
    assert_same_file(
        &out.path().join("ranking.csv"),
        &finished().out.join("ranking.csv"),
    );
}
