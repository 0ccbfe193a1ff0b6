//! Transforms that move pixels.

mod affine;
mod center_crop;
mod elastic;
mod flip;
mod quarter_turn;
mod random_resized_crop;
mod resample;
mod resize;
mod sampling;
mod spheroid_crop;

pub use affine::{Affine, AffineDraw};
pub use center_crop::CenterCrop;
pub use elastic::{Elastic, ElasticDraw};
pub use flip::{HorizontalFlip, VerticalFlip};
pub use quarter_turn::{QuarterTurn, QuarterTurnDraw};
pub use random_resized_crop::{RandomResizedCrop, RandomResizedCropDraw};
pub use resample::Interpolation;
pub use resize::Resize;
pub use sampling::{Border, Sampling};

pub(crate) use random_resized_crop::check_window;
pub(crate) use sampling::mirror;
pub use spheroid_crop::{SpheroidCrop, SpheroidCropDraw};
