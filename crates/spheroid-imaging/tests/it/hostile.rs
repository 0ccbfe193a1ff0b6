use std::path::PathBuf;

use proptest::{prelude::*, sample::Index};
use spheroid_imaging::{FocalStack, ImagingError, Limits, StackReader};

use crate::corpus::Corpus;

const LIMITS: Limits = Limits {
    max_pixels_per_plane: 600,
    max_planes: 8,
    max_bytes: 4096,
};

fn read_bytes(bytes: &[u8], limits: &Limits) -> Result<FocalStack, ImagingError> {
    StackReader::from_bytes("hostile.tif", bytes.to_vec(), limits)?.read()
}

/// A little-endian TIFF of one page with nothing behind its directory.
fn directory_only(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    const SHORT: u16 = 3;
    let mut bytes = b"II\x2a\0\x08\0\0\0".to_vec();
    bytes.extend((entries.len() as u16).to_le_bytes());
    for &(tag, kind, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        match kind {
            SHORT => bytes.extend([(value as u16).to_le_bytes(), [0, 0]].concat()),
            _ => bytes.extend(value.to_le_bytes()),
        }
    }
    bytes.extend(0_u32.to_le_bytes());
    bytes
}

fn claiming(columns: u32, rows: u32) -> Vec<u8> {
    directory_only(&[
        (256, 4, columns),
        (257, 4, rows),
        (258, 3, 16),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (278, 4, rows),
        (279, 4, 100),
    ])
}

#[test]
fn a_small_file_that_claims_to_be_huge_takes_no_memory() {
    let error = read_bytes(&claiming(1 << 20, 1 << 20), &Limits::default()).unwrap_err();
    let ImagingError::Limits {
        limit: "pixels a plane",
        needed,
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(needed, 1 << 40);
    for side in [u32::MAX, 1 << 31] {
        let error = read_bytes(&claiming(side, side), &Limits::none()).unwrap_err();
        assert!(
            matches!(
                error,
                ImagingError::Limits {
                    limit: "bytes a strip or tile",
                    ..
                }
            ),
            "{error:?}"
        );
    }
}

#[test]
fn the_page_made_by_hand_is_otherwise_sound() {
    let mut bytes = claiming(5, 4);
    bytes.resize(bytes.len() + 40, 7);
    assert_eq!(read_bytes(&bytes, &LIMITS).unwrap().dim(), (1, 4, 5));
    let error = read_bytes(&claiming(50, 4), &LIMITS).unwrap_err();
    let says = "page 1: damaged TIFF: strip or tile 0 has 100 bytes, expected 400";
    assert!(error.to_string().contains(says), "{error}");
    let error = read_bytes(&bytes[..40], &LIMITS).unwrap_err();
    assert!(
        matches!(error, ImagingError::Truncated { page: 1, .. }),
        "{error}"
    );
}

#[test]
fn no_prefix_of_a_file_panics() {
    for files in Corpus::load().good_files() {
        let whole = std::fs::read(&files[0]).unwrap();
        for length in (0..whole.len()).step_by(97) {
            let _ = read_bytes(&whole[..length], &LIMITS);
        }
    }
}

fn any_good_file() -> impl Strategy<Value = Vec<u8>> {
    let files: Vec<PathBuf> = Corpus::load().good_files().into_iter().flatten().collect();
    assert!(files.len() >= 30);
    prop::sample::select(files)
        .prop_map(|path: PathBuf| std::fs::read(path).expect("a file of the corpus"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn changed_bytes_neither_panic_nor_pass_the_limits(
        mut bytes in any_good_file(),
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..12),
        in_directory in any::<bool>(),
        cut in prop::option::of(any::<Index>()),
    ) {
        // Half of the cases leave the pixels alone: most bytes are pixels.
        let first_directory = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
        let from = if in_directory && first_directory + 200 < bytes.len() { first_directory } else { 0 };
        let length = if from > 0 { 200 } else { bytes.len() };
        for (index, value) in changes {
            bytes[from + index.index(length)] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(stack) = read_bytes(&bytes, &LIMITS) {
            let (planes, rows, columns) = stack.dim();
            prop_assert!(planes <= 8 && rows * columns <= 600);
            prop_assert!(planes * rows * columns * (stack.container_bits() as usize / 8) <= 4096);
        }
    }
}
