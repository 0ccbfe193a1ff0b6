//! What is wrong with images.csv, plate_map.csv and tables of features.

use std::fs;

use spheroid::core::Group;

use crate::support::{
    assert_no_result, assert_refused, copy_of_plate, drop_rows, edit_lines, example, finished,
    plate, rank_plate, run, wells,
};

#[test]
fn a_folder_that_does_not_exist_is_named() {
    let missing = plate().with_file_name("no-such-plate");
    let path = missing.join("images.csv").display().to_string();
    assert_refused(&missing, &[], &[&path, "cannot open", "because: "]);
}

#[test]
fn a_missing_table_is_named() {
    for name in ["images.csv", "plate_map.csv"] {
        let plate = copy_of_plate();
        fs::remove_file(plate.path().join(name)).unwrap();
        assert_refused(plate.path(), &[], &[name, "cannot open", "because: "]);
    }
}

#[test]
fn a_folder_in_place_of_a_table_is_refused() {
    for name in ["images.csv", "plate_map.csv"] {
        let plate = copy_of_plate();
        let path = plate.path().join(name);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_refused(
            plate.path(),
            &[],
            &[name, "is a folder where a file was expected"],
        );
    }
}

#[test]
fn a_table_without_a_column_is_refused_with_the_columns_that_it_has() {
    let plate = copy_of_plate();
    edit_lines(&plate.path().join("images.csv"), |line| {
        Some(line.replace("path,plate,well,day", "path,plate,well,tag"))
    });
    let expected = "no column `day` (found: path, plate, well, tag)";
    assert_refused(plate.path(), &[], &["images.csv", expected]);
}

#[test]
fn a_duplicate_row_of_images_is_refused_with_its_line() {
    let plate = copy_of_plate();
    let path = plate.path().join("images.csv");
    let text = fs::read_to_string(&path).unwrap();
    let second = text.lines().nth(1).unwrap();
    fs::write(&path, format!("{text}{second}\n")).unwrap();
    let line = text.lines().count() + 1;
    let expected = format!("images.csv, row {line}: sim ");
    assert_refused(plate.path(), &[], &[&expected, "occurs twice"]);
}

#[test]
fn a_duplicate_row_of_the_plate_map_is_refused_with_its_line() {
    let untreated = wells(Group::Untreated)[0];
    let plate = copy_of_plate();
    let path = plate.path().join("plate_map.csv");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        format!("{text}sim,{untreated},untreated,untreated,,,\n"),
    )
    .unwrap();
    let line = text.lines().count() + 1;
    let expected = format!("plate_map.csv, row {line}: sim {untreated} occurs twice");
    assert_refused(plate.path(), &[], &[&expected]);
}

#[test]
fn a_well_outside_the_plate_is_refused_in_both_tables() {
    let well = wells(Group::Untreated)[0].to_string();
    for name in ["images.csv", "plate_map.csv"] {
        let plate = copy_of_plate();
        edit_lines(&plate.path().join(name), |line| {
            Some(line.replace(&format!("sim,{well},"), "sim,J01,"))
        });
        assert_refused(
            plate.path(),
            &[],
            &[
                name,
                "row ",
                "well J01 lies outside a plate of 96 wells (A01 to H12)",
            ],
        );
    }
}

#[test]
fn text_that_is_no_well_is_refused() {
    let well = wells(Group::Untreated)[0].to_string();
    let plate = copy_of_plate();
    edit_lines(&plate.path().join("images.csv"), |line| {
        Some(line.replace(&format!("sim,{well},"), "sim,2B,"))
    });
    assert_refused(plate.path(), &[], &["images.csv", "`2B` is not a well"]);
}

#[test]
fn tables_of_different_plates_are_refused() {
    let plate = copy_of_plate();
    edit_lines(&plate.path().join("plate_map.csv"), |line| {
        Some(line.replace("sim,", "other,"))
    });
    let expected = "no well of images.csv is in the plate map";
    assert_refused(plate.path(), &[], &[expected]);
}

#[test]
fn a_plate_without_untreated_wells_is_refused() {
    let plate = copy_of_plate();
    drop_rows(&plate.path().join("plate_map.csv"), "untreated");
    assert_refused(plate.path(), &[], &["no untreated well has images"]);
}

#[test]
fn four_untreated_wells_are_refused_as_too_few() {
    let plate = copy_of_plate();
    for well in &wells(Group::Untreated)[4..] {
        drop_rows(&plate.path().join("plate_map.csv"), &well.to_string());
    }
    let expected = "4 untreated wells have images of day 7 and day 10; at least 5 are needed";
    assert_refused(plate.path(), &[], &[expected]);
}

#[test]
fn a_plate_imaged_on_one_day_is_refused() {
    let plate = copy_of_plate();
    for day in ["8", "9", "10"] {
        drop_rows(&plate.path().join("images.csv"), day);
    }
    let expected = "images show day 7: one day up to the drug day (7) and one after it are needed";
    assert_refused(plate.path(), &[], &[expected]);
}

#[test]
fn a_drug_day_outside_the_imaged_days_is_refused() {
    for day in ["6", "10"] {
        let expected = format!("images show day 7, 8, 9, 10: one day up to the drug day ({day})");
        assert_refused(plate(), &["--drug-day", day], &[&expected]);
    }
}

#[test]
fn a_plate_of_fewer_images_than_one_batch_is_ranked() {
    let plate = copy_of_plate();
    for day in ["8", "9"] {
        drop_rows(&plate.path().join("images.csv"), day);
    }
    let out = tempfile::tempdir().unwrap();
    run(&mut rank_plate(plate.path(), out.path())).assert_success();
}

#[test]
fn a_truth_that_is_no_probability_is_refused() {
    let plate = copy_of_plate();
    let text = "treatment,kill\nuntreated,1.5\n";
    fs::write(plate.path().join("truth.csv"), text).unwrap();
    let expected = "the kill of `untreated` is 1.5; it must be from 0 to 1";
    assert_refused(plate.path(), &[], &["truth.csv", expected]);
}

#[test]
fn a_table_of_features_with_a_value_that_is_not_finite_is_refused() {
    for value in ["NaN", "inf"] {
        let folder = tempfile::tempdir().unwrap();
        let (features, out) = (folder.path().join("f.csv"), folder.path().join("out.csv"));
        let text = fs::read_to_string(finished().out.join("embeddings.csv")).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        let damaged = format!("{},{value}", lines[5].rsplit_once(',').unwrap().0);
        lines[5] = &damaged;
        fs::write(&features, lines.join("\n")).unwrap();
        let mut command = example("rank_embeddings");
        command
            .arg("--plate-map")
            .arg(plate().join("plate_map.csv"));
        let run = run(command.arg("--out").arg(&out).arg(&features));
        let expected = format!("is {value}: every value must be finite");
        run.assert_refusal(&["embedding of sim ", &expected]);
        assert!(!out.exists());
    }
}

#[test]
fn tables_of_features_of_different_wells_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.csv");
    let fewer = folder.path().join("fewer.csv");
    let whole = finished().out.join("morphology.csv");
    fs::copy(&whole, &fewer).unwrap();
    drop_rows(&fewer, &wells(Group::DrugScreened)[0].to_string());
    let mut command = example("rank_embeddings");
    command
        .arg("--plate-map")
        .arg(plate().join("plate_map.csv"));
    let run = run(command.arg("--out").arg(&out).args([whole, fewer]));
    run.assert_refusal(&["the feature sets embed different wells"]);
    assert_no_result(folder.path());
    assert!(!out.exists());
}
