use std::collections::{BTreeMap, HashSet};

use spheroid_core::{Treatment, WellId};

use crate::{RankError, Scale};

/// The score of one well.
#[derive(Debug, Clone, PartialEq)]
pub struct WellScore {
    /// Name of the plate.
    pub plate: String,
    /// Position on it.
    pub well: WellId,
    /// What was done to the well.
    pub treatment: Treatment,
    /// Larger for a stronger effect; finite.
    pub score: f64,
}

/// The wells of a plate, each with its score on the scale, by position.
pub(crate) type OfPlate<'a> = Vec<(&'a WellScore, f64)>;

/// The wells of every plate, each with its score on `scale`; plates by name, wells by position.
///
/// # Errors
/// When there is no well, a score is not finite or not on the scale, or a well occurs twice.
pub(crate) fn by_plate(
    wells: &[WellScore],
    scale: Scale,
) -> Result<BTreeMap<&str, OfPlate<'_>>, RankError> {
    if wells.is_empty() {
        return Err(RankError::NoWells);
    }
    let mut seen = HashSet::new();
    let mut plates: BTreeMap<&str, OfPlate<'_>> = BTreeMap::new();
    for well in wells {
        let value = scale.of(well)?;
        if !seen.insert((&well.plate, well.well)) {
            return Err(RankError::DuplicateWell {
                plate: well.plate.clone(),
                well: well.well.to_string(),
            });
        }
        plates.entry(&well.plate).or_default().push((well, value));
    }
    for of_plate in plates.values_mut() {
        of_plate.sort_unstable_by_key(|(well, _)| well.well);
    }
    Ok(plates)
}
