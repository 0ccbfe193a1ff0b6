use std::path::PathBuf;

use ndarray::{Array3, s};
use proptest::{prelude::*, sample::Index};
use spheroid_imaging::{
    Compression, FocalStack, ImagingError, Limits, PixelSize, Region, Samples, StackReader,
    TiffWriter,
};
use spheroid_testkit::fixture_path;

use crate::corpus::Corpus;

/// What `region` shows of the whole stack.
fn cut(stack: &FocalStack, region: &Region) -> Samples {
    let Region {
        planes,
        rows,
        columns,
        step,
    } = region.clone();
    let step = step as isize;
    macro_rules! cut {
        ($($variant:ident)*) => {
            match stack.samples() {
                $(Samples::$variant(array) => Samples::$variant(
                    array.slice(s![planes, rows; step, columns; step]).to_owned(),
                ),)*
                other => panic!("{other:?}"),
            }
        };
    }
    cut!(U8 I8 U16 I16 U32 I32 F16 F32 F64)
}

fn all(reader: &StackReader) -> Region {
    let info = reader.info();
    Region {
        planes: 0..info.planes,
        rows: 0..info.rows,
        columns: 0..info.columns,
        step: 1,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Of every file of the corpus: strips and tiles, plain and compressed, packed, planar, RGB.
    #[test]
    fn a_region_is_what_the_whole_has_there(
        ends in prop::array::uniform6(any::<Index>()),
        step in 1_usize..6,
    ) {
        let range = |a: usize, b: usize, length: usize| {
            let (a, b) = (ends[a].index(length), ends[b].index(length));
            a.min(b)..a.max(b) + 1
        };
        for files in Corpus::load().good_files() {
            let reader = StackReader::open(&files, &Limits::default()).unwrap();
            let Region { planes, rows, columns, .. } = all(&reader);
            let region = Region {
                planes: range(0, 1, planes.end),
                rows: range(2, 3, rows.end),
                columns: range(4, 5, columns.end),
                step,
            };
            let (whole, found) = (reader.read().unwrap(), reader.read_region(&region).unwrap());
            prop_assert_eq!(found.dim(), region.dim());
            prop_assert!(found.samples() == &cut(&whole, &region), "{:?} {:?}", files, region);
        }
    }
}

/// A stack of `3 × 600 × 500` in strips, one of which, in the middle of plane 1, is damaged.
fn damaged(compression: Compression) -> (FocalStack, StackReader) {
    let samples = Array3::from_shape_fn((3, 600, 500), |(p, r, c)| {
        (p * 7919 + r * 104_729 + c * c * 31) as u16
    });
    let stack = FocalStack::new(Samples::U16(samples)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stack.tif");
    let description = None;
    TiffWriter {
        compression,
        description,
    }
    .write(&path, &stack)
    .unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 2000].fill(0xFF);
    let reader = StackReader::from_bytes("damaged.tif", bytes, &Limits::default()).unwrap();
    (stack, reader)
}

#[test]
fn strips_outside_of_the_region_are_not_decoded() {
    for compression in [Compression::Lzw, Compression::Deflate, Compression::Zstd] {
        let (stack, reader) = damaged(compression);
        let error = reader.read().unwrap_err();
        assert!(
            error
                .to_string()
                .contains("page 2: damaged TIFF: strip or tile 1"),
            "{compression}: {error}"
        );
        for (planes, rows) in [(0..1, 0..600), (2..3, 0..600), (1..2, 0..250), (0..3, 0..1)] {
            let region = Region {
                planes,
                rows,
                ..all(&reader)
            };
            let found = reader.read_region(&region).unwrap();
            assert!(
                found.samples() == &cut(&stack, &region),
                "{compression} {region:?}"
            );
        }
        let within = Region {
            planes: 1..2,
            rows: 300..301,
            columns: 0..1,
            step: 1,
        };
        assert!(matches!(
            reader.read_region(&within),
            Err(ImagingError::Format { page: 2, .. })
        ));
    }
}

#[test]
fn tiles_outside_of_the_region_are_not_decoded() {
    const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
    let path = fixture_path(env!("CARGO_MANIFEST_DIR"), "tiff/region_tiles.tif");
    let bytes = std::fs::read(path).unwrap();
    let open = |bytes| StackReader::from_bytes("tiles.tif", bytes, &Limits::default()).unwrap();
    let whole = open(bytes.clone()).read().unwrap();
    let tiles: Vec<usize> = (0..bytes.len())
        .filter(|&at| bytes[at..].starts_with(&ZSTD_MAGIC))
        .collect();
    assert_eq!((whole.dim(), tiles.len()), ((3, 20, 24), 12));
    for (damaged, &at) in tiles.iter().enumerate() {
        let mut bytes = bytes.clone();
        bytes[at] = 0;
        let reader = open(bytes);
        assert!(reader.read().is_err());
        for tile in 0..tiles.len() {
            let (row, column) = (tile / 2 % 2 * 16, tile % 2 * 16);
            let region = Region {
                planes: tile / 4..tile / 4 + 1,
                rows: row..(row + 16).min(20),
                columns: column..(column + 16).min(24),
                step: 1,
            };
            match reader.read_region(&region) {
                Ok(found) => assert!(found.samples() == &cut(&whole, &region)),
                Err(error) => assert_eq!(tile, damaged, "{error}"),
            }
            assert_eq!(reader.read_region(&region).is_err(), tile == damaged);
        }
    }
}

#[test]
fn every_second_pixel_is_twice_as_large() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("stack.tif");
    let stack = FocalStack::new(Samples::U8(Array3::zeros((1, 5, 7))))
        .unwrap()
        .with_pixel_size(Some(PixelSize { x: 0.5, y: 0.25 }));
    spheroid_imaging::write_stack(&path, &stack).unwrap();
    let reader = StackReader::open(&[path], &Limits::default()).unwrap();
    let region = Region {
        step: 2,
        ..all(&reader)
    };
    let found = reader.read_region(&region).unwrap();
    assert_eq!(found.dim(), (1, 3, 4));
    let size = found.pixel_size().unwrap();
    assert!((size.x - 1.0).abs() < 1e-9 && (size.y - 0.5).abs() < 1e-9);
}

#[test]
fn a_step_beyond_the_frame_takes_the_first_pixel() {
    for files in Corpus::load().good_files() {
        let reader = StackReader::open(&files, &Limits::default()).unwrap();
        let region = Region {
            rows: 1..reader.info().rows,
            step: usize::MAX,
            ..all(&reader)
        };
        let found = reader.read_region(&region).unwrap();
        let whole = reader.read().unwrap();
        assert_eq!(found.dim(), (whole.planes(), 1, 1));
        let first = Region {
            rows: 1..2,
            columns: 0..1,
            step: 1,
            ..region
        };
        assert!(found.samples() == &cut(&whole, &first), "{files:?}");
    }
}

#[test]
fn what_is_no_part_of_the_stack_is_refused() {
    let files = [fixture_path(
        env!("CARGO_MANIFEST_DIR"),
        "tiff/region_plain.tif",
    )];
    let reader = StackReader::open(&files, &Limits::default()).unwrap();
    let whole = all(&reader);
    let (rows, columns) = (whole.rows.end, whole.columns.end);
    for region in [
        Region {
            step: 0,
            ..whole.clone()
        },
        Region {
            planes: 0..0,
            ..whole.clone()
        },
        Region {
            rows: 3..3,
            ..whole.clone()
        },
        Region {
            rows: 1..rows + 1,
            ..whole.clone()
        },
        Region {
            columns: columns..columns + 1,
            ..whole.clone()
        },
        Region {
            columns: 0..usize::MAX,
            ..whole.clone()
        },
        #[expect(
            clippy::reversed_empty_ranges,
            reason = "that it is reversed is what is wrong"
        )]
        Region {
            columns: 5..2,
            ..whole.clone()
        },
    ] {
        let error = reader.read_region(&region).unwrap_err();
        assert!(matches!(error, ImagingError::Region { .. }), "{error}");
    }
}
