//! Plates that are ranked although something is left out: the warnings.

use std::fs;

use spheroid::core::Group;

use crate::support::{WELLS, copy_of_plate, drop_rows, edit_lines, rank_plate, run, table, wells};

#[test]
fn a_well_that_the_plate_map_lacks_is_left_out_with_a_warning() {
    let well = wells(Group::DrugScreened)[0];
    let plate = copy_of_plate();
    drop_rows(&plate.path().join("plate_map.csv"), &well.to_string());
    let out = tempfile::tempdir().unwrap();
    let run = run(&mut rank_plate(plate.path(), out.path()));
    run.assert_success();
    assert_eq!(
        run.warning("1 × well with images"),
        format!("1 × well with images that the plate map lacks; left out: sim {well}")
    );
    let (_, rows) = table(&out.path().join("wells.csv"));
    assert_eq!(rows.len(), WELLS - 1);
    assert!(rows.iter().all(|row| row[1] != well.to_string()));
}

#[test]
fn a_well_without_images_is_left_out_with_a_warning() {
    let well = wells(Group::DrugScreened)[0];
    let plate = copy_of_plate();
    drop_rows(&plate.path().join("images.csv"), &well.to_string());
    let out = tempfile::tempdir().unwrap();
    let run = run(&mut rank_plate(plate.path(), out.path()));
    run.assert_success();
    assert_eq!(
        run.warning("1 × well of the plate map"),
        format!("1 × well of the plate map without images; left out: sim {well}")
    );
    assert_eq!(table(&out.path().join("wells.csv")).1.len(), WELLS - 1);
}

#[test]
fn a_well_without_an_image_of_the_last_day_is_left_out_with_a_warning() {
    let well = wells(Group::DrugScreened)[0];
    let plate = copy_of_plate();
    edit_lines(&plate.path().join("images.csv"), |line| {
        (!line.ends_with(&format!("sim,{well},10"))).then(|| line.to_owned())
    });
    let out = tempfile::tempdir().unwrap();
    let run = run(&mut rank_plate(plate.path(), out.path()));
    run.assert_success();
    assert_eq!(
        run.warning("1 × well without"),
        format!("1 × well without images of day 7 and day 10; left out: sim {well}")
    );
    assert_eq!(table(&out.path().join("wells.csv")).1.len(), WELLS - 1);
}

#[test]
fn a_treatment_with_one_well_is_ranked_without_an_interval() {
    let well = wells(Group::DrugScreened)[0].to_string();
    let plate = copy_of_plate();
    edit_lines(&plate.path().join("plate_map.csv"), |line| {
        let mut cells: Vec<&str> = line.split(',').collect();
        if cells[1] == well {
            cells[3] = "lone treatment";
        }
        Some(cells.join(","))
    });
    let out = tempfile::tempdir().unwrap();
    let run = run(&mut rank_plate(plate.path(), out.path()));
    run.assert_success();
    // The other well of its former treatment is alone now, too.
    let warning = run.warning("2 × treatment with a single well: its score has no interval");
    assert!(warning.contains("lone treatment"), "{warning}");
    let (_, rows) = table(&out.path().join("ranking.csv"));
    let row = rows.iter().find(|row| row[1] == "lone treatment").unwrap();
    assert_eq!([&row[4], &row[5], &row[6]], ["", "", "1"]);
    assert!(row[3].parse::<f64>().unwrap().is_finite());
    let report = fs::read_to_string(out.path().join("report.html")).unwrap();
    assert!(report.contains("treatment with a single well"));
}
