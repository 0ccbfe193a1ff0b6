use std::{collections::BTreeMap, path::PathBuf};

use ndarray::Array3;
use serde::Deserialize;
use spheroid_imaging::{
    Axis, FocalStack, ImagingError, Limits, PixelSize, SampleType, Samples, StackReader, f16,
    read_stack, write_stack,
};
use spheroid_testkit::{fixture_path, json_fixture};

#[derive(Deserialize)]
pub(crate) struct Corpus {
    arrays: BTreeMap<String, Stored>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Stored {
    shape: [usize; 3],
    values: Vec<f64>,
}

#[derive(Deserialize)]
struct Case {
    files: Vec<String>,
    #[serde(flatten)]
    expected: Expected,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Expected {
    Stack {
        array: String,
        #[serde(rename = "type")]
        sample_type: SampleType,
    },
    Error {
        error: String,
        says: String,
    },
}

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

fn path(file: &str) -> PathBuf {
    fixture_path(CRATE, &format!("tiff/{file}"))
}

impl Corpus {
    pub(crate) fn load() -> Self {
        json_fixture(CRATE, "corpus.json")
    }

    /// Files of all stacks that are read.
    pub(crate) fn good_files(&self) -> Vec<Vec<PathBuf>> {
        self.cases
            .iter()
            .filter(|case| matches!(case.expected, Expected::Stack { .. }))
            .map(|case| case.files.iter().map(|file| path(file)).collect())
            .collect()
    }

    pub(crate) fn stack(&self, array: &str, sample_type: SampleType) -> FocalStack {
        let Stored { shape, values } = &self.arrays[array];
        let samples =
            Array3::from_shape_vec(*shape, values.clone()).expect("as many values as the shape");
        FocalStack::new(match sample_type {
            SampleType::U8 => Samples::U8(samples.mapv(|value| value as u8)),
            SampleType::I8 => Samples::I8(samples.mapv(|value| value as i8)),
            SampleType::U16 => Samples::U16(samples.mapv(|value| value as u16)),
            SampleType::I16 => Samples::I16(samples.mapv(|value| value as i16)),
            SampleType::U32 => Samples::U32(samples.mapv(|value| value as u32)),
            SampleType::I32 => Samples::I32(samples.mapv(|value| value as i32)),
            SampleType::F16 => Samples::F16(samples.mapv(f16::from_f64)),
            SampleType::F32 => Samples::F32(samples.mapv(|value| value as f32)),
            SampleType::F64 => Samples::F64(samples),
            other => panic!("no values of type {other}"),
        })
        .expect("a stack with pixels")
    }
}

fn variant(error: &ImagingError) -> String {
    let text = format!("{error:?}");
    text.split([' ', '{', '('])
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn every_file_is_read_exactly_or_refused_by_name() {
    let corpus = Corpus::load();
    let (mut read, mut refused) = (0, 0);
    for case in &corpus.cases {
        let files: Vec<PathBuf> = case.files.iter().map(|file| path(file)).collect();
        let result = read_stack(&files, &Limits::default());
        match &case.expected {
            Expected::Stack { array, sample_type } => {
                let stack = result.unwrap_or_else(|error| panic!("{:?}: {error}", case.files));
                let expected = corpus.stack(array, *sample_type);
                assert!(
                    stack.samples() == expected.samples(),
                    "{:?} differs",
                    case.files
                );
                read += 1;
            }
            Expected::Error {
                error: expected,
                says,
            } => {
                let Err(error) = result else {
                    panic!("{:?} was read", case.files)
                };
                let (text, kind) = (error.to_string(), variant(&error));
                assert_eq!(&kind, expected, "{:?}: {text}", case.files);
                assert!(text.contains(says), "{:?}: {text}", case.files);
                let name = case.files.iter().any(|file| text.contains(file.as_str()));
                assert!(name, "{:?} not named in: {text}", case.files);
                refused += 1;
            }
        }
    }
    assert_eq!((read, refused), (91, 34));
}

fn open(file: &str) -> StackReader {
    StackReader::open(&[path(file)], &Limits::default()).expect("a sound file of the corpus")
}

#[test]
fn directories_tell_the_stack_without_reading_it() {
    for files in Corpus::load().good_files() {
        let reader = StackReader::open(&files, &Limits::default()).unwrap();
        let (info, stack) = (reader.info(), reader.read().unwrap());
        assert_eq!(
            (info.planes, info.rows, info.columns),
            stack.dim(),
            "{files:?}"
        );
        assert_eq!(info.sample_type, stack.sample_type());
    }
    let info = open("bits12.tif").info().clone();
    assert_eq!(
        (info.sample_type, info.bits_per_sample),
        (SampleType::U16, 12)
    );
    assert!(open("white_is_zero.tif").info().white_is_zero);
    assert_eq!(open("frames.ome.tif").info().axis, Axis::Frame);
    assert_eq!(open("imagej_channels.tif").info().axis, Axis::Channel);
    assert_eq!(open("grey_planar.tif").info().axis, Axis::Channel);
}

#[test]
fn files_in_memory_are_read_as_files_on_disk() {
    let bytes = std::fs::read(path("tiled_zlib.tif")).unwrap();
    let reader = StackReader::from_bytes("memory", bytes, &Limits::default()).unwrap();
    assert!(reader.read().unwrap() == open("tiled_zlib.tif").read().unwrap());
    let error = StackReader::from_bytes("memory", vec![0; 9], &Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "memory: not a TIFF file");
}

#[test]
fn one_channel_of_many_is_selected() {
    let corpus = Corpus::load();
    let expected = [("z16", 0), ("hyper_1", 1)]
        .map(|(array, channel)| (corpus.stack(array, SampleType::U16), channel));
    for file in [
        "hyper_imagej.tif",
        "hyper_imagej_zct.tif",
        "hyper_samples.tif",
        "hyper_samples.ome.tif",
        "hyper_zcyx.ome.tif",
        "hyper_czyx.ome.tif",
        "hyper_tifffile.tif",
    ] {
        let info = open(file).info().clone();
        assert_eq!(
            (info.planes, info.channels, info.frames),
            (3, 2, 1),
            "{file}"
        );
        assert!(
            matches!(open(file).read(), Err(ImagingError::Hyperstack { .. })),
            "{file}"
        );
        for (expected, channel) in &expected {
            let found = open(file).select(*channel, 0).unwrap().read().unwrap();
            assert!(
                found.samples() == expected.samples(),
                "{file}, channel {channel}"
            );
        }
        let error = open(file).select(2, 0).unwrap_err();
        assert!(error.to_string().contains("no channel 2"), "{error}");
        assert!(open(file).select(0, 1).is_err());
    }
}

#[test]
fn calibrations_are_read_in_micrometres() {
    let close = |found: Option<f64>, expected: f64| {
        let found = found.unwrap();
        assert!((found / expected - 1.0).abs() < 1e-6, "{found} {expected}");
    };
    for (file, x, y) in [
        ("calibrated_imagej.tif", 0.65, 0.5),
        ("calibrated.ome.tif", 0.65, 0.5),
        ("calibrated_cm.tif", 0.5, 1.0),
    ] {
        let stack = open(file).read().unwrap();
        close(stack.pixel_size().map(|size| size.x), x);
        close(stack.pixel_size().map(|size| size.y), y);
    }
    for file in ["calibrated_imagej.tif", "calibrated.ome.tif"] {
        close(open(file).info().plane_spacing, 2.5);
    }
    assert_eq!(
        open("calibrated.ome.tif").info().plane_positions,
        [1.0, 3.5, 6.0]
    );
    // Each file tells the heights of all three planes, and not which of them it holds.
    let parts = [0, 1, 2].map(|part| path(&format!("calibrated_part_{part}.tif")));
    let parts = StackReader::open(&parts, &Limits::default()).unwrap();
    assert_eq!(
        (parts.info().planes, &parts.info().plane_positions[..]),
        (3, &[][..])
    );
    assert!(
        open("calibrated_imagej.tif")
            .info()
            .plane_positions
            .is_empty()
    );
    assert_eq!(
        open("grey16.tif").read().unwrap().pixel_size(),
        None::<PixelSize>
    );
}

#[test]
fn what_was_read_is_written_back_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.tif");
    for files in Corpus::load().good_files() {
        let stack = read_stack(&files, &Limits::default()).unwrap();
        write_stack(&copy, &stack).unwrap();
        let found = read_stack(std::slice::from_ref(&copy), &Limits::default()).unwrap();
        assert!(found == stack, "{files:?}");
    }
}

#[test]
fn limits_are_kept_and_named() {
    let files = [path("grey16.tif")];
    let exact = Limits {
        max_pixels_per_plane: 480,
        max_planes: 3,
        max_bytes: 2880,
    };
    assert!(read_stack(&files, &exact).is_ok());
    assert!(read_stack(&files, &Limits::none()).is_ok());
    for (limits, says) in [
        (
            Limits {
                max_pixels_per_plane: 479,
                ..exact
            },
            "needs 480 pixels a plane",
        ),
        (
            Limits {
                max_planes: 2,
                ..exact
            },
            "needs 3 pages",
        ),
        (
            Limits {
                max_bytes: 2879,
                ..exact
            },
            "needs 2880 bytes",
        ),
    ] {
        let error = read_stack(&files, &limits).unwrap_err();
        assert!(matches!(error, ImagingError::Limits { .. }), "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(read_stack(&files, &limits).is_err());
    }
    // Over several files, too.
    let planes: Vec<PathBuf> = (0..3).map(|i| path(&format!("plane_{i}.tif"))).collect();
    let error = read_stack(
        &planes,
        &Limits {
            max_planes: 2,
            ..exact
        },
    )
    .unwrap_err();
    assert!(
        error.to_string().contains("plane_2.tif: needs 3 pages"),
        "{error}"
    );
}

#[test]
fn what_is_no_file_is_named() {
    let error = read_stack(&[], &Limits::default()).unwrap_err();
    assert!(matches!(error, ImagingError::NoFiles));
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.tif");
    let error = read_stack(std::slice::from_ref(&missing), &Limits::default()).unwrap_err();
    assert!(
        matches!(error, ImagingError::Io { action: "open", .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("missing.tif"), "{error}");
    let error = read_stack(&[folder.path().to_owned()], &Limits::default()).unwrap_err();
    assert!(
        matches!(error, ImagingError::Io { action: "read", .. }),
        "{error:?}"
    );
}

#[test]
fn public_types_cross_threads() {
    fn check<T: Send + Sync>() {}
    check::<FocalStack>();
    check::<ImagingError>();
    check::<Limits>();
}
