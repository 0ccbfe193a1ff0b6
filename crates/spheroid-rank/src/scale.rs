use serde::{Deserialize, Serialize};

use crate::{RankError, WellScore};

/// The scale on which scores scatter alike, whatever their size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Scores as they are: scatter adds to them.
    Linear,
    /// Natural logarithms: scatter multiplies the scores, which must be above 0.
    ///
    /// The default, since a distance from untreated growth has no value below 0 and scatters the
    /// more the larger it is.
    #[default]
    Log,
}

impl Scale {
    /// The well's score on this scale.
    pub(crate) fn of(self, well: &WellScore) -> Result<f64, RankError> {
        let place = || (well.plate.clone(), well.well.to_string());
        let score = well.score;
        if !score.is_finite() {
            let (plate, well) = place();
            return Err(RankError::ScoreNotFinite { plate, well, score });
        }
        match self {
            // Adding zero turns -0 into +0, so that they tie.
            Self::Linear => Ok(score + 0.0),
            Self::Log if score > 0.0 => Ok(score.ln()),
            Self::Log => {
                let (plate, well) = place();
                Err(RankError::ScoreNotPositive { plate, well, score })
            }
        }
    }

    /// The score that has this value on the scale.
    pub(crate) fn score(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.exp(),
        }
    }
}
