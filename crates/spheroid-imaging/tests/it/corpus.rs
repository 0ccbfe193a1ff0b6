use std::{collections::BTreeMap, path::PathBuf};

use ndarray::Array3;
use serde::Deserialize;
use spheroid_imaging::{
    FocalStack, ImagingError, Limits, SampleType, Samples, inspect, read_stack, write_stack,
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
    values: Vec<u16>,
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

    fn stack(&self, array: &str, sample_type: SampleType) -> FocalStack {
        let Stored { shape, values } = &self.arrays[array];
        let samples =
            Array3::from_shape_vec(*shape, values.clone()).expect("as many values as the shape");
        FocalStack::new(match sample_type {
            SampleType::U8 => {
                Samples::U8(samples.mapv(|value| u8::try_from(value).expect("a byte")))
            }
            _ => Samples::U16(samples),
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
                assert!(
                    stack == corpus.stack(array, *sample_type),
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
    assert_eq!((read, refused), (27, 31));
}

#[test]
fn inspection_tells_the_stack_without_reading_it() {
    let corpus = Corpus::load();
    let mut inspected = 0;
    for files in corpus.good_files().iter().filter(|files| files.len() == 1) {
        let info = inspect(&files[0], &Limits::default()).unwrap();
        let stack = read_stack(files, &Limits::default()).unwrap();
        assert_eq!(
            (info.pages, info.rows, info.columns),
            stack.dim(),
            "{files:?}"
        );
        assert_eq!(info.sample_type, stack.sample_type());
        inspected += 1;
    }
    assert_eq!(inspected, 25);
    let error = inspect(&path("white_is_zero.tif"), &Limits::default()).unwrap_err();
    assert!(
        matches!(error, ImagingError::Unsupported { page: 1, .. }),
        "{error}"
    );
}

#[test]
fn what_was_read_is_written_back_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.tif");
    for files in Corpus::load().good_files() {
        let stack = read_stack(&files, &Limits::default()).unwrap();
        write_stack(&copy, &stack).unwrap();
        assert!(read_stack(std::slice::from_ref(&copy), &Limits::default()).unwrap() == stack);
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
        assert!(inspect(&files[0], &limits).is_err());
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
