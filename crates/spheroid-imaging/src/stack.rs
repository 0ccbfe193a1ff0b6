use ndarray::{Array2, Array3, Axis};
use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;

use crate::{Depth, ImagingError, PixelSize, Sample, SampleType, Samples, sample::with_samples};

/// The range of counts that becomes 0 to 1.
///
/// Values outside the range are not clamped: they become smaller than 0 or larger than 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Scale {
    /// The range of the sample type: for `uint16` 0 to 65,535, for `int16` −32,768 to 32,767, for
    /// floating point 0 to 1. The same for all files of one type, so intensities stay comparable.
    Container,
    /// From 0 to the largest value of the sample type: as `Container`, but for signed samples, in which
    /// light is counted from 0 up. What is proportional to light stays so.
    Positive,
    /// From 0 to the largest value that a sensor of this depth can give, as it is stored. For
    /// unsigned samples; measure the depth once, over all images that are to be compared.
    Effective(Depth),
    /// From `min` to `max`, in counts.
    Range {
        /// Counts that become 0.
        min: f64,
        /// Counts that become 1.
        max: f64,
    },
}

impl Scale {
    /// Factor and offset such that `factor · counts + offset` is the scaled value.
    fn linear(self, sample_type: SampleType) -> Result<(f64, f64), ParamError> {
        let (min, max) = match self {
            Self::Container => sample_type.range(),
            Self::Positive => (0.0, sample_type.range().1),
            Self::Effective(depth) => (0.0, depth.max()),
            Self::Range { min, max } => (min, max),
        };
        let span = max - min;
        if span.is_finite() && span > 0.0 {
            Ok((1.0 / span, -min / span))
        } else {
            let got = format!("{min} to {max}");
            Err(ParamError::new(
                "scale",
                got,
                "a finite range with min < max",
            ))
        }
    }
}

/// The pictures of one well at one time, one for each focal plane.
///
/// Holds at least one pixel, in row-major order.
///
/// # Example
/// ```
/// use ndarray::arr3;
/// use spheroid_imaging::{FocalStack, Samples, Scale};
///
/// let stack = FocalStack::new(Samples::U16(arr3(&[[[0, 13_107]], [[65_535, 1]]])))?;
/// assert_eq!((stack.planes(), stack.rows(), stack.columns()), (2, 1, 2));
/// assert_eq!(stack.plane_f32(0, Scale::Container)?[[0, 1]], 0.2);
/// # Ok::<(), spheroid_imaging::ImagingError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FocalStack {
    samples: Samples,
    pixel_size: Option<PixelSize>,
    white_is_zero: bool,
}

impl FocalStack {
    /// A stack of `samples`, without a pixel size.
    ///
    /// # Errors
    /// When there is no pixel.
    pub fn new(samples: Samples) -> Result<Self, ImagingError> {
        let (planes, rows, columns) = samples.dim();
        if planes == 0 || rows == 0 || columns == 0 {
            return Err(ImagingError::Empty {
                planes,
                rows,
                columns,
            });
        }
        Ok(Self {
            samples: with_samples!(samples, array => Sample::wrap(row_major(array))),
            pixel_size: None,
            white_is_zero: false,
        })
    }

    /// The same stack with another pixel size.
    pub fn with_pixel_size(self, pixel_size: Option<PixelSize>) -> Self {
        Self { pixel_size, ..self }
    }

    /// The same samples, with small ones meaning bright if `white_is_zero`.
    pub fn with_white_is_zero(self, white_is_zero: bool) -> Self {
        Self {
            white_is_zero,
            ..self
        }
    }

    /// The samples as they were stored.
    pub fn samples(&self) -> &Samples {
        &self.samples
    }

    /// Gives the samples away.
    pub fn into_samples(self) -> Samples {
        self.samples
    }

    /// Size of a pixel, where the file says it.
    pub fn pixel_size(&self) -> Option<PixelSize> {
        self.pixel_size
    }

    /// Whether small samples are bright and large ones dark, as in files whose photometric
    /// interpretation is "white is zero". The samples are as stored all the same;
    /// [`plane_f32`](Self::plane_f32) turns them round.
    pub fn white_is_zero(&self) -> bool {
        self.white_is_zero
    }

    /// Type of the samples.
    pub fn sample_type(&self) -> SampleType {
        self.samples.sample_type()
    }

    /// Number of planes, rows and columns.
    pub fn dim(&self) -> (usize, usize, usize) {
        self.samples.dim()
    }

    /// Number of focal planes, at least 1.
    pub fn planes(&self) -> usize {
        self.dim().0
    }

    /// Number of rows of a plane, at least 1.
    pub fn rows(&self) -> usize {
        self.dim().1
    }

    /// Number of columns of a plane, at least 1.
    pub fn columns(&self) -> usize {
        self.dim().2
    }

    /// Number of bits in which a sample is stored; for the number that carries information see
    /// [`effective_depth`](crate::effective_depth).
    pub fn container_bits(&self) -> u32 {
        self.sample_type().bits()
    }

    /// Plane `plane` with intensities from 0 to 1 over the range that `scale` names; from 1 to 0
    /// where [white is zero](Self::white_is_zero).
    ///
    /// No tone of up to 16 bits is lost: different counts give different values. 32-bit integers and
    /// `f64` have more tones than `f32` can tell apart and come out as the nearest.
    ///
    /// # Errors
    /// When there is no such plane, or the range is empty or not finite.
    pub fn plane_f32(&self, plane: usize, scale: Scale) -> Result<Array2<f32>, ImagingError> {
        self.check_plane(plane)?;
        let (mut factor, mut offset) = scale.linear(self.sample_type())?;
        if self.white_is_zero {
            (factor, offset) = (-factor, 1.0 - offset);
        }
        // In `f64`, so that every tone of a 16-bit image comes out as its nearest `f32`.
        let scaled = |counts: f64| (counts * factor + offset) as f32;
        Ok(with_samples!(&self.samples, array => {
            array.index_axis(Axis(0), plane).mapv(|counts| scaled(counts.to_f64()))
        }))
    }

    /// The samples of plane `plane` as little-endian bytes, row by row: the same on every machine, so
    /// that digests can be compared.
    ///
    /// # Errors
    /// When there is no such plane.
    pub fn plane_bytes(&self, plane: usize) -> Result<Vec<u8>, ImagingError> {
        self.check_plane(plane)?;
        let mut bytes = with_samples!(&self.samples, array => {
            let plane = array.index_axis(Axis(0), plane);
            let samples = plane.to_slice().expect("a stack is in row-major order");
            bytemuck::cast_slice::<_, u8>(samples).to_vec()
        });
        if cfg!(target_endian = "big") {
            let size = self.sample_type().bits() as usize / 8;
            bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
        Ok(bytes)
    }

    /// Accepts the planes that there are.
    pub(crate) fn check_plane(&self, plane: usize) -> Result<(), ImagingError> {
        let planes = self.planes();
        if plane < planes {
            Ok(())
        } else {
            Err(ImagingError::NoSuchPlane { plane, planes })
        }
    }
}

fn row_major<T: Clone>(array: Array3<T>) -> Array3<T> {
    if array.is_standard_layout() {
        array
    } else {
        array.as_standard_layout().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, arr3};

    #[test]
    fn a_stack_without_pixels_is_refused() {
        for shape in [(0, 2, 2), (2, 0, 2), (2, 2, 0)] {
            let error = FocalStack::new(Samples::U16(Array3::zeros(shape))).unwrap_err();
            assert!(matches!(error, ImagingError::Empty { .. }), "{error}");
        }
        let error = FocalStack::new(Samples::U8(Array3::zeros((3, 0, 7)))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "3 planes of 0 × 7 pixels: there must be at least one pixel"
        );
    }

    #[test]
    fn sizes_and_depths_are_those_of_the_samples() {
        let stack = FocalStack::new(Samples::U8(Array3::zeros((2, 3, 4)))).unwrap();
        assert_eq!((stack.planes(), stack.rows(), stack.columns()), (2, 3, 4));
        assert_eq!(
            (stack.container_bits(), stack.sample_type()),
            (8, SampleType::U8)
        );
        let stack = FocalStack::new(Samples::U16(Array3::zeros((1, 1, 1)))).unwrap();
        assert_eq!(
            (
                stack.container_bits(),
                stack.sample_type().to_string().as_str()
            ),
            (16, "uint16")
        );
    }

    #[test]
    fn the_container_scale_keeps_all_65536_tones_apart() {
        let all = Array::from_iter(0..=u16::MAX)
            .into_shape_with_order((1, 256, 256))
            .unwrap();
        let stack = FocalStack::new(Samples::U16(all)).unwrap();
        let plane = stack.plane_f32(0, Scale::Container).unwrap();
        let values = plane.as_slice().unwrap();
        assert!(values.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!((values[0], values[65_535]), (0.0, 1.0));
        assert_eq!(values[0xAAAA], 0.666_666_7);
    }

    #[test]
    fn a_range_is_not_clamped() {
        let stack = FocalStack::new(Samples::U8(arr3(&[[[0, 10, 20, 30]]]))).unwrap();
        let plane = stack
            .plane_f32(
                0,
                Scale::Range {
                    min: 10.0,
                    max: 20.0,
                },
            )
            .unwrap();
        assert_eq!(plane.as_slice().unwrap(), [-1.0, 0.0, 1.0, 2.0]);
    }

    #[test]
    fn white_is_zero_turns_intensities_round_and_no_samples() {
        let samples = Samples::U8(arr3(&[[[0, 51, 255]]]));
        let stack = FocalStack::new(samples.clone())
            .unwrap()
            .with_white_is_zero(true);
        let plane = stack.plane_f32(0, Scale::Container).unwrap();
        assert_eq!(plane.as_slice().unwrap(), [1.0, 0.8, 0.0]);
        assert_eq!(stack.samples(), &samples);
    }

    #[test]
    fn containers_of_every_kind_have_their_range() {
        let scaled = |samples| {
            let stack = FocalStack::new(samples).unwrap();
            stack
                .plane_f32(0, Scale::Container)
                .unwrap()
                .into_raw_vec_and_offset()
                .0
        };
        assert_eq!(scaled(Samples::I8(arr3(&[[[-128, 127]]]))), [0.0, 1.0]);
        assert_eq!(
            scaled(Samples::I16(arr3(&[[[i16::MIN, i16::MAX]]]))),
            [0.0, 1.0]
        );
        assert_eq!(scaled(Samples::U32(arr3(&[[[0, u32::MAX]]]))), [0.0, 1.0]);
        assert_eq!(scaled(Samples::F64(arr3(&[[[-0.5, 2.0]]]))), [-0.5, 2.0]);
        let signed = FocalStack::new(Samples::I8(arr3(&[[[-127, 0, 127]]]))).unwrap();
        let plane = signed.plane_f32(0, Scale::Positive).unwrap();
        assert_eq!(plane.as_slice().unwrap(), [-1.0, 0.0, 1.0]);
    }

    #[test]
    fn a_sensor_of_12_bits_fills_its_effective_scale() {
        let depth = |widening| crate::Depth {
            container_bits: 16,
            effective_bits: 12,
            widening,
        };
        for (widening, highest) in [
            (crate::Widening::None, 4095),
            (crate::Widening::Shift, 4095 << 4),
            (crate::Widening::Replication, u16::MAX),
        ] {
            let stack = FocalStack::new(Samples::U16(arr3(&[[[0, highest]]]))).unwrap();
            let plane = stack
                .plane_f32(0, Scale::Effective(depth(widening)))
                .unwrap();
            assert_eq!(plane.as_slice().unwrap(), [0.0, 1.0]);
        }
    }

    #[test]
    fn bytes_of_a_plane_are_little_endian() {
        let stack = FocalStack::new(Samples::U16(arr3(&[[[1, 2]], [[0x0304, 5]]]))).unwrap();
        assert_eq!(stack.plane_bytes(1).unwrap(), [4, 3, 5, 0]);
        assert!(stack.plane_bytes(2).is_err());
    }

    #[test]
    fn bad_ranges_and_planes_are_refused() {
        let stack = FocalStack::new(Samples::U8(arr3(&[[[0]]]))).unwrap();
        for (min, max) in [
            (1.0, 1.0),
            (2.0, 1.0),
            (f64::NAN, 1.0),
            (0.0, f64::INFINITY),
        ] {
            let error = stack.plane_f32(0, Scale::Range { min, max }).unwrap_err();
            assert!(matches!(error, ImagingError::Param(_)), "{error}");
        }
        let error = stack.plane_f32(1, Scale::Container).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no plane 1 in a stack of 1 (counted from 0)"
        );
    }

    #[test]
    fn other_memory_layouts_hold_the_same_picture() {
        let array = Array::from_iter(0..24_u16)
            .into_shape_with_order((2, 3, 4))
            .unwrap();
        let turned = array.clone().permuted_axes([2, 1, 0]);
        let stack = FocalStack::new(Samples::U16(turned.clone())).unwrap();
        let Samples::U16(kept) = stack.samples() else {
            panic!("type changed")
        };
        assert!(kept.is_standard_layout());
        assert_eq!(kept, &turned);
    }
}
