//! Plates that are ranked although something is left out: the warnings.

use std::fs;

use ndarray::Array3;
use spheroid::{
    core::Group,
    imaging::{FocalStack, Limits, Samples, read_stack, write_stack},
};

use crate::support::{
    WELLS, copy_of_plate, drop_rows, edit_lines, image, rank_plate, run, table, wells,
};

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
fn a_treatment_with_one_well_borrows_the_scatter_of_the_others() {
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
    let warning = run.warning("2 × treatment with a single well: its interval assumes the scatter of the other treatments");
    assert!(warning.contains("lone treatment"), "{warning}");
    let (_, rows) = table(&out.path().join("ranking.csv"));
    let row = rows.iter().find(|row| row[0] == "lone treatment").unwrap();
    assert_eq!(row[6], "1");
    let [low, score, high] = [4, 3, 5].map(|column: usize| row[column].parse::<f64>().unwrap());
    assert!(0.0 < low && low < score && score < high, "{row:?}");
    let report = fs::read_to_string(out.path().join("report.html")).unwrap();
    assert!(report.contains("treatment with a single well"));
}

#[test]
fn an_image_in_which_the_outline_is_doubtful_is_named() {
    let well = wells(Group::DrugScreened)[0];
    let plate = copy_of_plate();
    // The spheroid slides out of the frame, and what it leaves behind is background.
    let path = plate.path().join(image(well, 8));
    let stack = read_stack(std::slice::from_ref(&path), &Limits::default()).unwrap();
    let Samples::U16(samples) = stack.into_samples() else {
        panic!("simulated stacks have 16 bits")
    };
    let columns = samples.dim().2;
    let moved = Array3::from_shape_fn(samples.dim(), |(plane, row, column)| {
        samples[(plane, row, (column + columns / 2).min(columns - 1))]
    });
    write_stack(&path, &FocalStack::new(Samples::U16(moved)).unwrap()).unwrap();

    let out = tempfile::tempdir().unwrap();
    let run = run(&mut rank_plate(plate.path(), out.path()));
    run.assert_success();
    assert_eq!(
        run.warning("1 × image whose outline"),
        format!(
            "1 × image whose outline should be looked at (touches the border): sim {well} day 8"
        )
    );
}
