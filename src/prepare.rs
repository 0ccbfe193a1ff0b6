//! From a focal stack to what the encoder sees, and to what a ruler would measure.

use ndarray::{Array1, Array3, Axis};
use serde::{Deserialize, Serialize};
use spheroid_core::at_least;
use spheroid_imaging::{
    FocalStack, ImagingError, Morphometry, Scale, SegmentationFlag, Window, flatten, resample_area,
    segment, sharpest_plane,
};

use crate::PipelineError;

/// Settings of [`Preparer`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PrepareConfig {
    /// Side of a crop in pixels.
    pub size: usize,
    /// Side of the window that a crop shows, as a share of the shorter side of the frame. The same
    /// for all images, so that a crop keeps the size of the spheroid.
    pub field: f64,
}

impl Default for PrepareConfig {
    fn default() -> Self {
        Self {
            size: 96,
            field: 0.8,
        }
    }
}

impl PrepareConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// When the size is below 16 or above 2048 px, or the field is not between 0.01 and 2.
    pub fn build(&self) -> Result<Preparer, PipelineError> {
        const RULE: &str = "between 16 and 2048";
        at_least("size", self.size, 16, RULE)?;
        if self.size > 2048 {
            return Err(spheroid_core::ParamError::new("size", self.size, RULE).into());
        }
        if !(0.01..=2.0).contains(&self.field) {
            let rule = "between 0.01 and 2";
            return Err(spheroid_core::ParamError::new("field", self.field, rule).into());
        }
        Ok(Preparer { config: *self })
    }
}

/// Divides the lamp and shading out of every plane and cuts out a window around the spheroid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preparer {
    config: PrepareConfig,
}

/// What is kept of a stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// `[plane, row, column]`, relative to the background, which is about 1.
    pub crop: Array3<f32>,
    /// Features named [`MORPHOLOGY`]; zeros when no spheroid was found.
    pub morphology: Array1<f32>,
    /// Doubts about the outline. With [`SegmentationFlag::EmptyWell`] the crop shows the middle of the
    /// frame.
    pub flags: Vec<SegmentationFlag>,
}

/// What is measured of the spheroid in the sharpest plane; see [`Morphometry`].
///
/// The first [`BY_HAND`] are what a laboratory compares by hand (thesis section 1.1): area relative to
/// the frame, circularity, and darkness, which is 1 − mean intensity relative to the background. Grain is
/// the logarithm of the texture's contrast at each of its distances. What has no meaning on a spheroid
/// (grain and core of a few pixels) is as if there was none of it.
pub const MORPHOLOGY: [&str; 14] = [
    "area",
    "circularity",
    "darkness",
    "optical_density",
    "interquartile_range",
    "core_darkness",
    "roughness",
    "solidity",
    "eccentricity",
    "debris",
    "grain_1",
    "grain_2",
    "grain_4",
    "grain_8",
];

/// Place of the area among them.
pub(crate) const AREA: usize = 0;

/// Number of the features in [`MORPHOLOGY`] that a laboratory compares by hand.
pub const BY_HAND: usize = 3;

fn morphology(measured: &Morphometry, pixels: usize) -> [f32; MORPHOLOGY.len()] {
    const NO_GRAIN: f64 = 1e-9;
    let grain = measured.texture.map(|texture| {
        let contrast = texture.map_or(0.0, |texture| texture.contrast);
        contrast.max(NO_GRAIN).ln()
    });
    [
        measured.area / pixels as f64,
        measured.circularity,
        1.0 - measured.mean_intensity,
        measured.optical_density,
        measured.intensity_p75 - measured.intensity_p25,
        measured.core_darkness.unwrap_or(0.0),
        measured.roughness,
        measured.solidity,
        measured.eccentricity,
        measured.debris.unwrap_or(0.0),
        grain[0],
        grain[1],
        grain[2],
        grain[3],
    ]
    .map(|feature| feature as f32)
}

impl Preparer {
    /// Prepares one stack.
    ///
    /// # Errors
    /// When the illumination of a plane cannot be estimated.
    pub fn prepare(&self, stack: &FocalStack) -> Result<Prepared, ImagingError> {
        let PrepareConfig { size, field } = self.config;
        let (planes, rows, columns) = stack.dim();
        let sharpest = sharpest_plane(stack)?;
        let flat = flatten(stack.plane_f32(sharpest, Scale::Positive)?.view())?;
        let segmentation = segment(flat.view())?;
        let (morphology, centre) = if segmentation.has(SegmentationFlag::EmptyWell) {
            let middle = ((rows as f64 - 1.0) / 2.0, (columns as f64 - 1.0) / 2.0);
            (Array1::zeros(MORPHOLOGY.len()), middle)
        } else {
            let measured = Morphometry::measure(&segmentation, flat.view())?;
            let features = morphology(&measured, rows * columns);
            (Array1::from(features.to_vec()), measured.centroid)
        };

        let side = field * rows.min(columns) as f64;
        let window = Window {
            top: centre.0 + 0.5 - side / 2.0,
            left: centre.1 + 0.5 - side / 2.0,
            height: side,
            width: side,
        };
        let mut crop = Array3::zeros((planes, size, size));
        for (plane, mut out) in crop.axis_iter_mut(Axis(0)).enumerate() {
            // What lies beyond the frame is shown as background.
            let cut = if plane == sharpest {
                resample_area(flat.view(), window, size, size, 1.0)?
            } else {
                let flat = flatten(stack.plane_f32(plane, Scale::Positive)?.view())?;
                resample_area(flat.view(), window, size, size, 1.0)?
            };
            out.assign(&cut);
        }
        Ok(Prepared {
            crop,
            morphology,
            flags: segmentation.flags,
        })
    }
}

#[cfg(test)]
mod tests {
    use spheroid_core::StackSource;
    use spheroid_imaging::Samples;
    use spheroid_sim::PlateSimConfig;

    use super::*;

    fn stack() -> FocalStack {
        let config = PlateSimConfig {
            rows: 160,
            columns: 200,
            ..PlateSimConfig::default()
        };
        config.build().unwrap().load(0).unwrap()
    }

    fn prepare(stack: &FocalStack) -> Prepared {
        PrepareConfig::default()
            .build()
            .unwrap()
            .prepare(stack)
            .unwrap()
    }

    fn map(stack: &FocalStack, change: impl Fn(u16) -> u16) -> FocalStack {
        let Samples::U16(samples) = stack.samples() else {
            panic!("simulated stacks have 16 bits")
        };
        FocalStack::new(Samples::U16(samples.mapv(change))).unwrap()
    }

    fn most_apart(a: &Prepared, b: &Prepared) -> f32 {
        let differences = &a.crop - &b.crop;
        differences.iter().fold(0.0, |most, d| most.max(d.abs()))
    }

    #[test]
    fn the_background_is_one_and_the_spheroid_is_in_the_middle() {
        let prepared = prepare(&stack());
        assert_eq!(prepared.crop.dim(), (3, 96, 96));
        for plane in prepared.crop.axis_iter(Axis(0)) {
            let corner = plane.slice(ndarray::s![..8, ..8]).mean().unwrap();
            let middle = plane.slice(ndarray::s![44..52, 44..52]).mean().unwrap();
            assert!(
                (corner - 1.0).abs() < 0.03 && middle < 0.7,
                "{corner}, {middle}"
            );
        }
        let [area, circularity, darkness] = [0, 1, 2].map(|i| prepared.morphology[i]);
        assert!((0.03..0.25).contains(&area), "{area}");
        assert!((0.6..1.1).contains(&circularity), "{circularity}");
        assert!((0.2..0.9).contains(&darkness), "{darkness}");
    }

    #[test]
    fn a_dimmer_lamp_gives_the_same_crop() {
        let stack = stack();
        let (bright, dim) = (prepare(&stack), prepare(&map(&stack, |value| value / 2)));
        let most = most_apart(&bright, &dim);
        assert!(most < 2e-3, "{most}");
    }

    #[test]
    fn signed_samples_count_light_from_zero() {
        let stack = map(&stack(), |value| value / 2);
        let Samples::U16(samples) = stack.samples() else {
            panic!("simulated stacks have 16 bits")
        };
        let signed = Samples::I16(samples.mapv(|value| value as i16));
        let signed = prepare(&FocalStack::new(signed).unwrap());
        let unsigned = prepare(&stack);
        let most = most_apart(&signed, &unsigned);
        assert!(most < 1e-4, "{most}");
    }

    #[test]
    fn an_empty_well_is_named_and_shows_its_middle() {
        let prepared = prepare(&map(&stack(), |_| 40_000));
        assert_eq!(prepared.flags, [SegmentationFlag::EmptyWell]);
        assert_eq!(prepared.morphology, Array1::<f32>::zeros(MORPHOLOGY.len()));
        assert!(prepared.crop.iter().all(|value| (value - 1.0).abs() < 1e-3));
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let config = PrepareConfig::default();
        for wrong in [
            PrepareConfig { size: 15, ..config },
            PrepareConfig {
                size: 4096,
                ..config
            },
            PrepareConfig {
                field: 1e-20,
                ..config
            },
            PrepareConfig {
                field: 0.0,
                ..config
            },
            PrepareConfig {
                field: f64::NAN,
                ..config
            },
            PrepareConfig {
                field: 3.0,
                ..config
            },
        ] {
            assert!(wrong.build().is_err(), "{wrong:?}");
        }
    }
}
