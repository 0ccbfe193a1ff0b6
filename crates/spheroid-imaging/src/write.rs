use std::{
    io::{Seek, Write},
    path::Path,
};

use ndarray::{Array3, Axis};
use spheroid_core::{CoreError, atomic};
use tiff::{
    TiffError,
    encoder::{TiffEncoder, TiffKind, TiffValue, colortype},
};

use crate::{FocalStack, ImagingError, Samples};

/// Above this many bytes of samples the 32-bit offsets of classic TIFF may not suffice.
const CLASSIC_TIFF_BYTES: u64 = (1 << 32) - (1 << 24);

/// Writes `stack` as uncompressed grey TIFF, one page a plane, samples unchanged.
///
/// The file is either whole or not there: it is written beside `path` and renamed. Folders that
/// are missing are created. Stacks of about 4 GiB and more become BigTIFF.
///
/// # Errors
/// When the file cannot be written.
///
/// # Example
/// ```
/// use ndarray::Array3;
/// use spheroid_imaging::{FocalStack, Limits, Samples, read_stack, write_stack};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("B02_d7.tif");
/// let stack = FocalStack::new(Samples::U16(Array3::from_elem((3, 20, 30), 0xAFFA)))?;
/// write_stack(&path, &stack)?;
/// assert_eq!(read_stack(&[path], &Limits::default())?, stack);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_stack(path: &Path, stack: &FocalStack) -> Result<(), ImagingError> {
    let (planes, rows, columns) = stack.dim();
    let bytes =
        planes as u64 * rows as u64 * columns as u64 * u64::from(stack.container_bits() / 8);
    atomic::write_file(path, |out| {
        if bytes < CLASSIC_TIFF_BYTES {
            TiffEncoder::new(out).and_then(|encoder| write_samples(encoder, stack.samples()))
        } else {
            TiffEncoder::new_big(out).and_then(|encoder| write_samples(encoder, stack.samples()))
        }
        .map_err(|error| encode_error(path, error))
    })
}

fn write_samples<W: Write + Seek, K: TiffKind>(
    encoder: TiffEncoder<W, K>,
    samples: &Samples,
) -> Result<(), TiffError> {
    match samples {
        Samples::U8(array) => write_planes::<colortype::Gray8, W, K>(encoder, array),
        Samples::U16(array) => write_planes::<colortype::Gray16, W, K>(encoder, array),
        _ => unimplemented!(),
    }
}

fn write_planes<C: colortype::ColorType, W: Write + Seek, K: TiffKind>(
    mut encoder: TiffEncoder<W, K>,
    array: &Array3<C::Inner>,
) -> Result<(), TiffError>
where
    [C::Inner]: TiffValue,
{
    let (_, rows, columns) = array.dim();
    let (height, width) = (u32::try_from(rows)?, u32::try_from(columns)?);
    for plane in array.axis_iter(Axis(0)) {
        let samples = plane.to_slice().expect("a stack is in row-major order");
        encoder.write_image::<C>(width, height, samples)?;
    }
    Ok(())
}

fn encode_error(path: &Path, error: TiffError) -> ImagingError {
    match error {
        TiffError::IoError(source) => CoreError::Io {
            path: path.to_owned(),
            action: "write",
            source,
        }
        .into(),
        source => ImagingError::Encode {
            path: path.to_owned(),
            source: source.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, read_stack};
    use ndarray::Array;
    use proptest::prelude::*;

    fn round_trip(stack: &FocalStack) -> FocalStack {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stack.tif");
        write_stack(&path, stack).unwrap();
        read_stack(&[path], &Limits::default()).unwrap()
    }

    #[test]
    fn every_tone_survives() {
        let all = Array::from_iter(0..=u16::MAX)
            .into_shape_with_order((4, 128, 128))
            .unwrap();
        let stack = FocalStack::new(Samples::U16(all)).unwrap();
        assert_eq!(round_trip(&stack), stack);
        let all = Array::from_iter(0..=u8::MAX)
            .into_shape_with_order((1, 1, 256))
            .unwrap();
        let stack = FocalStack::new(Samples::U8(all)).unwrap();
        assert_eq!(round_trip(&stack), stack);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"x").unwrap();
        let stack = FocalStack::new(Samples::U8(Array3::zeros((1, 1, 1)))).unwrap();
        let error = write_stack(&file.join("below/stack.tif"), &stack).unwrap_err();
        assert!(
            matches!(error, ImagingError::Core(CoreError::Io { .. })),
            "{error:?}"
        );
        assert!(error.to_string().contains("stack.tif"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn reading_gives_back_what_was_written(
            (planes, rows, columns) in (1_usize..5, 1_usize..20, 1_usize..20),
            seed in any::<u16>(),
        ) {
            let samples = Array::from_shape_fn((planes, rows, columns), |(p, r, c)| {
                seed.wrapping_mul(31).wrapping_add((p * 7919 + r * 104_729 + c * 1299) as u16)
            });
            let stack = FocalStack::new(Samples::U16(samples)).unwrap();
            prop_assert_eq!(round_trip(&stack), stack);
        }
    }
}
