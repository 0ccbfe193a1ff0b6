use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, within};
use spheroid_imaging::SampleType;

use super::{
    BrightnessDraw, ContrastDraw,
    brightness::{check_factor, check_strength, draw_factor},
    contrast::change_contrast,
    hue::{HUE_RULE, check_turn, turn_hue},
    rgb::check_rgb,
    saturation::saturate,
};
use crate::{
    AugmentError, Image, Pixel, Range, ToneContract, Tones, Transform,
    tones::{self, Real, ToneMap},
};

/// Changes brightness, contrast, saturation and hue in random order.
///
/// All planes of a focal stack are changed alike. Saturation and hue mix planes and are refused unless
/// the image is declared RGB. Integers are rounded once, after the last change.
///
/// # Source
/// torchvision's `ColorJitter` on floating point.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ColorJitter {
    /// As of [`Brightness`](super::Brightness).
    pub brightness: f64,
    /// As of [`Contrast`](super::Contrast).
    pub contrast: f64,
    /// As of [`Saturation`](super::Saturation); 0 for focal stacks.
    pub saturation: f64,
    /// As of [`Hue`](super::Hue); 0 for focal stacks.
    pub hue: f64,
}

/// One of the four changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColorStep {
    /// See [`Brightness`](super::Brightness).
    Brightness,
    /// See [`Contrast`](super::Contrast).
    Contrast,
    /// See [`Saturation`](super::Saturation).
    Saturation,
    /// See [`Hue`](super::Hue).
    Hue,
}

/// The changes and their order.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColorJitterDraw {
    /// From first to last.
    pub order: [ColorStep; 4],
    /// Factor, at least 0.
    pub brightness: f64,
    /// Factor, at least 0.
    pub contrast: f64,
    /// Factor, at least 0.
    pub saturation: f64,
    /// Turn as a share of the full circle, −0.5 to 0.5.
    pub hue: f64,
}

impl ColorJitterDraw {
    fn check(&self) -> Result<(), ParamError> {
        for factor in [self.brightness, self.contrast, self.saturation] {
            check_factor(factor)?;
        }
        check_turn(self.hue)?;
        let twice = |(index, step)| self.order[..index].contains(step);
        if self.order.iter().enumerate().any(twice) {
            let got = format!("{:?}", self.order);
            return Err(ParamError::new("order", got, "each of the four steps once"));
        }
        Ok(())
    }

    fn mixes_planes(&self) -> bool {
        self.saturation != 1.0 || self.hue != 0.0
    }
}

impl ToneMap for ColorJitterDraw {
    fn map<V: Real>(&self, mut tones: Tones<'_, V>) -> Result<(), AugmentError> {
        for step in self.order {
            match step {
                ColorStep::Brightness => BrightnessDraw {
                    factor: self.brightness,
                }
                .map(tones.reborrow())?,
                ColorStep::Contrast => ContrastDraw {
                    factor: self.contrast,
                }
                .map(tones.reborrow())?,
                ColorStep::Saturation | ColorStep::Hue => {}
            }
        }
        Ok(())
    }
}

impl Transform for ColorJitter {
    type Draw = ColorJitterDraw;

    fn name(&self) -> &'static str {
        "color_jitter"
    }

    fn check(&self) -> Result<(), ParamError> {
        check_strength("brightness", self.brightness)?;
        check_strength("contrast", self.contrast)?;
        check_strength("saturation", self.saturation)?;
        within("hue", self.hue, 0.0, 0.5, HUE_RULE).map(drop)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> ColorJitterDraw {
        let mut order = [
            ColorStep::Brightness,
            ColorStep::Contrast,
            ColorStep::Saturation,
            ColorStep::Hue,
        ];
        order.shuffle(rng);
        ColorJitterDraw {
            order,
            brightness: draw_factor(self.brightness, rng),
            contrast: draw_factor(self.contrast, rng),
            saturation: draw_factor(self.saturation, rng),
            hue: Range::new(-self.hue, self.hue).draw(rng),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &ColorJitterDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        draw.check()?;
        if !image.is_rgb() {
            if draw.mixes_planes() {
                check_rgb(&image, self.name())?;
            }
            return tones::apply(image, draw);
        }
        let (saturation, turn) = (draw.saturation, draw.hue);
        let mut image = image.into_unit();
        for step in draw.order {
            image = match step {
                ColorStep::Brightness => {
                    let factor = draw.brightness;
                    tones::apply(image, &BrightnessDraw { factor })?
                }
                ColorStep::Contrast => {
                    let factor = draw.contrast;
                    change_contrast(image, ContrastDraw { factor })?
                }
                ColorStep::Saturation if saturation != 1.0 => {
                    image.change_unit(|samples| saturate(samples, saturation))
                }
                ColorStep::Hue if turn != 0.0 => {
                    image.change_unit(|samples| turn_hue(samples, turn))
                }
                ColorStep::Saturation | ColorStep::Hue => image,
            };
        }
        Ok(image.into_pixels())
    }

    fn tone_contract(&self, _: SampleType) -> ToneContract {
        if self.saturation > 0.0 || self.hue > 0.0 {
            ToneContract::mixed(true)
        } else {
            ToneContract::merged(true)
        }
    }

    fn map_tones<V: Real>(
        &self,
        tones: Tones<'_, V>,
        draw: &ColorJitterDraw,
    ) -> Result<bool, AugmentError> {
        draw.check()?;
        if draw.mixes_planes() {
            return Ok(false);
        }
        draw.map(tones).map(|()| true)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::reference::cases;

    #[test]
    fn agrees_with_torchvision_in_every_order() {
        let cases = cases::<ColorJitterDraw>("torchvision.json", "color_jitter");
        assert!(cases.len() >= 4);
        for case in cases {
            case.check(&ColorJitter::default(), &case.params);
        }
    }

    #[test]
    fn focal_planes_share_a_draw_and_are_never_mixed() {
        let mut stack = Array3::from_shape_fn((2, 8, 8), |(_, r, c)| (500 * (8 * r + c)) as u16);
        stack
            .index_axis_mut(ndarray::Axis(0), 1)
            .swap([0, 0], [7, 7]);
        let image = Image::new(&stack).unwrap();
        let jitter = ColorJitter {
            brightness: 0.5,
            contrast: 0.5,
            ..ColorJitter::default()
        };
        let key = spheroid_core::DrawKey {
            seed: 1,
            epoch: 0,
            item: 0,
            view: 0,
        };
        let built = jitter.build().unwrap();
        let view = built.apply(image.view(), &built.draw(key)).unwrap();
        let mut mapped = std::collections::BTreeMap::new();
        for (&after, &before) in view.samples().iter().zip(&stack) {
            assert_eq!(*mapped.entry(before).or_insert(after), after);
        }
        let colored = ColorJitter {
            saturation: 0.5,
            ..jitter
        };
        let built = colored.build().unwrap();
        let found = built.apply(image.view(), &built.draw(key));
        assert!(matches!(found, Err(AugmentError::NotRgb { .. })));
    }
}
