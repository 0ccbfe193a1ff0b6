//! Passes over single rows: lengths, weights, and the gradient through the normalisation.

use cubecl::prelude::*;

use super::similarity::Four;

/// Writes rows of length 1 into `unit`, `[padded row][pitch]`, zeros behind them, and their lengths into `norms`.
/// A row of zeros stays one and has length 0; the length of a row that is not finite is not a number.
///
/// One unit a padded row.
#[cube(launch)]
pub fn normalize<I: Float, E: Float>(
    z: &[I],
    unit: &mut [E],
    norms: &mut [f32],
    rows: u32,
    padded: u32,
    #[comptime] features: usize,
    #[comptime] pitch: usize,
    #[define(I)] _input: ElemType,
    #[define(E)] _element: ElemType,
) {
    let row = ABSOLUTE_POS;
    if row < padded as usize {
        let mut largest = 0.0f32.runtime();
        let mut finite = true.runtime();
        if row < rows as usize {
            for k in 0..features {
                let value = f32::cast_from(z[row * features + k]);
                largest = max(largest, value.abs());
                // Compilers may take for granted that all is finite, but not for bits.
                finite = finite && u32::reinterpret(value) & 0x7f80_0000 != 0x7f80_0000;
            }
        }
        let divisor = select(largest > 0.0, largest, 1.0);
        let mut sum = 0.0f32.runtime();
        if row < rows as usize {
            for k in 0..features {
                let value = f32::cast_from(z[row * features + k]) / divisor;
                sum += value * value;
            }
        }
        let norm = sum.sqrt();
        let inverse = select(norm > 0.0, 1.0 / norm, 0.0);
        for k in 0..pitch {
            let mut value = 0.0f32.runtime();
            if k < features && row < rows as usize {
                value = f32::cast_from(z[row * features + k]) / divisor * inverse;
            }
            unit[row * pitch + k] = E::cast_from(value);
        }
        if row < rows as usize {
            norms[row] = select(finite, norm * divisor, f32::reinterpret(0x7fc0_0000u32));
        }
    }
}

/// What every row weighs in the gradient, `[padded row]`: logarithm of its denominator, gradient of its loss,
/// logarithm of its positives, worth of each of its positives; gradients times `gain`.
///
/// One unit a row.
#[cube(launch)]
pub fn ask(
    kept: &[f32],
    gradient: &[f32],
    shares: &[f32],
    gain: &[f32],
    asked: &mut [Vector<f32, Four>],
    rows: u32,
    losses: u32,
) {
    let row = ABSOLUTE_POS;
    if row < rows as usize {
        // Exponentials of rows without a loss vanish.
        let mut weights = Vector::<f32, Four>::new(0.0);
        weights.insert(0usize, 1.0e30f32.runtime());
        weights.insert(2usize, 1.0e30f32.runtime());
        if row < losses as usize {
            let share = shares[row];
            if share > 0.0 {
                weights.insert(0usize, kept[row * 2]);
                weights.insert(1usize, gradient[row] * gain[0]);
                weights.insert(2usize, kept[row * 2 + 1]);
                weights.insert(3usize, gradient[row] * gain[0] * share);
            }
        }
        asked[row] = weights;
    }
}

/// Gradient of rows from the pull, `gain` times too strong, on the rows of length 1 that they became; 0 for rows
/// of a bank.
///
/// One unit a row.
#[cube(launch)]
pub fn denormalize<I: Float, E: Float>(
    pull: &[f32],
    unit: &[E],
    norms: &[f32],
    temperature: &[f32],
    gain: &[f32],
    gradient: &mut [I],
    rows: u32,
    losses: u32,
    #[comptime] features: usize,
    #[comptime] pitch: usize,
    #[define(I)] _input: ElemType,
    #[define(E)] _element: ElemType,
) {
    let row = ABSOLUTE_POS;
    if row < rows as usize {
        let mut along = 0.0f32.runtime();
        let mut scale = 0.0f32.runtime();
        if row < losses as usize {
            scale = 1.0 / temperature[0] / gain[0] / norms[row];
            for k in 0..features {
                along += pull[row * pitch + k] * f32::cast_from(unit[row * pitch + k]);
            }
        }
        for k in 0..features {
            let mut across = 0.0f32.runtime();
            if row < losses as usize {
                across = pull[row * pitch + k] - along * f32::cast_from(unit[row * pitch + k]);
            }
            gradient[row * features + k] = I::cast_from(across * scale);
        }
    }
}
