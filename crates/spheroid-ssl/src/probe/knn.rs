use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use spheroid_core::{at_least, positive};

use super::{LabelledFeatures, Probe, check};
use crate::SslError;

/// Nearest neighbours by cosine, which vote with `exp(cosine / temperature)`.
///
/// Where classes get as many votes, the lowest wins.
///
/// # Source
/// Wu, Xiong, Yu, Lin 2018, "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", arXiv
/// 1805.01978, section 3.4.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Knn {
    /// Neighbours that vote; all when there are fewer. At least 1.
    pub neighbours: usize,
    /// Temperature of the votes; above 0.
    pub temperature: f64,
}

impl Default for Knn {
    fn default() -> Self {
        Self {
            neighbours: 20,
            temperature: 0.1,
        }
    }
}

impl Probe for Knn {
    fn name(&self) -> &'static str {
        "kNN"
    }

    fn classify(
        &self,
        train: &LabelledFeatures,
        classes: usize,
        test: ArrayView2<'_, f32>,
    ) -> Result<Vec<usize>, SslError> {
        at_least("neighbours", self.neighbours, 1, "at least 1")?;
        positive("temperature", self.temperature)?;
        check(train, classes, test)?;
        let labels = &train.labels;
        let train = normalized(train.features.view());
        // Rows at a time, so that memory does not grow with both sides.
        const ROWS: usize = 256;
        let chunks: Vec<_> = test.axis_chunks_iter(ndarray::Axis(0), ROWS).collect();
        let predicted = chunks.into_par_iter().map(|chunk| {
            let cosines = normalized(chunk).dot(&train.t());
            let rows = cosines.rows().into_iter();
            rows.map(|row| self.vote(row.as_slice().unwrap_or(&row.to_vec()), labels, classes))
                .collect::<Vec<usize>>()
        });
        Ok(predicted.collect::<Vec<_>>().concat())
    }
}

impl Knn {
    fn vote(&self, cosines: &[f32], labels: &[usize], classes: usize) -> usize {
        let mut nearest: Vec<usize> = (0..cosines.len()).collect();
        nearest.sort_by(|a, b| cosines[*b].total_cmp(&cosines[*a]).then(a.cmp(b)));
        let mut votes = vec![0.0; classes];
        // Relative to the nearest row, so that a low temperature does not overflow.
        let most = cosines[nearest[0]];
        for row in nearest.into_iter().take(self.neighbours) {
            votes[labels[row]] += (f64::from(cosines[row] - most) / self.temperature).exp();
        }
        let best = (0..classes).reduce(|a, b| if votes[b] > votes[a] { b } else { a });
        best.unwrap_or(0)
    }
}

/// Rows of length 1; a row of zeros stays one.
fn normalized(rows: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut rows = rows.to_owned();
    for mut row in rows.rows_mut() {
        let length = row.dot(&row).sqrt();
        row /= length.max(f32::MIN_POSITIVE);
    }
    rows
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;
    use spheroid_testkit::json_fixture;

    use super::{super::tests::labelled, *};

    #[derive(Deserialize)]
    struct Case {
        neighbours: usize,
        classes: usize,
        features: usize,
        train: Vec<f32>,
        labels: Vec<usize>,
        test: Vec<f32>,
        predicted: Vec<usize>,
    }

    #[test]
    fn votes_agree_with_lightly() {
        let cases: Vec<Case> = json_fixture(env!("CARGO_MANIFEST_DIR"), "knn.json");
        assert!(cases.len() >= 3);
        for case in cases {
            let rows = |values: &[f32]| {
                let shape = (values.len() / case.features, case.features);
                Array2::from_shape_vec(shape, values.to_vec()).unwrap()
            };
            let knn = Knn {
                neighbours: case.neighbours,
                ..Knn::default()
            };
            let (train, test) = (rows(&case.train), rows(&case.test));
            let train = labelled(train, &case.labels);
            let found = knn.classify(&train, case.classes, test.view());
            assert_eq!(found.unwrap(), case.predicted);
        }
    }

    #[test]
    fn near_neighbours_outvote_far_ones() {
        let train = arr2(&[[1.0f32, 0.05], [0.0, 1.0], [0.1, 1.0], [0.05, 1.0]]);
        let test = arr2(&[[1.0f32, 0.0], [0.0, 2.0], [0.0, 0.0]]);
        let knn = Knn {
            neighbours: 9,
            ..Knn::default()
        };
        let train = labelled(train, &[1, 0, 0, 0]);
        let found = knn.classify(&train, 2, test.view()).unwrap();
        // A row of zeros is as near to all, so most votes win.
        assert_eq!(found, [1, 0, 0]);
    }

    #[test]
    fn settings_and_rows_that_make_no_sense_are_refused() {
        let rows = arr2(&[[1.0f32]]);
        let classify = |knn: Knn, labels: &[usize], test: &Array2<f32>| {
            knn.classify(&labelled(rows.clone(), labels), 1, test.view())
        };
        let knn = Knn::default();
        assert!(
            classify(
                Knn {
                    neighbours: 0,
                    ..knn
                },
                &[0],
                &rows
            )
            .is_err()
        );
        assert!(
            classify(
                Knn {
                    temperature: 0.0,
                    ..knn
                },
                &[0],
                &rows
            )
            .is_err()
        );
        assert!(classify(knn, &[1], &rows).is_err());
        assert!(classify(knn, &[0], &arr2(&[[1.0, 2.0]])).is_err());
    }
}
