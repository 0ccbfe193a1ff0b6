//! The stages of the main job, one program each.

use std::path::Path;

use spheroid::{job::MORPHOLOGY_WEIGHT, prepare::MORPHOLOGY};

use crate::support::{
    STACKS, assert_no_result, assert_same_file, example, finished, plate, run, table, weights,
};

#[test]
fn the_stages_run_apart_give_what_the_main_job_gives() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (model, learned) = (path("model"), path("embeddings.csv"));
    let (morphology, ranking) = (path("morphology.csv"), path("ranking.csv"));

    let mut pretrain = example("pretrain");
    pretrain.args(["--encoder", "resnet10-w8", "--epochs", "1", "--data"]);
    let told = run(pretrain.arg(plate()).arg("--out").arg(&model));
    told.assert_success();
    assert_eq!(told.last_line(), format!("model in {}", model.display()));

    let mut embed = example("embed");
    embed.arg("--data").arg(plate()).arg("--model").arg(&model);
    let told = run(embed.arg("--out").arg(&learned));
    told.assert_success();
    let expected = format!("{STACKS} stacks with 256 features in {}", learned.display());
    assert_eq!(told.last_line(), expected);

    let mut embed = example("embed");
    embed.arg("--data").arg(plate());
    embed.arg("--crops").arg(model.join("crops"));
    let told = run(embed.arg("--out").arg(&morphology));
    told.assert_success();
    let expected = format!(
        "{STACKS} stacks with {} features in {}",
        MORPHOLOGY.len(),
        morphology.display()
    );
    assert_eq!(told.last_line(), expected);

    let mut rank = example("rank_embeddings");
    rank.arg("--plate-map").arg(plate().join("plate_map.csv"));
    rank.arg("--out").arg(&ranking);
    rank.args(["--weights", &format!("1,{MORPHOLOGY_WEIGHT}")]);
    let told = run(rank.args([&learned, &morphology]));
    told.assert_success();
    let treatments = table(&ranking).1.len();
    let expected = format!("{treatments} treatments in {}", ranking.display());
    assert_eq!(told.last_line(), expected);

    let out = &finished().out;
    assert!(weights(&model) == weights(&out.join("model")));
    assert_same_file(&learned, &out.join("embeddings.csv"));
    assert_same_file(&morphology, &out.join("morphology.csv"));
    assert_same_file(&ranking, &out.join("ranking.csv"));
    assert_same_file(&model.join("training.csv"), &out.join("model/training.csv"));
    assert_same_file(
        &model.join("settings.json"),
        &out.join("model/settings.json"),
    );
}

#[test]
fn an_unfinished_model_is_refused() {
    let out = tempfile::tempdir().unwrap();
    let table = out.path().join("embeddings.csv");
    let mut command = example("embed");
    command.arg("--data").arg(plate()).arg("--out").arg(&table);
    let told = run(command.arg("--model").arg(out.path()));
    told.assert_refusal(&["settings.json", "cannot read", "because: "]);
    assert_no_result(out.path());
}

#[test]
fn every_metric_ranks_the_features_of_the_main_job() {
    let map = plate().join("plate_map.csv");
    let out = tempfile::tempdir().unwrap();
    let ranking = |metric: &str, features: &Path| {
        let path = out.path().join(format!("{metric}.csv"));
        let mut command = example("rank_embeddings");
        command.args(["--metric", metric, "--plate-map"]).arg(&map);
        run(command.arg("--out").arg(&path).arg(features)).assert_success();
        table(&path).1
    };
    for metric in ["mahalanobis", "standardized_l2", "l2", "cosine"] {
        let rows = ranking(metric, &finished().out.join("embeddings.csv"));
        assert_eq!(rows.len(), 5, "{metric}");
    }
}
