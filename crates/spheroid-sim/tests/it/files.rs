use std::{collections::BTreeSet, fs, sync::Mutex};

use spheroid_core::{ImageTable, PlateFormat, PlateMap, StackSource};
use spheroid_imaging::{Limits, read_stack};
use spheroid_sim::{PlateSim, PlateSimConfig, Screen};

fn plate() -> PlateSim {
    PlateSimConfig {
        seed: 11,
        rows: 40,
        columns: 48,
        plate: "p-1".to_owned(),
        days: vec![crate::day(7.0), crate::day(9.5)],
        untreated_wells: 2,
        screen: Screen::Drawn {
            single_dose_wells: 2,
            drug_screened_wells: 6,
            replicates: 2,
        },
        ..PlateSimConfig::default()
    }
    .build()
    .unwrap()
}

#[test]
fn what_is_written_reads_back_as_the_plate() {
    let plate = plate();
    let folder = tempfile::tempdir().unwrap();
    let seen = Mutex::new(BTreeSet::new());
    let files = plate
        .write(folder.path(), |done, total| {
            assert_eq!(total, 20);
            seen.lock().unwrap().insert(done);
        })
        .unwrap();
    assert!(seen.into_inner().unwrap().into_iter().eq(1..=20));

    assert_eq!(
        PlateMap::read_csv(&files.plate_map, PlateFormat::W96).unwrap(),
        *plate.plate_map()
    );
    let images = ImageTable::read_csv(&files.images, PlateFormat::W96).unwrap();
    assert_eq!(images.stacks().len(), plate.len());
    for (index, entry) in images.stacks().iter().enumerate() {
        assert_eq!(entry.key, *plate.key(index));
        let stack = read_stack(&entry.paths(), &Limits::default()).unwrap();
        assert_eq!(stack, plate.load(index).unwrap());
    }
}

#[test]
fn the_tables_have_the_documented_form() {
    let plate = plate();
    let folder = tempfile::tempdir().unwrap();
    let files = plate.write(folder.path(), |_, _| {}).unwrap();

    let images = fs::read_to_string(&files.images).unwrap();
    let mut lines = images.lines();
    assert_eq!(lines.next(), Some("path,plate,well,day"));
    let well = plate.wells()[0].well;
    let second = format!("images/p-1_{well}_d9.5.tif,p-1,{well},9.5");
    assert_eq!(lines.nth(1), Some(second.as_str()));

    let map = fs::read_to_string(&files.plate_map).unwrap();
    let mut lines = map.lines();
    assert_eq!(
        lines.next(),
        Some("plate,well,group,treatment,drug,concentration,unit")
    );
    let doses: usize = plate
        .plate_map()
        .treatments()
        .values()
        .map(|t| t.doses.len())
        .filter(|&n| n > 1)
        .count();
    assert_eq!(
        doses, 1,
        "one of the three screened treatments is a combination"
    );
    assert_eq!(
        lines.clone().count(),
        10 + 2,
        "a combination in two wells has two rows in each"
    );
    let untreated: Vec<&str> = lines.filter(|line| line.contains("untreated")).collect();
    assert_eq!(untreated.len(), 2);
    assert!(
        untreated
            .iter()
            .all(|line| line.ends_with(",untreated,untreated,,,"))
    );

    let truth = fs::read_to_string(&files.truth).unwrap();
    let expected = plate
        .truth()
        .iter()
        .map(|t| format!("{},{}", t.treatment, t.kill));
    assert!(
        truth
            .lines()
            .eq(["treatment,kill".to_owned()].into_iter().chain(expected))
    );
    assert!(truth.contains("\nuntreated,0\n"));
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(plate().write(&file, |_, _| {}).is_err());
}
