//! Other descriptions of the same plate.

use std::{fmt::Write, fs};

use crate::support::{
    assert_refused, assert_same_file, copy_of_plate, finished, plate_map, rank_plate, run,
};

#[test]
fn a_wellmap_layout_does_the_work_of_plate_map_csv() {
    let mut toml = String::new();
    let map = plate_map();
    for (well, record) in map.wells() {
        let treatment = &map.treatments()[&record.treatment];
        writeln!(toml, "[plate.{}.well.{}]", well.plate, well.well).unwrap();
        writeln!(toml, "group = '{}'", treatment.group).unwrap();
        writeln!(toml, "treatment = '{}'", treatment.name).unwrap();
        if !treatment.doses.is_empty() {
            let list = |values: Vec<String>| values.join(", ");
            let doses = treatment.doses.iter();
            let drugs = doses.clone().map(|dose| format!("'{}'", dose.drug));
            let units = doses.clone().map(|dose| format!("'{}'", dose.unit));
            let concentrations = doses.map(|dose| format!("{:?}", dose.concentration));
            writeln!(toml, "drug = [{}]", list(drugs.collect())).unwrap();
            writeln!(toml, "concentration = [{}]", list(concentrations.collect())).unwrap();
            writeln!(toml, "unit = [{}]", list(units.collect())).unwrap();
        }
    }
    let plate = copy_of_plate();
    fs::remove_file(plate.path().join("plate_map.csv")).unwrap();
    fs::write(plate.path().join("plate_map.toml"), toml).unwrap();
    let out = tempfile::tempdir().unwrap();
    run(&mut rank_plate(plate.path(), out.path())).assert_success();
    for name in ["ranking.csv", "wells.csv", "embeddings.csv"] {
        assert_same_file(&out.path().join(name), &finished().out.join(name));
    }
}

#[test]
fn a_pattern_does_the_work_of_images_csv() {
    let plate = copy_of_plate();
    fs::remove_file(plate.path().join("images.csv")).unwrap();
    fs::write(plate.path().join("images/notes.txt"), "none").unwrap();
    let out = tempfile::tempdir().unwrap();
    let pattern = ["--pattern", "images/{plate}_{well}_d{day}.tif"];
    let run = run(rank_plate(plate.path(), out.path()).args(pattern));
    run.assert_success();
    assert_eq!(
        run.warning("1 × file name"),
        "1 × file name does not match the pattern; left out: notes.txt"
    );
    for name in ["ranking.csv", "wells.csv", "embeddings.csv"] {
        assert_same_file(&out.path().join(name), &finished().out.join(name));
    }
}

#[test]
fn a_pattern_that_no_file_matches_is_refused() {
    let plate = copy_of_plate();
    let pattern = ["--pattern", "images/{well}-{day}.png"];
    assert_refused(plate.path(), &pattern, &["images: lists no image"]);
    let pattern = ["--pattern", "images/{plate}_{well}.tif"];
    assert_refused(plate.path(), &pattern, &["needs {well} and {day}"]);
}
