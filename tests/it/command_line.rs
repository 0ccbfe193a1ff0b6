//! Names on the command line.

use spheroid::{
    rank::discrepancy,
    ssl::{Backend, encoder::EncoderConfig, methods::MethodConfig},
};

use crate::support::{assert_no_result, assert_refused, example, finished, plate, run};

#[test]
fn an_unknown_method_lists_those_that_there_are() {
    let parts = [&["method `byol2` is unknown"], MethodConfig::NAMES].concat();
    assert_refused(plate(), &["--method", "byol2"], &parts);
}

#[test]
fn an_unknown_encoder_lists_those_that_there_are() {
    let parts = [&["encoder `vgg` is unknown"], &EncoderConfig::NAMES[..]].concat();
    let out = tempfile::tempdir().unwrap();
    let mut command = example("pretrain");
    command.args(["--encoder", "vgg", "--data"]).arg(plate());
    run(command.arg("--out").arg(out.path())).assert_refusal(&parts);
    assert_no_result(out.path());
}

#[test]
fn an_unknown_metric_lists_those_that_there_are() {
    let metrics = discrepancy::all();
    let known: Vec<&str> = metrics.iter().map(|metric| metric.name()).collect();
    let parts = [&["no discrepancy `l3`"], &known[..]].concat();
    assert_refused(plate(), &["--metric", "l3"], &parts);

    let out = tempfile::tempdir().unwrap();
    let ranking = out.path().join("ranking.csv");
    let mut command = example("rank_embeddings");
    command.args(["--metric", "l3", "--out"]).arg(&ranking);
    command
        .arg("--plate-map")
        .arg(plate().join("plate_map.csv"));
    run(command.arg(finished().out.join("morphology.csv"))).assert_refusal(&parts);
    assert_no_result(out.path());
}

#[test]
fn every_table_has_a_weight_above_zero() {
    let out = tempfile::tempdir().unwrap();
    let table = finished().out.join("morphology.csv");
    for (weights, says) in [("1,2", "2 weights for 1 tables"), ("0", "weight")] {
        let mut command = example("rank_embeddings");
        command.args(["--weights", weights, "--out"]);
        command.arg(out.path().join("ranking.csv"));
        command
            .arg("--plate-map")
            .arg(plate().join("plate_map.csv"));
        run(command.arg(&table)).assert_refusal(&[says]);
    }
    assert_no_result(out.path());
}

#[test]
fn an_unknown_device_lists_those_that_there_are() {
    let parts = [
        &["device `tpu` is unknown"],
        &Backend::ALL.map(Backend::name)[..],
    ]
    .concat();
    assert_refused(plate(), &["--device", "tpu"], &parts);
}

#[test]
#[cfg(not(feature = "cuda"))]
fn a_device_that_is_not_compiled_in_names_its_feature() {
    let expected = "device `cuda` was not compiled in: build with `--features cuda`";
    assert_refused(plate(), &["--device", "cuda"], &[expected]);
}

#[test]
fn a_plate_that_is_not_made_is_refused() {
    let expected = "no plate has 95 wells: use 6, 12, 24, 48, 96, 384 or 1536";
    assert_refused(plate(), &["--wells", "95"], &[expected]);
}

#[test]
fn an_option_that_there_is_not_is_refused() {
    assert_refused(plate(), &["--metrics", "l2"], &["--metrics"]);
}
