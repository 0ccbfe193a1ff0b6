//! Transforms that mix neighbouring pixels. Beyond the border the image is mirrored at the middle of its
//! outermost pixels.

mod convolve;
mod defocus;
mod gaussian_blur;
mod median;
mod unsharp;

pub use defocus::{Defocus, DefocusDraw};
pub use gaussian_blur::{GaussianBlur, GaussianBlurDraw};
pub use median::{Median, MedianDraw};
pub use unsharp::{Unsharp, UnsharpDraw};

pub(crate) use convolve::{Kernel, blur};
