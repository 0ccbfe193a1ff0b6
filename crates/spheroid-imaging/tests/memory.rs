//! No file takes more memory than its limits and a constant.
//!
//! One test, and a binary of its own: what is counted is all that the process allocates.

use std::{fs, io::Write, path::Path};

use flate2::{Compression, write::ZlibEncoder};
use peak_alloc::PeakAlloc;
use spheroid_imaging::{FocalStack, ImagingError, Limits, StackReader};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Reads a file in memory; gives the result and the bytes that it took at its peak, those of the file
/// not counted.
fn measured(bytes: Vec<u8>, limits: &Limits) -> (Result<FocalStack, ImagingError>, usize) {
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let result =
        StackReader::from_bytes("hostile.tif", bytes, limits).and_then(|reader| reader.read());
    (result, HEAP.peak_usage() - before)
}

/// A directory of a little-endian TIFF: tag, type, count and value or offset.
type Entry = (u16, u16, u32, u32);

const SHORT: u16 = 3;
const LONG: u16 = 4;

fn page(rows: u32, columns: u32, bits: u32, compression: u32) -> Vec<Entry> {
    vec![
        (256, LONG, 1, columns),
        (257, LONG, 1, rows),
        (258, SHORT, 1, bits),
        (259, SHORT, 1, compression),
        (262, SHORT, 1, 1),
    ]
}

/// `head` behind the header, then directories one after the other.
fn tiff(head: &[u8], directories: &[Vec<Entry>]) -> Vec<u8> {
    let mut file = b"II\x2a\0".to_vec();
    file.extend((8 + head.len() as u32).to_le_bytes());
    file.extend(head);
    for (number, entries) in directories.iter().enumerate() {
        file.extend((entries.len() as u16).to_le_bytes());
        for (tag, kind, count, value) in entries {
            file.extend(tag.to_le_bytes());
            file.extend(kind.to_le_bytes());
            file.extend(count.to_le_bytes());
            file.extend(value.to_le_bytes());
        }
        let next = match number + 1 < directories.len() {
            true => file.len() as u32 + 4,
            false => 0,
        };
        file.extend(next.to_le_bytes());
    }
    file
}

/// One strip of `stored` bytes that follow the header.
fn one_strip(rows: u32, columns: u32, compression: u32, stored: &[u8]) -> Vec<u8> {
    let mut entries = page(rows, columns, 16, compression);
    entries.extend([(273, LONG, 1, 8), (278, LONG, 1, rows)]);
    entries.push((279, LONG, 1, stored.len() as u32));
    tiff(stored, &[entries])
}

/// Pages with a strip for each of their rows, which all share one table.
fn shared_table(pages: usize, rows: u32) -> Vec<u8> {
    let table: Vec<u8> = (0..rows).flat_map(|_| 8_u32.to_le_bytes()).collect();
    let mut entries = page(rows, 1, 8, 1);
    entries.extend([
        (273, LONG, rows, 8),
        (278, LONG, 1, 1),
        (279, LONG, rows, 8),
    ]);
    tiff(&table, &vec![entries; pages])
}

/// Strips of one pixel of 256 samples, in a table of bytes.
fn many_samples() -> Vec<u8> {
    const BYTE: u16 = 1;
    let rows = 1 << 22;
    let mut entries = page(rows, 1, 8, 1);
    entries.extend([
        (273, BYTE, rows, 8),
        (277, SHORT, 1, 256),
        (278, LONG, 1, 1),
    ]);
    tiff(&vec![8; rows as usize], &[entries])
}

/// One row of tiles of one column and `tile_rows`, or one tile as wide as the page.
fn tiled(columns: u32, bits: u32, tile_rows: u32) -> Vec<u8> {
    let tile_columns = if bits == 8 { 1 } else { columns };
    let mut entries = page(1, columns, bits, 8);
    entries.extend([(322, LONG, 1, tile_columns), (323, LONG, 1, tile_rows)]);
    entries.extend([(324, LONG, 1, 8), (325, LONG, 1, 8)]);
    tiff(&[0; 16], &[entries])
}

/// OME-XML with an element of as many attributes as 16 MiB hold.
fn many_attributes() -> String {
    let attributes: String = (0..1_500_000).map(|n| format!(" a{n:06}=''")).collect();
    format!(
        r#"<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Pixels{attributes}/></OME>"#
    )
}

fn described(text: &str) -> Vec<u8> {
    let mut entries = page(3, 2, 8, 1);
    entries.push((270, 2, text.len() as u32, 8));
    entries.extend([(273, LONG, 1, 8), (278, LONG, 1, 3), (279, LONG, 1, 6)]);
    tiff(text.as_bytes(), &[entries])
}

/// OME-XML whose `TiffData` elements each place four million pages elsewhere.
fn many_places() -> String {
    let elements: String = (0..50)
        .map(|n| {
            let page = n * 4_000_000;
            format!(r#"<TiffData IFD="{page}" FirstZ="1" PlaneCount="4000000"/>"#)
        })
        .collect();
    format!(
        r#"<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><Pixels SizeX="2"
        SizeY="3" SizeZ="4294967296" SizeC="1" SizeT="1">{elements}</Pixels></Image></OME>"#
    )
}

fn small_files() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiff");
    let files = fs::read_dir(folder).expect("the corpus");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| fs::read(path).expect("a file of the corpus"))
        .collect()
}

#[test]
fn no_file_takes_more_memory_than_its_limits_and_a_constant() {
    let default = Limits::default();
    // The pool of threads, and whatever else is there to stay.
    let files = small_files();
    assert!(files.len() >= 100);
    files
        .iter()
        .for_each(|file| drop(measured(file.clone(), &default)));

    let zeros = vec![0; MIB];
    let mut bomb = ZlibEncoder::new(Vec::new(), Compression::best());
    (0..256).for_each(|_| bomb.write_all(&zeros).expect("memory"));
    let bomb = bomb.finish().expect("memory");
    assert!(bomb.len() < 300 * KIB);

    // What it is, the file, whether it is read, and the most that it may take.
    let hostile = [
        (
            "a frame beyond the limit",
            one_strip(1 << 20, 1 << 20, 1, &[0; 16]),
            false,
            16 * KIB,
        ),
        (
            "a strip that is not there",
            one_strip(8000, 8000, 1, &[0; 16]),
            false,
            130 * MIB,
        ),
        (
            "256 MiB in 256 KiB",
            one_strip(100, 100, 8, &bomb),
            true,
            MIB,
        ),
        (
            "one table for many pages",
            shared_table(200, 1 << 16),
            false,
            40 * MIB,
        ),
        ("many samples in many strips", many_samples(), false, MIB),
        (
            "tiles far beyond the page",
            tiled(1 << 22, 8, u32::MAX),
            false,
            MIB,
        ),
        (
            "a tile of 2 bits a sample",
            tiled(1 << 17, 2, 1 << 17),
            false,
            MIB,
        ),
        (
            "places of 200 million pages",
            described(&many_places()),
            false,
            MIB,
        ),
        (
            "two million attributes",
            described(&many_attributes()),
            false,
            64 * MIB,
        ),
    ];
    for (what, bytes, read, most) in hostile {
        let (result, taken) = measured(bytes, &default);
        assert_eq!(result.is_ok(), read, "{what}: {result:?}");
        assert!(taken <= most, "{what}: {taken} bytes");
    }

    // Sound files of 1 to 9 kB, one to four of whose bytes are changed, under limits that let most of
    // them through.
    let limits = Limits {
        max_pixels_per_plane: 600,
        max_planes: 8,
        max_bytes: 8192,
    };
    let (mut state, mut read) = (1_u64, 0);
    let mut random = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for round in 0..60 {
        for (number, file) in files
            .iter()
            .enumerate()
            .filter(|(_, file)| !file.is_empty())
        {
            let mut bytes = file.clone();
            for _ in 0..1 + random(4) {
                let at = random(bytes.len());
                bytes[at] = random(256) as u8;
            }
            let (result, taken) = measured(bytes, &limits);
            read += usize::from(result.is_ok());
            assert!(
                taken <= limits.max_bytes as usize + MIB,
                "{round}, {number}: {taken} bytes"
            );
        }
    }
    assert!(read > 1000, "{read} read");
}
