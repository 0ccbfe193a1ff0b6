use ndarray::ArrayView2;
use spheroid_core::ParamError;

use crate::ImagingError;

/// An 8-bit grey PNG of `plane`, black at `range.0` and below, white at `range.1` and above.
///
/// For eyes only: it keeps at most 256 tones. For data use [`write_stack`](crate::write_stack).
///
/// # Errors
/// When the range is empty or not finite, the plane is empty or too large for PNG, or a pixel is
/// NaN.
///
/// # Example
/// ```
/// let plane = ndarray::arr2(&[[0.0_f32, 0.5, 1.0]]);
/// let png = spheroid_imaging::to_png(plane.view(), (0.0, 1.0))?;
/// assert_eq!(&png[1..4], b"PNG");
/// # Ok::<(), spheroid_imaging::ImagingError>(())
/// ```
pub fn to_png(plane: ArrayView2<'_, f32>, range: (f32, f32)) -> Result<Vec<u8>, ImagingError> {
    let (rows, columns) = plane.dim();
    if plane.is_empty() {
        return Err(ImagingError::Empty {
            planes: 1,
            rows,
            columns,
        });
    }
    let (black, white) = range;
    let span = white - black;
    if !(span.is_finite() && span > 0.0) {
        let got = format!("{black} to {white}");
        return Err(ParamError::new("range", got, "finite, black below white").into());
    }
    let mut grey = Vec::with_capacity(plane.len());
    for ((row, column), &value) in plane.indexed_iter() {
        if value.is_nan() {
            return Err(ImagingError::NotFinite { row, column, value });
        }
        grey.push(((value - black) / span * 255.0).round().clamp(0.0, 255.0) as u8);
    }
    encode(rows, columns, &grey).map_err(|source| ImagingError::Png {
        rows,
        columns,
        source: source.into(),
    })
}

fn encode(rows: usize, columns: usize, grey: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let too_large = |_| std::io::Error::from(std::io::ErrorKind::InvalidInput);
    let (width, height) = (
        u32::try_from(columns).map_err(too_large)?,
        u32::try_from(rows).map_err(too_large)?,
    );
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(grey)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, arr2};

    #[test]
    fn pixels_are_spread_over_the_range_and_clamped() {
        let plane = arr2(&[[-1.0, 0.0, 0.5], [1.0, 2.0, f32::INFINITY]]);
        let png = to_png(plane.view(), (0.0, 1.0)).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(png))
            .read_info()
            .unwrap();
        let mut grey = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut grey).unwrap();
        assert_eq!((info.width, info.height), (3, 2));
        assert_eq!(&grey[..6], [0, 0, 128, 255, 255, 255]);
    }

    #[test]
    fn what_has_no_picture_is_refused() {
        let plane = arr2(&[[0.0, f32::NAN]]);
        let error = to_png(plane.view(), (0.0, 1.0)).unwrap_err();
        assert!(
            matches!(
                error,
                ImagingError::NotFinite {
                    row: 0,
                    column: 1,
                    ..
                }
            ),
            "{error}"
        );
        let empty = Array2::zeros((0, 3));
        assert!(matches!(
            to_png(empty.view(), (0.0, 1.0)),
            Err(ImagingError::Empty { .. })
        ));
        for range in [
            (1.0, 1.0),
            (1.0, 0.0),
            (0.0, f32::NAN),
            (f32::NEG_INFINITY, 0.0),
        ] {
            let plane = arr2(&[[0.0]]);
            assert!(matches!(
                to_png(plane.view(), range),
                Err(ImagingError::Param(_))
            ));
        }
    }
}
