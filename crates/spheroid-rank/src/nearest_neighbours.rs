use ndarray::{Array1, ArrayView2};
use serde::{Deserialize, Serialize};
use spheroid_core::{Discrepancy, ParamError, at_least};

use crate::{
    RankError,
    discrepancy::{MIN_REFERENCE, standardized},
};

/// Settings of [`NearestNeighbours`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NearestNeighboursConfig {
    /// How many of the nearest untreated residuals count, at least 1. Scoring needs as many
    /// reference rows, and one more where untreated wells are scored against the others.
    pub neighbours: usize,
}

impl Default for NearestNeighboursConfig {
    fn default() -> Self {
        Self {
            neighbours: MIN_REFERENCE,
        }
    }
}

impl NearestNeighboursConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// When `neighbours` is 0.
    pub fn build(&self) -> Result<NearestNeighbours, ParamError> {
        at_least("neighbours", self.neighbours, 1, "at least 1")?;
        Ok(NearestNeighbours {
            config: self.clone(),
        })
    }
}

/// Mean distance from the residual to the nearest untreated residuals.
///
/// Asks whether an untreated well ever strayed this way, and so follows untreated wells that fall
/// into groups, which no distance from one centre does. Every feature is divided by the standard
/// deviation of its reference residuals first, with the floor of
/// [`StandardizedL2`](crate::StandardizedL2). A bias of the predictor makes no difference; a
/// perfect prediction does not score 0.
///
/// An untreated well that is scored with its own residual in the reference would be its own
/// neighbour: use [`score_out_of_fold`](crate::discrepancy::score_out_of_fold).
///
/// # Source
/// Angiulli and Pizzuti, PKDD 2002, 15–27 (the sum instead of the mean).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NearestNeighbours {
    config: NearestNeighboursConfig,
}

impl Discrepancy for NearestNeighbours {
    type Error = RankError;

    fn name(&self) -> &str {
        "nearest_neighbours"
    }

    /// # Errors
    /// When the shapes differ, a value is not finite, there are fewer reference rows than
    /// [`MIN_REFERENCE`] or than neighbours, or they do not scatter.
    fn score(
        &self,
        reference: ArrayView2<'_, f32>,
        predicted: ArrayView2<'_, f32>,
        actual: ArrayView2<'_, f32>,
    ) -> Result<Array1<f64>, RankError> {
        let (reference, residuals) =
            standardized("nearest_neighbours", reference, predicted, actual)?;
        let neighbours = self.config.neighbours;
        if reference.nrows() < neighbours {
            return Err(RankError::TooFewWells {
                what: "untreated",
                found: reference.nrows(),
                needed: neighbours,
            });
        }
        let scores = residuals.row_iter().map(|residual| {
            let mut distances: Vec<f64> = reference
                .row_iter()
                .map(|other| (residual - other).norm())
                .collect();
            distances.sort_unstable_by(f64::total_cmp);
            distances[..neighbours].iter().sum::<f64>() / neighbours as f64
        });
        Ok(scores.collect())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn worked_by_hand() {
        // Deviation 1 about the mean 0: distances of 3 are 2, 2 and 4.
        let reference = array![[1.0f32], [1.0], [-1.0], [-1.0]];
        let score = |neighbours| {
            let metric = NearestNeighboursConfig { neighbours }.build().unwrap();
            metric
                .score(reference.view(), array![[0.0]].view(), array![[3.0]].view())
                .map(|scores| scores[0])
        };
        assert_eq!(score(1).unwrap(), 2.0);
        assert_eq!(score(3).unwrap(), 8.0 / 3.0);
        assert!(matches!(
            score(5),
            Err(RankError::TooFewWells {
                found: 4,
                needed: 5,
                ..
            })
        ));
    }

    #[test]
    fn no_neighbour_is_refused() {
        let error = NearestNeighboursConfig { neighbours: 0 }.build();
        assert_eq!(error.unwrap_err().param, "neighbours");
    }
}
