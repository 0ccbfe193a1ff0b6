//! A plate on which one drug was given at several concentrations.

use std::{collections::BTreeMap, fs};

use spheroid::core::Group;

use crate::support::{copy_of_plate, edit_lines, json, rank_plate, run, wells};

#[test]
fn a_series_of_doses_has_a_curve_in_all_that_is_written() {
    let plate = copy_of_plate();
    // Six wells, two of each concentration.
    let doses: BTreeMap<String, &str> = wells(Group::DrugScreened)
        .iter()
        .map(ToString::to_string)
        .zip(["1", "10", "100", "1", "10", "100"])
        .collect();
    let mut seen = Vec::new();
    edit_lines(&plate.path().join("plate_map.csv"), |line| {
        let well = line.split(',').nth(1)?.to_owned();
        let Some(dose) = doses.get(&well) else {
            return Some(line.to_owned());
        };
        // Of a combination one row is enough.
        let first = !seen.contains(&well);
        seen.push(well.clone());
        first.then(|| format!("sim,{well},drug_screened,a/b {dose} uM,a/b,{dose},uM"))
    });
    let out = tempfile::tempdir().unwrap();
    run(&mut rank_plate(plate.path(), out.path())).assert_success();

    let results = json(&out.path().join("ranking.json"));
    let curves = results["doses"]["curves"].as_array().unwrap();
    assert_eq!(curves.len(), 1);
    assert_eq!(
        (&curves[0]["drug"], &curves[0]["unit"]),
        (&"a/b".into(), &"uM".into())
    );
    assert!(curves[0]["of_log_scores"]["ec50"].as_f64() > Some(0.0));
    let report = fs::read_to_string(out.path().join("report.html")).unwrap();
    assert!(report.contains("Dose response") && report.contains("a/b"));
    let plots = fs::read_dir(out.path().join("plots")).unwrap();
    let names: Vec<String> = plots
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names.iter().any(|name| name.starts_with("dose-")),
        "{names:?}"
    );
}
