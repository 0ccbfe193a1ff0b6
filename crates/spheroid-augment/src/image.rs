use ndarray::{Array2, Array3, ArrayView2, ArrayView3, CowArray, Ix2, Ix3};
use spheroid_core::ParamError;

use crate::{AugmentError, Pixel};

/// What a transform works on: the planes of a focal stack or the colours of a picture, and the mask of
/// the spheroid where there is one.
///
/// Planes are focal planes unless [`as_rgb`](Self::as_rgb) declares them colours: only then may a
/// transform mix them. Geometric transforms move planes and mask alike. Samples may be borrowed, so that
/// a crop of a large frame copies only what it needs.
///
/// # Shapes
/// Samples `[plane, row, column]`, mask `[row, column]`.
///
/// # Example
/// ```
/// use ndarray::Array3;
/// use spheroid_augment::Image;
///
/// let stack = Array3::<u16>::zeros((3, 32, 32));
/// let image = Image::new(&stack)?.with_box(8, 8, 16, 16)?;
/// assert_eq!(image.dim(), (3, 32, 32));
/// assert!(!image.is_rgb() && image.mask().is_some_and(|mask| mask[[8, 8]]));
/// # Ok::<(), spheroid_augment::AugmentError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Image<'a, T> {
    samples: CowArray<'a, T, Ix3>,
    rgb: bool,
    mask: Option<CowArray<'a, bool, Ix2>>,
}

impl<'a, T: Pixel> Image<'a, T> {
    /// A focal stack, owned or borrowed, without a mask.
    ///
    /// # Errors
    /// When there is no pixel.
    pub fn new(samples: impl Into<CowArray<'a, T, Ix3>>) -> Result<Self, AugmentError> {
        let samples = samples.into();
        let (planes, rows, columns) = samples.dim();
        if samples.is_empty() {
            return Err(AugmentError::Empty {
                planes,
                rows,
                columns,
            });
        }
        Ok(Self {
            samples,
            rgb: false,
            mask: None,
        })
    }

    /// The same image with its planes declared red, green and blue.
    ///
    /// # Errors
    /// When there are not three planes.
    pub fn as_rgb(self) -> Result<Self, AugmentError> {
        let planes = self.dim().0;
        if planes != 3 {
            return Err(AugmentError::Planes {
                what: "an RGB image",
                planes,
                rule: "3",
            });
        }
        Ok(Self { rgb: true, ..self })
    }

    /// The same image with the mask of its spheroid, true inside.
    ///
    /// # Errors
    /// When the mask has another size than a plane.
    pub fn with_mask(self, mask: impl Into<CowArray<'a, bool, Ix2>>) -> Result<Self, AugmentError> {
        let mask = mask.into();
        let (_, rows, columns) = self.dim();
        if mask.dim() != (rows, columns) {
            let got = format!("{} × {}", mask.nrows(), mask.ncols());
            return Err(ParamError::new("mask", got, "of the size of a plane").into());
        }
        Ok(Self {
            mask: Some(mask),
            ..self
        })
    }

    /// The same image with a rectangle as the mask of its spheroid, in pixels.
    ///
    /// # Errors
    /// When the rectangle is empty or reaches beyond the image.
    pub fn with_box(
        self,
        top: usize,
        left: usize,
        height: usize,
        width: usize,
    ) -> Result<Self, AugmentError> {
        let (_, rows, columns) = self.dim();
        let inside = |from: usize, extent: usize, end: usize| {
            extent > 0 && from.checked_add(extent).is_some_and(|last| last <= end)
        };
        if !inside(top, height, rows) || !inside(left, width, columns) {
            let got = format!("{height} × {width} at {top}, {left}");
            return Err(ParamError::new("box", got, "not empty and inside the image").into());
        }
        let mask = Array2::from_shape_fn((rows, columns), |(row, column)| {
            (top..top + height).contains(&row) && (left..left + width).contains(&column)
        });
        self.with_mask(mask)
    }

    /// Number of planes, rows and columns, each at least 1.
    pub fn dim(&self) -> (usize, usize, usize) {
        self.samples.dim()
    }

    /// Whether the planes are colours.
    pub fn is_rgb(&self) -> bool {
        self.rgb
    }

    /// The samples.
    pub fn samples(&self) -> ArrayView3<'_, T> {
        self.samples.view()
    }

    /// The mask of the spheroid.
    pub fn mask(&self) -> Option<ArrayView2<'_, bool>> {
        self.mask.as_ref().map(|mask| mask.view())
    }

    /// Gives the samples away, in row-major order.
    pub fn into_samples(self) -> Array3<T> {
        row_major(self.samples.into_owned())
    }

    /// The same image, with samples of its own in row-major order.
    pub fn into_owned(self) -> Image<'static, T> {
        Image {
            samples: row_major(self.samples.into_owned()).into(),
            rgb: self.rgb,
            mask: self.mask.map(|mask| mask.into_owned().into()),
        }
    }

    /// The same image, borrowed.
    pub fn view(&self) -> Image<'_, T> {
        Image {
            samples: self.samples.view().into(),
            rgb: self.rgb,
            mask: self.mask.as_ref().map(|mask| mask.view().into()),
        }
    }

    /// The image on the unit scale; nothing is copied when it is there already.
    pub(crate) fn into_unit(self) -> Image<'a, f32> {
        Image {
            samples: T::into_unit_array(self.samples),
            rgb: self.rgb,
            mask: self.mask,
        }
    }

    /// Lets `change` work on the samples in place, on the unit scale and in row-major order.
    pub(crate) fn change_unit(self, change: impl FnOnce(&mut Array3<f32>)) -> Self {
        let mut unit = row_major(T::into_unit_array(self.samples).into_owned());
        change(&mut unit);
        Self {
            samples: T::from_unit_array(unit).into(),
            rgb: self.rgb,
            mask: self.mask,
        }
    }

    /// Replaces the samples, and the mask by what `mask` makes of it.
    pub(crate) fn map<'b, U: Pixel>(
        self,
        samples: impl FnOnce(CowArray<'a, T, Ix3>) -> CowArray<'b, U, Ix3>,
        mask: impl FnOnce(CowArray<'a, bool, Ix2>) -> CowArray<'b, bool, Ix2>,
    ) -> Image<'b, U> {
        Image {
            samples: samples(self.samples),
            rgb: self.rgb,
            mask: self.mask.map(mask),
        }
    }

    /// Replaces the samples by others of the same size.
    pub(crate) fn with_samples(
        self,
        samples: impl FnOnce(CowArray<'a, T, Ix3>) -> Array3<T>,
    ) -> Self {
        Self {
            samples: samples(self.samples).into(),
            rgb: self.rgb,
            mask: self.mask,
        }
    }

    /// Takes some of the planes; what is left are focal planes.
    pub(crate) fn select_planes(self, planes: &[usize]) -> Self {
        let samples = match planes {
            &[only] => self.samples.slice_move(ndarray::s![only..=only, .., ..]),
            _ => self.samples.select(ndarray::Axis(0), planes).into(),
        };
        Self {
            samples,
            rgb: false,
            mask: self.mask,
        }
    }
}

impl<'a> Image<'a, f32> {
    /// The image in another sample type, rounded.
    pub(crate) fn into_pixels<T: Pixel>(self) -> Image<'a, T> {
        Image {
            samples: T::from_unit_array(self.samples.into_owned()).into(),
            rgb: self.rgb,
            mask: self.mask,
        }
    }
}

pub(crate) fn row_major<T: Clone>(array: Array3<T>) -> Array3<T> {
    if array.is_standard_layout() {
        array
    } else {
        array.as_standard_layout().into_owned()
    }
}
