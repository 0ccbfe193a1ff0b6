use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, fraction, within};
use spheroid_imaging::SampleType;

use super::{
    Border, Sampling,
    sampling::{bend, contract},
};
use crate::{AugmentError, Image, Pixel, Range, ToneContract, Transform};

/// Rotates by any angle, scales, shears and shifts about the centre, in one resampling, so that nothing
/// is smoothed twice.
///
/// # Source
/// The matrix is that of torchvision's `affine`, whose angle has the other sign.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Affine {
    /// Rotation in degrees, anticlockwise, within −360 to 360.
    pub rotation_degrees: Range,
    /// Factor on the size of what is seen, 0.01 to 100.
    pub scale: Range,
    /// Shear in degrees, drawn for either axis, within −80 to 80.
    pub shear_degrees: Range,
    /// Largest shift to either side as a share of the image's side, 0 to 1.
    pub shift: f64,
    /// How values between pixels are calculated.
    pub sampling: Sampling,
    /// What comes in from beyond the border.
    pub border: Border,
}

impl Default for Affine {
    /// Any rotation and nothing else, mirrored at the border.
    fn default() -> Self {
        Self {
            rotation_degrees: Range::new(-180.0, 180.0),
            scale: Range::only(1.0),
            shear_degrees: Range::only(0.0),
            shift: 0.0,
            sampling: Sampling::Bilinear,
            border: Border::Mirror,
        }
    }
}

/// Parameters of one view.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AffineDraw {
    /// Anticlockwise rotation in degrees.
    pub rotation_degrees: f64,
    /// Factor on the size of what is seen.
    pub scale: f64,
    /// Shear along rows, and along columns, in degrees.
    pub shear_degrees: [f64; 2],
    /// Shift towards larger rows, as a share of their number.
    pub shift_rows: f64,
    /// Shift towards larger columns, as a share of their number.
    pub shift_columns: f64,
}

impl AffineDraw {
    /// From a place of the output, relative to where the centre went, to the place of the input,
    /// relative to the centre; both (row, column).
    fn inverse(&self) -> [[f64; 2]; 2] {
        let angle = -self.rotation_degrees.to_radians();
        let [shear_x, shear_y] = self.shear_degrees.map(f64::to_radians);
        let (sin, cos) = (angle - shear_y).sin_cos();
        let a = cos / shear_y.cos();
        let b = -cos * shear_x.tan() / shear_y.cos() - angle.sin();
        let c = sin / shear_y.cos();
        let d = -sin * shear_x.tan() / shear_y.cos() + angle.cos();
        // The inverse of [[a, b], [c, d]], whose determinant is 1, for (row, column) in place of (x, y).
        [[a, -c], [-b, d]].map(|row| row.map(|x| x / self.scale))
    }

    fn check(&self) -> Result<(), ParamError> {
        within("scale", self.scale, 0.01, 100.0, "from 0.01 to 100")?;
        let [x, y] = self.shear_degrees;
        for (param, degrees) in [("shear_degrees", x), ("shear_degrees", y)] {
            within(param, degrees, -80.0, 80.0, "within −80 to 80")?;
        }
        for (param, shift) in [
            ("shift_rows", self.shift_rows),
            ("shift_columns", self.shift_columns),
        ] {
            within(param, shift, -1.0, 1.0, "between −1 and 1")?;
        }
        let rotation = self.rotation_degrees;
        within(
            "rotation_degrees",
            rotation,
            -360.0,
            360.0,
            "within −360 to 360",
        )?;
        Ok(())
    }
}

impl Affine {
    fn moved<'a>(&self, image: Image<'a, f32>, draw: &AffineDraw) -> Image<'a, f32> {
        let (_, rows, columns) = image.dim();
        let inverse = draw.inverse();
        let center = [(rows - 1) as f64 / 2.0, (columns - 1) as f64 / 2.0];
        let moved = [
            center[0] + draw.shift_rows * rows as f64,
            center[1] + draw.shift_columns * columns as f64,
        ];
        bend(image, self.sampling, self.border, |row, column| {
            let (down, right) = (row as f64 - moved[0], column as f64 - moved[1]);
            let [row, column] = inverse.map(|[a, b]| a * down + b * right);
            (center[0] + row, center[1] + column)
        })
    }
}

impl Transform for Affine {
    type Draw = AffineDraw;

    fn name(&self) -> &'static str {
        "affine"
    }

    fn check(&self) -> Result<(), ParamError> {
        self.rotation_degrees.check(
            "rotation_degrees",
            -360.0,
            360.0,
            "ascending, within −360 to 360",
        )?;
        self.scale
            .check("scale", 0.01, 100.0, "ascending, from 0.01 to 100")?;
        self.shear_degrees
            .check("shear_degrees", -80.0, 80.0, "ascending, within −80 to 80")?;
        fraction("shift", self.shift)?;
        self.border.check()
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> AffineDraw {
        let shift = Range::new(-self.shift, self.shift);
        AffineDraw {
            rotation_degrees: self.rotation_degrees.draw(rng),
            scale: self.scale.draw(rng),
            shear_degrees: [self.shear_degrees.draw(rng), self.shear_degrees.draw(rng)],
            shift_rows: shift.draw(rng),
            shift_columns: shift.draw(rng),
        }
    }

    fn apply<'a, T: Pixel>(
        &self,
        image: Image<'a, T>,
        draw: &AffineDraw,
    ) -> Result<Image<'a, T>, AugmentError> {
        draw.check()?;
        Ok(self.moved(image.into_unit(), draw).into_pixels())
    }

    fn tone_contract(&self, sample_type: SampleType) -> ToneContract {
        contract(self.sampling, self.border, sample_type)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::reference::cases;

    #[derive(Deserialize)]
    struct Params {
        angle: f64,
        translate: [f64; 2],
        scale: f64,
        shear: [f64; 2],
        interpolation: Sampling,
        fill: f32,
    }

    /// torchvision turns the other way, and weighs what lies beyond the border twice where a pixel is
    /// partly covered: it blends pixels that were already blended with 0.
    #[test]
    fn agrees_with_torchvision() {
        let cases = cases::<Params>("torchvision.json", "affine");
        assert!(cases.len() >= 28);
        for case in cases {
            let params = &case.params;
            let (_, rows, columns) = case.image.dim();
            let draw = AffineDraw {
                rotation_degrees: -params.angle,
                scale: params.scale,
                shear_degrees: params.shear,
                shift_rows: params.translate[1] / rows as f64,
                shift_columns: params.translate[0] / columns as f64,
            };
            let affine = Affine {
                sampling: params.interpolation,
                border: Border::Value(0.0),
                ..Affine::default()
            };
            let of = |samples: &Array3<f32>| {
                affine
                    .apply(Image::new(samples).unwrap(), &draw)
                    .unwrap()
                    .into_samples()
            };
            let blended = of(&case.image);
            let covered = of(&Array3::ones(case.image.dim()));
            let mut expected = blended.clone();
            expected.zip_mut_with(&covered, |value, &covered| {
                *value = covered * (*value - params.fill) + params.fill;
            });
            case.check_samples(&expected);
            let filled = Affine {
                border: Border::Value(params.fill),
                ..affine
            };
            let found = filled.apply(case.image(), &draw).unwrap().into_samples();
            let honest = blended + covered.mapv(|covered| (1.0 - covered) * params.fill);
            assert!(found.iter().zip(&honest).all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }

    #[derive(Deserialize)]
    struct Mirrored {
        angle_degrees_anticlockwise: f64,
        scale: f64,
    }

    #[test]
    fn agrees_with_scipy_at_a_mirror() {
        let cases = cases::<Mirrored>("reference.json", "affine_mirror");
        assert!(cases.len() >= 6);
        for case in cases {
            let draw = AffineDraw {
                rotation_degrees: case.params.angle_degrees_anticlockwise,
                scale: case.params.scale,
                shear_degrees: [0.0; 2],
                shift_rows: 0.0,
                shift_columns: 0.0,
            };
            case.check(&Affine::default(), &draw);
        }
    }

    #[test]
    fn draws_that_make_no_sense_are_refused() {
        let stack = Array3::<u16>::zeros((1, 4, 4));
        let fine = AffineDraw {
            rotation_degrees: 0.0,
            scale: 1.0,
            shear_degrees: [0.0; 2],
            shift_rows: 0.0,
            shift_columns: 0.0,
        };
        for wrong in [
            AffineDraw { scale: 0.0, ..fine },
            AffineDraw {
                rotation_degrees: f64::NAN,
                ..fine
            },
            AffineDraw {
                shear_degrees: [90.0, 0.0],
                ..fine
            },
            AffineDraw {
                shift_rows: 1e308,
                ..fine
            },
        ] {
            assert!(
                Affine::default()
                    .apply(Image::new(&stack).unwrap(), &wrong)
                    .is_err()
            );
        }
    }
}
