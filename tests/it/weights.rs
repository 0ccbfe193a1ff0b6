//! Training that begins with the weights of a file.

use std::path::Path;

use crate::support::{assert_same_file, example, json, plate, rank_plate_for, run, weights};

#[test]
fn weights_of_another_model_stay_as_they_are_without_training() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    run(&mut rank_plate_for(1, plate(), &first)).assert_success();
    let file = first.join("model/encoder.safetensors");
    let again = run(rank_plate_for(0, plate(), &second)
        .arg("--weights")
        .arg(&file));
    again.assert_success();
    assert!(again.stdout.contains(" tensors loaded\n"), "{again:?}");
    assert!(weights(&first.join("model")) == weights(&second.join("model")));
    // Their images were not normalised.
    assert_same_file(
        &first.join("embeddings.csv"),
        &second.join("embeddings.csv"),
    );
    let stored = json(&second.join("model/weights.json"));
    assert_eq!(stored["own"], true);
    assert_eq!(stored["sha256"].as_str().unwrap().len(), 64);

    let itself = run(rank_plate_for(0, plate(), &first)
        .arg("--weights")
        .arg(&file));
    itself.assert_refusal(&["encoder.safetensors", "would be overwritten"]);
}

#[test]
fn weights_of_pytorch_are_adapted_and_images_normalised_as_they_know_them() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let file = "crates/spheroid-ssl/tests/fixtures/encoders/pretrained.pth";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let mut command = example("rank_plate");
    command.args(["--encoder", "resnet18-w2", "--epochs", "0"]);
    command.arg("--data").arg(plate());
    command.arg("--out").arg(&out);
    let found = run(command.arg("--weights").arg(&file));
    found.assert_success();
    let said = "100 tensors loaded, 2 skipped (fc.bias, fc.weight), conv1.weight summed over 3 planes and shared among 1";
    assert!(found.stdout.contains(said), "{found:?}");
    let stored = json(&out.join("model/weights.json"));
    assert_eq!(
        (&stored["own"], &stored["untrained"]),
        (&false.into(), &false.into())
    );
    let settings = json(&out.join("model/settings.json"));
    let mean = settings["policy"]["normalize"]["mean"][0].as_f64().unwrap();
    assert!((mean - 0.449).abs() < 1e-6, "{settings}");
}

#[test]
fn a_file_that_is_not_of_the_encoder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.pth");
    std::fs::write(&file, b"nothing").unwrap();
    let out = folder.path().join("out");
    let refused = run(rank_plate_for(0, plate(), &out).arg("--weights").arg(&file));
    refused.assert_refusal(&["other.pth"]);
}

#[test]
fn frozen_depths_keep_the_weights_of_the_file_while_the_head_learns() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    run(&mut rank_plate_for(0, plate(), &first)).assert_success();
    let file = first.join("model/encoder.safetensors");
    let start = |folder: &Path, depths: &str| {
        let mut again = rank_plate_for(1, plate(), folder);
        again.arg("--weights").arg(&file);
        run(again.args(["--layer-decay", "0.5", "--frozen-depths", depths]))
    };
    start(&second, "5").assert_success();
    assert!(weights(&first.join("model")) == weights(&second.join("model")));
    let settings = json(&second.join("model/settings.json"));
    assert_eq!(settings["train"]["fine_tune"]["frozen_depths"], 5);

    let third = folder.path().join("third");
    start(&third, "2").assert_success();
    assert!(weights(&first.join("model")) != weights(&third.join("model")));
    start(&folder.path().join("fourth"), "6").assert_refusal(&["frozen_depths"]);
}
