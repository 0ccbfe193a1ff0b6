//! A run that is killed and goes on later.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use crate::support::{
    assert_no_result, assert_same_file, copy_of_plate, edit_lines, example, json, plate,
    rank_plate_for, run, table, weights,
};

const EPOCHS: usize = 8;

#[test]
fn a_killed_run_goes_on_and_ends_like_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    run(&mut rank_plate_for(EPOCHS, plate(), &whole)).assert_success();

    let mut command = rank_plate_for(EPOCHS, plate(), &killed);
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    wait_for_checkpoint(&killed);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_no_result(&killed);

    // A mark in the stored loss shows that the run goes on from there instead of starting anew.
    let state = newest_checkpoint(&killed).unwrap().join("state.json");
    let mut stored = json(&state);
    assert!(stored["epochs"].as_array().unwrap().len() < EPOCHS);
    stored["epochs"][0]["loss"] = 1234.5.into();
    fs::write(&state, stored.to_string()).unwrap();

    let other = run(rank_plate_for(EPOCHS + 1, plate(), &killed).arg("--resume"));
    other.assert_refusal(&["state.json", "the checkpoint was made with other settings"]);
    assert_no_result(&killed);

    run(rank_plate_for(EPOCHS, plate(), &killed).arg("--resume")).assert_success();
    for name in ["ranking.csv", "embeddings.csv", "wells.csv"] {
        assert_same_file(&killed.join(name), &whole.join(name));
    }
    assert!(weights(&killed.join("model")) == weights(&whole.join("model")));
    let [killed, whole] = [killed, whole].map(|out| losses(&out));
    assert_eq!((killed.len(), killed[0]), (EPOCHS, 1234.5));
    for (killed, whole) in killed.iter().zip(&whole).skip(1) {
        assert!((killed - whole).abs() <= 1e-12 * whole, "{killed}, {whole}");
    }
}

#[test]
fn a_run_that_is_killed_at_any_moment_ends_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    // A target that follows, a centre and two kinds of batch norm have to come back too.
    let method = ["--method", "dino", "--positives", "other_day"];
    run(rank_plate_for(EPOCHS, plate(), &whole).args(method)).assert_success();
    let start = Instant::now();
    for moment in 0.. {
        let mut command = rank_plate_for(EPOCHS, plate(), &killed);
        command.args(method).arg("--resume");
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        // Moments that fall into preparing, a step, a checkpoint, and at last behind the end.
        std::thread::sleep(Duration::from_millis(40 + 97 * moment));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(start.elapsed() < Duration::from_secs(120), "never finished");
    }
    for name in ["ranking.csv", "embeddings.csv", "model/training.csv"] {
        assert_same_file(&killed.join(name), &whole.join(name));
    }
    assert!(weights(&killed.join("model")) == weights(&whole.join("model")));
}

#[test]
fn a_changed_plate_map_makes_another_run_of_a_method_that_learns_from_it() {
    for (method, learns) in [("supcon", true), ("simclr", false)] {
        let plate = copy_of_plate();
        let out = plate.path().join("model");
        let pretrain = || {
            let mut pretrain = example("pretrain");
            pretrain.args(["--epochs", "1", "--method", method]);
            pretrain.arg("--data").arg(plate.path());
            pretrain.arg("--out").arg(&out);
            pretrain
        };
        run(&mut pretrain()).assert_success();
        edit_lines(&plate.path().join("plate_map.csv"), |line| {
            Some(line.replace("single_dose", "drug_screened"))
        });
        let resumed = run(pretrain().arg("--resume"));
        if learns {
            resumed.assert_refusal(&["state.json", "the checkpoint was made with other settings"]);
        } else {
            resumed.assert_success();
        }
    }
}

fn losses(out: &Path) -> Vec<f64> {
    let (_, rows) = table(&out.join("model/training.csv"));
    rows.iter().map(|row| row[1].parse().unwrap()).collect()
}

/// Waits until the first epoch is stored.
fn wait_for_checkpoint(out: &Path) {
    let start = Instant::now();
    while newest_checkpoint(out).is_none() {
        assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn newest_checkpoint(out: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(out.join("model/checkpoints")).ok()?;
    let is_whole = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("epoch-")
    };
    entries
        .map(|entry| entry.unwrap().path())
        .filter(is_whole)
        .max()
}
