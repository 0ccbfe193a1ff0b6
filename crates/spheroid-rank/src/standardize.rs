use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2};
use spheroid_core::{Group, PlateWell};

use crate::{
    RankError, Scale, WellScore,
    aggregate::{NORMAL_MAD, median_and_mad},
    discrepancy::{check_finite, check_indices, check_size},
    well_score::by_plate,
};

/// Fewest untreated wells by which a plate is standardised.
pub const MIN_UNTREATED_OF_PLATE: usize = 4;

/// Scores in units of how the untreated wells of their plate scatter, so that plates join.
///
/// ```text
/// z = (x − median) / (1.4826 MAD),   both of the untreated wells of the plate
/// ```
/// with `x` the score on `scale`. 0 is a typical untreated well of the plate, 1 the deviation of
/// untreated wells (with normal scatter). Standardised scores are negative too: rank them on
/// [`Scale::Linear`]. The order of the wells stays.
///
/// # Errors
/// When there is no well, a score is not finite or not on the scale, a well occurs twice, a plate has
/// fewer than [`MIN_UNTREATED_OF_PLATE`] untreated wells, or half of these agree.
pub fn standardize_scores(wells: &[WellScore], scale: Scale) -> Result<Vec<WellScore>, RankError> {
    let mut scales = BTreeMap::new();
    for (plate, of_plate) in by_plate(wells, scale)? {
        let is_untreated = |well: &&(&WellScore, f64)| well.0.treatment.group == Group::Untreated;
        let untreated = of_plate
            .iter()
            .filter(is_untreated)
            .map(|well| well.1)
            .collect();
        scales.insert(
            plate,
            centre_and_scale(plate, untreated, || "their score".to_owned())?,
        );
    }
    wells
        .iter()
        .map(|well| {
            let (centre, unit) = scales[well.plate.as_str()];
            let score = (scale.of(well)? - centre) / unit;
            Ok(WellScore {
                score,
                ..well.clone()
            })
        })
        .collect()
}

/// Every feature in units of how the untreated wells of its plate scatter in it, as
/// [`standardize_scores`] does.
///
/// # Shapes
/// `values` `[row, feature]`, `wells` the well of each row, `untreated` the rows of untreated wells;
/// output `[row, feature]`.
///
/// # Errors
/// When the sizes differ, a value is not finite, a row is beyond the rows or occurs twice, a plate has
/// fewer than [`MIN_UNTREATED_OF_PLATE`] untreated rows, or half of these agree in a feature.
pub fn standardize_features(
    values: ArrayView2<'_, f32>,
    wells: &[PlateWell],
    untreated: &[usize],
) -> Result<Array2<f32>, RankError> {
    check_size("wells of the features", values.nrows(), wells.len())?;
    if values.ncols() == 0 {
        return Err(RankError::NoFeatures);
    }
    check_finite("features", values)?;
    let untreated = check_indices("untreated", untreated, values.nrows())?;
    let mut plates: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, well) in wells.iter().enumerate() {
        plates.entry(&well.plate).or_default().push(row);
    }
    let mut standardized = values.to_owned();
    for (plate, rows) in plates {
        let reference: Vec<usize> = rows
            .iter()
            .copied()
            .filter(|row| untreated.contains(row))
            .collect();
        for feature in 0..values.ncols() {
            let of_untreated = reference
                .iter()
                .map(|&row| f64::from(values[[row, feature]]))
                .collect();
            let (centre, unit) =
                centre_and_scale(plate, of_untreated, || format!("feature {feature}"))?;
            for &row in &rows {
                let value = (f64::from(values[[row, feature]]) - centre) / unit;
                standardized[[row, feature]] = value as f32;
            }
        }
    }
    Ok(standardized)
}

fn centre_and_scale(
    plate: &str,
    untreated: Vec<f64>,
    what: impl Fn() -> String,
) -> Result<(f64, f64), RankError> {
    let plate = || plate.to_owned();
    if untreated.len() < MIN_UNTREATED_OF_PLATE {
        return Err(RankError::PlateTooFewUntreated {
            plate: plate(),
            found: untreated.len(),
            needed: MIN_UNTREATED_OF_PLATE,
        });
    }
    let (median, mad) = median_and_mad(&untreated);
    if mad > 0.0 {
        Ok((median, NORMAL_MAD * mad))
    } else {
        Err(RankError::PlateWithoutScale {
            plate: plate(),
            what: what(),
        })
    }
}
