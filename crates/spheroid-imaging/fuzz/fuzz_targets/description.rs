//! Any text as the ImageDescription of a small TIFF file: OME-XML, ImageJ's lines, tifffile's JSON.
//!
//! `cargo +nightly fuzz run description` (in the folder of the crate)
//!
//! The first byte chooses how the text begins, so that each parser is reached soon.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spheroid_imaging::{Limits, StackReader};

const HEADS: [&str; 4] = [
    "",
    "ImageJ=1.54f\nimages=",
    "{\"shape\": [",
    "<OME xmlns=\"http://www.openmicroscopy.org/Schemas/OME/2016-06\"><Image><Pixels SizeX=\"2\" SizeY=\"3\" ",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((&head, text)) = bytes.split_first() else {
        return;
    };
    let text = [HEADS[usize::from(head) % HEADS.len()].as_bytes(), text, &[0]].concat();
    let _ = StackReader::from_bytes("fuzz.tif", tiff(&text), &Limits::default());
});

/// One page of 2 × 3 pixels with 8 bits, and this description.
fn tiff(description: &[u8]) -> Vec<u8> {
    const ENTRIES: u32 = 9;
    let data = 8 + 2 + 12 * ENTRIES + 4;
    let mut file = b"II\x2a\0\x08\0\0\0".to_vec();
    file.extend((ENTRIES as u16).to_le_bytes());
    for (tag, kind, count, value) in [
        (256_u16, 4_u16, 1_u32, 2_u32),
        (257, 4, 1, 3),
        (258, 4, 1, 8),
        (259, 4, 1, 1),
        (262, 4, 1, 1),
        (270, 2, description.len() as u32, data + 6),
        (273, 4, 1, data),
        (278, 4, 1, 3),
        (279, 4, 1, 6),
    ] {
        file.extend(tag.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(count.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4 + 6]);
    file.extend(description);
    file
}
