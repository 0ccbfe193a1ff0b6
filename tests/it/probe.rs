//! Training on a folder of images, and probing what was learned.

use std::{fs, path::Path};

use crate::support::{assert_no_result, example, finished, plate, run, table};

/// Bars of another direction in every class, at any phase.
fn write_bars(folder: &Path, part: &str, per_class: u32) {
    let mut images = vec![0, 0, 8, 3];
    let mut labels = vec![0, 0, 8, 1];
    let count = 3 * per_class;
    for size in [count, 28, 28] {
        images.extend(size.to_be_bytes());
    }
    labels.extend(count.to_be_bytes());
    for item in 0..count {
        let class = item % 3;
        let phase = f64::from(item * 7 % 12);
        for row in 0..28 {
            for column in 0..28 {
                let along = [row, column, row + column][class as usize];
                let tone = 0.5 + 0.5 * (0.8 * f64::from(along) + phase).sin();
                images.push((255.0 * tone) as u8);
            }
        }
        labels.push(class as u8);
    }
    fs::write(folder.join(format!("{part}-images-idx3-ubyte")), images).unwrap();
    fs::write(folder.join(format!("{part}-labels-idx1-ubyte")), labels).unwrap();
}

#[test]
fn images_in_idx_files_are_learned_from_and_probed() {
    let folder = tempfile::tempdir().unwrap();
    let (images, model) = (folder.path().join("images"), folder.path().join("model"));
    fs::create_dir(&images).unwrap();
    write_bars(&images, "train", 20);
    write_bars(&images, "t10k", 8);

    let mut pretrain = example("pretrain");
    pretrain.args(["--encoder", "resnet10-small-w4", "--policy", "small_grey"]);
    pretrain.args(["--method", "vicreg", "--epochs", "3", "--images"]);
    let told = run(pretrain.arg(&images).arg("--out").arg(&model));
    told.assert_success();
    assert_eq!(told.last_line(), format!("model in {}", model.display()));
    let (columns, rows) = table(&model.join("training.csv"));
    assert_eq!(columns.len(), 8);
    assert_eq!(rows.len(), 3);
    assert!(
        rows.iter()
            .flatten()
            .all(|cell| cell.parse::<f64>().is_ok())
    );
    let lines = fs::read_to_string(model.join("training.jsonl")).unwrap();
    let epochs: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(epochs.len(), 3);
    assert_eq!(epochs[2]["epoch"], 3);

    let mut probe = example("probe");
    probe.args([
        "--per-class",
        "5",
        "--draws",
        "3",
        "--supervised-epochs",
        "2",
    ]);
    probe.args([
        "--supervised-encoder",
        "resnet10-small-w4",
        "--supervised-policy",
        "small_grey",
    ]);
    let told = run(probe
        .arg("--images")
        .arg(&images)
        .arg("--model")
        .arg(&model));
    told.assert_success();
    let last = told.last_line();
    let accuracy = last.strip_prefix("balanced accuracy of model: ").unwrap();
    // Three classes by chance: 0.33.
    assert!(accuracy.parse::<f64>().unwrap() > 0.9, "{last}");
    for says in [
        "raw pixels",
        "untrained encoder",
        "kNN",
        "resnet10-small-w4 from random weights",
    ] {
        assert!(told.stdout.contains(says), "{says}: {}", told.stdout);
    }
}

#[test]
fn a_plate_is_probed_by_well() {
    let model = finished().out.join("model");
    let mut probe = example("probe");
    probe.arg("--data").arg(plate()).arg("--model").arg(model);
    probe.args([
        "--per-class",
        "2",
        "--draws",
        "3",
        "--supervised-epochs",
        "2",
    ]);
    let told = run(probe.args(["--supervised-encoder", "resnet10-w4"]));
    told.assert_success();
    let last = told.last_line();
    let accuracy = last.strip_prefix("balanced accuracy of model: ").unwrap();
    assert!(
        (0.0..=1.0).contains(&accuracy.parse::<f64>().unwrap()),
        "{last}"
    );
    for says in ["morphology", "untreated", "drug_screened", "epoch    loss"] {
        assert!(told.stdout.contains(says), "{says}: {}", told.stdout);
    }
}

#[test]
fn planes_as_colours_are_learned_and_embedded_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (model, embeddings) = (
        folder.path().join("model"),
        folder.path().join("embeddings.csv"),
    );
    // The planes of the tiny plate are two, so a policy of two.
    let policy = folder.path().join("both_planes.json");
    let steps = r#"[{"transform": {"horizontal_flip": {}}, "probability": 0.5}]"#;
    let json = format!(
        r#"{{"views": [{{"planes": "all", "count": 2, "steps": {steps}}}],
            "normalize": {{"mean": [0.9], "deviation": [0.2]}}}}"#
    );
    fs::write(&policy, json).unwrap();
    let mut pretrain = example("pretrain");
    pretrain.args([
        "--encoder",
        "resnet10-w4",
        "--planes",
        "2",
        "--epochs",
        "1",
        "--data",
    ]);
    pretrain.arg(plate()).arg("--policy").arg(&policy);
    run(pretrain.arg("--out").arg(&model)).assert_success();
    let mut embed = example("embed");
    embed.arg("--data").arg(plate()).arg("--model").arg(&model);
    run(embed.arg("--out").arg(&embeddings)).assert_success();
    assert_eq!(table(&embeddings).1.len(), crate::support::STACKS);

    // One plane at a time does not fit what the policy shows.
    let mut pretrain = example("pretrain");
    pretrain.args(["--encoder", "resnet10-w4", "--epochs", "1", "--data"]);
    pretrain.arg(plate()).arg("--policy").arg(&policy);
    let told = run(pretrain.arg("--out").arg(folder.path().join("other")));
    told.assert_refusal(&[
        "(2, 96, 96) (planes, rows, columns)",
        "expected (1, 96, 96)",
    ]);
}

#[test]
fn a_method_that_is_told_labels_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = crate::support::rank_plate(plate(), folder.path());
    let told = run(command.args(["--method", "supcon", "--labels", "treatment"]));
    told.assert_success();
    assert!(
        told.stderr.contains("no independent evidence"),
        "{}",
        told.stderr
    );
}

#[test]
fn a_folder_without_images_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut pretrain = example("pretrain");
    pretrain.arg("--images").arg(folder.path());
    let told = run(pretrain.arg("--out").arg(folder.path().join("model")));
    told.assert_refusal(&["neither IDX files nor folders"]);
    assert_no_result(folder.path());
}
