use ndarray::{Array3, ArrayView2, Axis};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use spheroid_core::{Augment, DrawKey, fraction};

use crate::{AugmentError, error::not_empty};

/// Settings of [`Affine`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AffineConfig {
    /// Largest rotation to either side in degrees, 0 to 180.
    pub rotation_degrees: f64,
    /// Whether half of the views are mirrored.
    pub flip: bool,
    /// Largest change of size as a share; small, since size is what drugs change.
    pub scale: f64,
    /// Largest shift in either direction as a share of the image's side.
    pub shift: f64,
    /// Value of pixels that come from beyond the border.
    pub fill: f32,
}

impl Default for AffineConfig {
    /// Any orientation, ± 5 % size, ± 5 % position, background beyond the border.
    fn default() -> Self {
        Self {
            rotation_degrees: 180.0,
            flip: true,
            scale: 0.05,
            shift: 0.05,
            fill: 1.0,
        }
    }
}

impl AffineConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// When a share is not between 0 and 1, the scale reaches 1, the rotation is not between 0 and
    /// 180 degrees or the fill is not finite.
    pub fn build(&self) -> Result<Affine, AugmentError> {
        let wrong =
            |param, got: f64, rule| Err(spheroid_core::ParamError::new(param, got, rule).into());
        fraction("scale", self.scale)?;
        fraction("shift", self.shift)?;
        if self.scale >= 1.0 {
            return wrong("scale", self.scale, "below 1");
        }
        if !(0.0..=180.0).contains(&self.rotation_degrees) {
            return wrong(
                "rotation_degrees",
                self.rotation_degrees,
                "between 0 and 180",
            );
        }
        if !self.fill.is_finite() {
            return wrong("fill", self.fill.into(), "finite");
        }
        Ok(Affine {
            config: self.clone(),
        })
    }
}

/// Rotates, mirrors, scales and shifts all planes alike about the centre, by bilinear interpolation.
///
/// One resampling for all four, so nothing is smoothed twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Affine {
    config: AffineConfig,
}

/// Parameters of one view.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AffineDraw {
    /// Anticlockwise rotation in degrees.
    pub rotation_degrees: f64,
    /// Whether columns are mirrored before the rotation.
    pub flip: bool,
    /// Factor on the size of what is seen.
    pub scale: f64,
    /// Shift towards larger rows, as a share of the number of rows.
    pub shift_rows: f64,
    /// Shift towards larger columns, as a share of the number of columns.
    pub shift_columns: f64,
}

impl Augment<Array3<f32>> for Affine {
    type Draw = AffineDraw;
    type View = Array3<f32>;
    type Error = AugmentError;

    fn draw(&self, key: DrawKey) -> AffineDraw {
        let mut rng = key.rng();
        let mut within = |most: f64| rng.random_range(-most..=most);
        let AffineConfig {
            rotation_degrees,
            flip,
            scale,
            shift,
            ..
        } = self.config;
        AffineDraw {
            rotation_degrees: within(rotation_degrees),
            scale: 1.0 + within(scale),
            shift_rows: within(shift),
            shift_columns: within(shift),
            flip: flip && within(1.0) < 0.0,
        }
    }

    fn apply(&self, stack: &Array3<f32>, draw: &AffineDraw) -> Result<Array3<f32>, AugmentError> {
        let (_, rows, columns) = not_empty(stack)?;
        if !(draw.scale.is_finite() && draw.scale > 0.0) {
            return Err(
                spheroid_core::ParamError::new("scale", draw.scale, "finite and > 0").into(),
            );
        }
        let (sin, cos) = draw.rotation_degrees.to_radians().sin_cos();
        let [sin, cos] = [sin / draw.scale, cos / draw.scale].map(|x| x as f32);
        let mirror = if draw.flip { -1.0 } else { 1.0 };
        let centre = [(rows - 1) as f32 / 2.0, (columns - 1) as f32 / 2.0];
        let moved = [
            centre[0] + (draw.shift_rows * rows as f64) as f32,
            centre[1] + (draw.shift_columns * columns as f64) as f32,
        ];
        let mut view = Array3::zeros(stack.dim());
        for (mut out, plane) in view.axis_iter_mut(Axis(0)).zip(stack.axis_iter(Axis(0))) {
            for (row, mut line) in out.axis_iter_mut(Axis(0)).enumerate() {
                let down = row as f32 - moved[0];
                for (column, value) in line.iter_mut().enumerate() {
                    let right = column as f32 - moved[1];
                    let source_row = centre[0] + cos * down + sin * right;
                    let source_column = centre[1] + mirror * (cos * right - sin * down);
                    *value = bilinear(plane, source_row, source_column, self.config.fill);
                }
            }
        }
        Ok(view)
    }
}

/// The value between four pixels; pixels beyond the border are `fill`.
fn bilinear(plane: ArrayView2<'_, f32>, row: f32, column: f32, fill: f32) -> f32 {
    let (top, left) = (row.floor(), column.floor());
    let (down, right) = (row - top, column - left);
    let (top, left) = (top as isize, left as isize);
    let at = |row: isize, column: isize| {
        usize::try_from(row)
            .ok()
            .zip(usize::try_from(column).ok())
            .and_then(|index| plane.get(index))
            .copied()
            .unwrap_or(fill)
    };
    let upper = at(top, left) * (1.0 - right) + at(top, left + 1) * right;
    let lower = at(top + 1, left) * (1.0 - right) + at(top + 1, left + 1) * right;
    upper * (1.0 - down) + lower * down
}

#[cfg(test)]
mod tests {
    use ndarray::s;
    use proptest::prelude::*;

    use super::*;

    const STILL: AffineDraw = AffineDraw {
        rotation_degrees: 0.0,
        flip: false,
        scale: 1.0,
        shift_rows: 0.0,
        shift_columns: 0.0,
    };

    fn affine() -> Affine {
        AffineConfig::default().build().unwrap()
    }

    fn stack() -> Array3<f32> {
        Array3::from_shape_fn((2, 5, 5), |(p, r, c)| (100 * p + 10 * r + c) as f32)
    }

    fn assert_close(a: &Array3<f32>, b: ndarray::ArrayView3<'_, f32>) {
        assert_eq!(a.dim(), b.dim());
        assert!(
            a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3),
            "{a} is not {b}"
        );
    }

    #[test]
    fn nothing_drawn_changes_nothing() {
        assert_eq!(affine().apply(&stack(), &STILL).unwrap(), stack());
    }

    #[test]
    fn a_quarter_turn_is_anticlockwise() {
        let turned = affine()
            .apply(
                &stack(),
                &AffineDraw {
                    rotation_degrees: 90.0,
                    ..STILL
                },
            )
            .unwrap();
        let expected = stack().permuted_axes([0, 2, 1]);
        assert_close(&turned, expected.slice(s![.., ..;-1, ..]));
    }

    #[test]
    fn mirroring_turns_columns_round() {
        let mirrored = affine()
            .apply(
                &stack(),
                &AffineDraw {
                    flip: true,
                    ..STILL
                },
            )
            .unwrap();
        assert_close(&mirrored, stack().slice(s![.., .., ..;-1]));
    }

    #[test]
    fn a_shift_moves_to_larger_indices_and_fills() {
        let moved = affine()
            .apply(
                &stack(),
                &AffineDraw {
                    shift_rows: 0.2,
                    ..STILL
                },
            )
            .unwrap();
        assert_close(
            &moved.slice(s![.., 1.., ..]).to_owned(),
            stack().slice(s![.., ..4, ..]),
        );
        assert!(moved.slice(s![.., 0, ..]).iter().all(|&value| value == 1.0));
    }

    #[test]
    fn scale_changes_the_area_by_its_square() {
        let disc = Array3::from_shape_fn((1, 101, 101), |(_, r, c)| {
            let [r, c] = [r, c].map(|x| x as f32 - 50.0);
            f32::from(u8::from(r * r + c * c > 400.0))
        });
        let dark = |stack: &Array3<f32>| stack.iter().map(|v| 1.0 - v).sum::<f32>();
        let larger = affine()
            .apply(
                &disc,
                &AffineDraw {
                    scale: 1.1,
                    ..STILL
                },
            )
            .unwrap();
        assert!((dark(&larger) / dark(&disc) - 1.21).abs() < 0.01);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let config = AffineConfig::default();
        for wrong in [
            AffineConfig {
                scale: 1.0,
                ..config
            },
            AffineConfig {
                scale: f64::NAN,
                ..config
            },
            AffineConfig {
                shift: -0.1,
                ..config
            },
            AffineConfig {
                rotation_degrees: 181.0,
                ..config
            },
            AffineConfig {
                fill: f32::NAN,
                ..config
            },
        ] {
            assert!(wrong.build().is_err(), "{wrong:?}");
        }
        assert!(
            affine()
                .apply(
                    &stack(),
                    &AffineDraw {
                        scale: 0.0,
                        ..STILL
                    }
                )
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn no_value_leaves_the_range_of_the_image(item in 0u64..1000) {
            let affine = affine();
            let draw = affine.draw(DrawKey { seed: 3, epoch: 0, item, view: 0 });
            prop_assert!((0.95..=1.05).contains(&draw.scale));
            let view = affine.apply(&stack(), &draw).unwrap();
            prop_assert!(view.iter().all(|&value| (0.0..=144.01).contains(&value)));
        }
    }
}
