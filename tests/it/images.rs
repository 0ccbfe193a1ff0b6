//! Image files that are wrong, and those that only look so.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use ndarray::{Array3, ArrayView2, Axis, s};
use spheroid::{
    core::{Group, WellId},
    imaging::{FocalStack, ImagingError, Limits, Samples, read_stack, write_stack},
};
use tempfile::TempDir;
use tiff::encoder::{TiffEncoder, colortype::RGB16};

use crate::support::{
    STACKS, assert_refused, assert_same_file, copy_of_plate, edit_lines, finished, image, json,
    rank_plate, run, wells,
};

/// A well with a drug: the untreated ones are needed.
fn treated() -> WellId {
    wells(Group::DrugScreened)[0]
}

/// A plate and one of its images, to be spoilt.
fn plate_and_image() -> (TempDir, PathBuf) {
    let plate = copy_of_plate();
    let path = plate.path().join(image(treated(), 8));
    (plate, path)
}

fn refused_image(plate: &TempDir, parts: &[&str]) {
    let stack = format!("sim {} day 8: cannot be prepared", treated());
    let name = image(treated(), 8);
    assert_refused(
        plate.path(),
        &[],
        &[&[stack.as_str(), &name], parts].concat(),
    );
}

fn samples(path: &Path) -> Array3<u16> {
    let stack = read_stack(&[path.to_owned()], &Limits::default()).unwrap();
    match stack.into_samples() {
        Samples::U16(samples) => samples,
        other => panic!("{other:?}"),
    }
}

fn write(path: &Path, samples: Samples) {
    write_stack(path, &FocalStack::new(samples).unwrap()).unwrap();
}

/// Writes every plane as RGB with `channels` made of each value.
fn write_rgb(path: &Path, samples: &Array3<u16>, channels: impl Fn(u16) -> [u16; 3]) {
    let mut encoder = TiffEncoder::new(File::create(path).unwrap()).unwrap();
    let (_, rows, columns) = samples.dim();
    for plane in samples.axis_iter(Axis(0)) {
        let data: Vec<u16> = plane.iter().flat_map(|&value| channels(value)).collect();
        let (width, height) = (columns as u32, rows as u32);
        encoder.write_image::<RGB16>(width, height, &data).unwrap();
    }
}

#[test]
fn a_missing_image_is_named() {
    let (plate, path) = plate_and_image();
    fs::remove_file(path).unwrap();
    let name = image(treated(), 8);
    assert_refused(plate.path(), &[], &[&name, "cannot open", "because: "]);
}

#[test]
fn a_folder_in_place_of_an_image_is_refused() {
    let (plate, path) = plate_and_image();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused_image(&plate, &["cannot read", "is a directory"]);
}

#[test]
fn an_empty_image_file_is_refused() {
    let (plate, path) = plate_and_image();
    fs::write(path, b"").unwrap();
    refused_image(&plate, &["the file is empty"]);
}

#[test]
fn a_file_that_is_no_tiff_is_refused() {
    let (plate, path) = plate_and_image();
    fs::write(path, b"\x89PNG\r\n\x1a\n and so on").unwrap();
    refused_image(&plate, &["not a TIFF file"]);
}

#[test]
fn a_truncated_image_is_refused_wherever_it_ends() {
    let whole = fs::read(copy_of_plate().path().join(image(treated(), 8))).unwrap();
    for share in [0.3, 0.6, 0.95] {
        let (plate, path) = plate_and_image();
        let end = (whole.len() as f64 * share) as usize;
        fs::write(path, &whole[..end]).unwrap();
        refused_image(&plate, &["the file is truncated, copy or export it again"]);
    }
}

#[test]
fn a_colour_image_is_refused_with_the_pixel() {
    let (plate, path) = plate_and_image();
    let mut samples = samples(&path);
    samples.mapv_inplace(|value| value & !1);
    samples[[1, 4, 6]] |= 1;
    write_rgb(&path, &samples, |value| [value & !1, value & !1, value]);
    refused_image(&plate, &["page 2: colour in row 5, column 7"]);

    let error = read_stack(&[path], &Limits::default()).unwrap_err();
    let place = matches!(
        error,
        ImagingError::Colour {
            page: 2,
            row: 5,
            column: 7,
            ..
        }
    );
    assert!(place, "{error:?}");
}

#[test]
fn an_rgb_image_of_equal_channels_is_read_as_the_grey_that_it_shows() {
    let (plate, path) = plate_and_image();
    let grey = samples(&path);
    write_rgb(&path, &grey, |value| [value; 3]);
    assert_eq!(samples(&path), grey);

    let out = tempfile::tempdir().unwrap();
    run(&mut rank_plate(plate.path(), out.path())).assert_success();
    for name in ["ranking.csv", "embeddings.csv"] {
        assert_same_file(&out.path().join(name), &finished().out.join(name));
    }
}

#[test]
fn a_plate_of_8_bits_is_ranked_with_a_warning() {
    let plate = copy_of_plate();
    for file in fs::read_dir(plate.path().join("images")).unwrap() {
        let path = file.unwrap().path();
        let shallow = samples(&path).mapv(|value| (value >> 8) as u8);
        write(&path, Samples::U8(shallow));
    }
    let out = tempfile::tempdir().unwrap();
    let run = run(&mut rank_plate(plate.path(), out.path()));
    run.assert_success();
    let start = format!("{STACKS} × 8-bit image: at most 256 tones");
    let warning = run.warning(&start);
    assert!(
        warning.ends_with(&format!("and {} more", STACKS - 10)),
        "{warning}"
    );
    assert_eq!(
        json(&out.path().join("ranking.json"))["warnings"][0],
        warning
    );
    let report = fs::read_to_string(out.path().join("report.html")).unwrap();
    assert!(report.contains("8-bit image: at most 256 tones"));
}

#[test]
fn samples_of_two_depths_in_one_stack_are_refused() {
    let plate = copy_of_plate();
    split_planes(&plate, |plane| {
        Samples::U8(plane.mapv(|value| (value >> 8) as u8))
    });
    let stack = format!("sim {} day 8: cannot be prepared", treated());
    let expected = "uint8 samples, but the first plane of the stack has uint16";
    assert_refused(plate.path(), &[], &[&stack, "second.tif, page 1", expected]);
}

#[test]
fn planes_of_unlike_size_in_one_stack_are_refused() {
    let plate = copy_of_plate();
    split_planes(&plate, |plane| {
        Samples::U16(plane.slice(s![.., ..48, ..32]).to_owned())
    });
    let stack = format!("sim {} day 8: cannot be prepared", treated());
    let expected = "48 × 32 pixels, but the first plane of the stack has 64 × 64";
    assert_refused(plate.path(), &[], &[&stack, "second.tif, page 1", expected]);
}

#[test]
fn a_stack_of_one_file_a_plane_is_the_same_as_one_of_pages() {
    let plate = copy_of_plate();
    split_planes(&plate, Samples::U16);
    let out = tempfile::tempdir().unwrap();
    run(&mut rank_plate(plate.path(), out.path())).assert_success();
    for name in ["ranking.csv", "embeddings.csv"] {
        assert_same_file(&out.path().join(name), &finished().out.join(name));
    }
}

/// Gives the two planes of one stack files of their own, the second one changed, by a column `plane`.
fn split_planes(plate: &TempDir, second: impl Fn(Array3<u16>) -> Samples) {
    let whole = samples(&plate.path().join(image(treated(), 8)));
    let page = |plane: ArrayView2<'_, u16>| plane.to_owned().insert_axis(Axis(0));
    let [first_path, second_path] =
        ["first.tif", "second.tif"].map(|name| plate.path().join("images").join(name));
    write(
        &first_path,
        Samples::U16(page(whole.index_axis(Axis(0), 0))),
    );
    write(&second_path, second(page(whole.index_axis(Axis(0), 1))));

    let name = image(treated(), 8);
    edit_lines(&plate.path().join("images.csv"), |line| {
        let Some(key) = line.strip_prefix(&name) else {
            let plane = if line.starts_with("path,") {
                "plane"
            } else {
                ""
            };
            return Some(format!("{line},{plane}"));
        };
        // The planes count, not the order of the rows.
        Some(format!("images/second.tif{key},1\nimages/first.tif{key},0"))
    });
}
