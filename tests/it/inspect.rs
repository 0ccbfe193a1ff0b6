//! The example `inspect`.

use std::{fs, path::PathBuf};

use ndarray::{Array, Array3};
use serde_json::json;
use sha2::{Digest, Sha256};
use spheroid::imaging::{FocalStack, Limits, Samples, ToneStatistics, read_stack, write_stack};
use tempfile::TempDir;

use crate::support::{example, image, plate, run, wells};

fn hex(bytes: impl IntoIterator<Item = u8>) -> String {
    let digest = Sha256::digest(bytes.into_iter().collect::<Vec<u8>>());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn file(folder: &TempDir, name: &str, samples: Samples) -> PathBuf {
    let path = folder.path().join(name);
    write_stack(&path, &FocalStack::new(samples).unwrap()).unwrap();
    path
}

/// Values of a 12-bit sensor in 16 bits, the four free ones filled by repetition.
fn widened() -> Array3<u16> {
    let tones = (0..3000_u16).map(|i| 1000 + (i * 7) % 3001);
    let tones = tones.map(|tone| tone << 4 | tone >> 8);
    Array::from_iter(tones)
        .into_shape_with_order((3, 25, 40))
        .unwrap()
}

#[test]
fn every_file_is_described_on_a_line_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let widened = widened();
    let deep = file(&folder, "deep.tif", Samples::U16(widened.clone()));
    let ramp = Array3::from_shape_fn((1, 16, 16), |(_, r, c)| (16 * r + c) as u8);
    let shallow = file(&folder, "shallow.tif", Samples::U8(ramp.clone()));

    let run = run(example("inspect").args([&deep, &shallow]));
    run.assert_success();
    let lines: Vec<serde_json::Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let first_page = widened
        .iter()
        .take(1000)
        .flat_map(|tone| tone.to_le_bytes());
    let distinct: std::collections::BTreeSet<&u16> = widened.iter().collect();
    let expected = [
        json!({
            "file": deep, "pages": 3, "width": 40, "height": 25, "sample_type": "uint16",
            "compression": "none", "pixel_size": null,
            "container_bits": 16, "effective_bits": 12, "widening": "replication",
            "min": distinct.first(), "max": distinct.last(), "distinct_values": distinct.len(),
            "sha256": hex(first_page),
        }),
        json!({
            "file": shallow, "pages": 1, "width": 16, "height": 16, "sample_type": "uint8",
            "compression": "none", "pixel_size": null,
            "container_bits": 8, "effective_bits": 8, "widening": "none", "min": 0, "max": 255,
            "distinct_values": 256, "sha256": hex(ramp),
        }),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_simulated_image_is_described_as_the_library_reads_it() {
    let path = plate().join(image(wells(spheroid::core::Group::Untreated)[0], 7));
    let stack = read_stack(std::slice::from_ref(&path), &Limits::default()).unwrap();
    let tones = ToneStatistics::of_stack(&stack);
    let run = run(example("inspect").arg(path));
    run.assert_success();
    let line: serde_json::Value = serde_json::from_str(run.last_line()).unwrap();
    assert_eq!(line["pages"], 2);
    assert_eq!(line["min"], tones.min);
    assert_eq!(line["max"], tones.max);
    assert_eq!(line["distinct_values"], tones.distinct);
}

#[test]
fn a_bad_file_gives_exit_code_2_and_the_others_are_still_described() {
    let folder = tempfile::tempdir().unwrap();
    let good = file(&folder, "good.tif", Samples::U16(widened()));
    let bad = folder.path().join("bad.tif");
    fs::write(&bad, "text").unwrap();
    let missing = folder.path().join("missing.tif");
    let run = run(example("inspect").args([&bad, &good, &missing, &good]));
    run.assert_refusal(&[
        "bad.tif: not a TIFF file",
        "missing.tif: cannot open",
        "2 of 4 files could not be inspected",
    ]);
    let described = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let files: Vec<_> = run
        .stdout
        .lines()
        .map(|line| described(line)["file"].clone())
        .collect();
    assert_eq!(files, [json!(good), json!(good)]);
}
