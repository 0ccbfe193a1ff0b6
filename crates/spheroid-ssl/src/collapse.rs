//! Whether a representation has collapsed: what is left of its spread, its rank and its task.

use nalgebra::DMatrix;
use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use spheroid_core::ParamError;

/// Signs of health of a representation, measured on the views of some images.
///
/// They are taken of what the loss compares (or of the encoder's features where it compares no views).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Standard deviation of a feature of rows of length 1, averaged over the features and multiplied by the
    /// root of their number: about 1 where rows go everywhere, 0 where all are the same.
    ///
    /// Chen, He 2020, SimSiam, arXiv 2011.10566, section 4.1 (there not multiplied).
    pub spread: f64,
    /// Effective number of dimensions: RankMe, Garrido et al. 2022, arXiv 2210.02885, equation 1.
    pub effective_rank: f64,
    /// Mean squared distance of two views of an image on the unit sphere, 0 to 4: Wang, Isola 2020, arXiv
    /// 2005.10242, section 4.1. `None` with one view.
    pub alignment: Option<f64>,
    /// Logarithm of the mean Gaussian potential of pairs of rows on the unit sphere, −4 (everywhere) to 0
    /// (all the same): ibid., section 4.1.
    pub uniformity: f64,
    /// Share of views whose nearest neighbour by cosine is another view of the same image, 0 to 1: the
    /// accuracy of the contrastive task. `None` with one view.
    pub agreement: Option<f64>,
}

/// How a representation has collapsed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Collapse {
    /// Every image gives nearly the same row.
    Constant {
        /// [`Health::spread`].
        spread: f64,
    },
    /// All rows lie near one line through 0.
    Line {
        /// [`Health::effective_rank`].
        effective_rank: f64,
    },
}

impl std::fmt::Display for Collapse {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Constant { spread } => write!(
                out,
                "the representation has collapsed: all images give nearly the same row (spread {spread:.4}, \
                 healthy is about 1)"
            ),
            Self::Line { effective_rank } => write!(
                out,
                "the representation has collapsed: the rows of all images are multiples of one (effective rank \
                 {effective_rank:.2})"
            ),
        }
    }
}

impl Health {
    /// Measures the rows of the first view and, when there is one, of a second of the same images.
    ///
    /// # Shapes
    /// Both `[image, feature]`.
    ///
    /// # Errors
    /// When there are fewer than two images, no feature, or the views differ in shape.
    pub fn measure(
        first: ArrayView2<'_, f32>,
        second: Option<ArrayView2<'_, f32>>,
    ) -> Result<Self, ParamError> {
        let (images, features) = first.dim();
        if images < 2 || features == 0 {
            let got = format!("{images} × {features}");
            let rule = "at least two images of at least one feature";
            return Err(ParamError::new("first", got, rule));
        }
        if let Some(other) = second.filter(|second| second.dim() != first.dim()) {
            let got = format!("{:?}", other.dim());
            return Err(ParamError::new(
                "second",
                got,
                "of the shape of the first view",
            ));
        }
        let raw = first.mapv(f64::from);
        let unit = normalized(&raw);
        let partner = second.map(|second| normalized(&second.mapv(f64::from)));
        Ok(Self {
            spread: unit.std_axis(Axis(0), 1.0).mean().unwrap_or(0.0) * (features as f64).sqrt(),
            effective_rank: rank_me(&raw),
            alignment: partner.as_ref().map(|partner| {
                let squares = (&unit - partner).mapv(|difference| difference * difference);
                squares.sum() / images as f64
            }),
            uniformity: uniformity(&unit),
            agreement: partner.map(|partner| agreement(&unit, &partner)),
        })
    }

    /// How the representation has collapsed, `None` when it has not.
    ///
    /// The limits are far below what any healthy run shows: spread 0.01, effective rank 1.2.
    pub fn collapse(&self) -> Option<Collapse> {
        let &Self {
            spread,
            effective_rank,
            ..
        } = self;
        if spread.is_nan() || spread < 0.01 {
            return Some(Collapse::Constant { spread });
        }
        if effective_rank.is_nan() || effective_rank < 1.2 {
            return Some(Collapse::Line { effective_rank });
        }
        None
    }
}

/// Rows of length 1; a row of zeros stays one.
fn normalized(rows: &Array2<f64>) -> Array2<f64> {
    let mut rows = rows.clone();
    for mut row in rows.rows_mut() {
        let length = row.dot(&row).sqrt();
        row /= length.max(1e-12);
    }
    rows
}

/// Exponential of the entropy of the singular values.
fn rank_me(rows: &Array2<f64>) -> f64 {
    let (images, features) = rows.dim();
    let gram = if images < features {
        rows.dot(&rows.t())
    } else {
        rows.t().dot(rows)
    };
    let side = images.min(features);
    let gram = DMatrix::from_fn(side, side, |r, c| gram[[r, c]]);
    let values = gram.symmetric_eigenvalues();
    let values: Vec<f64> = values.iter().map(|value| value.max(0.0).sqrt()).collect();
    let sum: f64 = values.iter().sum();
    if sum == 0.0 {
        return 1.0;
    }
    // The ε of the paper keeps the logarithm defined.
    let entropy = values.iter().map(|value| {
        let share = value / sum + 1e-7;
        -share * share.ln()
    });
    entropy.sum::<f64>().exp()
}

fn uniformity(unit: &Array2<f64>) -> f64 {
    let images = unit.nrows();
    let cosines = unit.dot(&unit.t());
    let pairs = (0..images).flat_map(|i| (0..i).map(move |j| (i, j)));
    // A row of zeros is not on the unit sphere.
    let square = |(i, j)| cosines[[i, i]] + cosines[[j, j]] - 2.0 * cosines[[i, j]];
    let sum: f64 = pairs.map(|at| (-2.0 * square(at)).exp()).sum();
    (sum / (images * (images - 1) / 2) as f64).ln()
}

fn agreement(first: &Array2<f64>, second: &Array2<f64>) -> f64 {
    let images = first.nrows();
    let rows = ndarray::concatenate![Axis(0), *first, *second];
    let cosines = rows.dot(&rows.t());
    let right = (0..2 * images).filter(|&row| {
        let partner = (row + images) % (2 * images);
        let best = cosines[[row, partner]];
        // A tie is not found: where all rows are the same nothing is.
        (0..2 * images).all(|j| j == row || j == partner || cosines[[row, j]] < best)
    });
    right.count() as f64 / (2 * images) as f64
}

#[cfg(test)]
mod tests {
    use spheroid_testkit::{Tolerance, assert_close, json_fixture};

    use super::*;

    #[derive(Deserialize)]
    struct Case {
        rows: usize,
        features: usize,
        a: Vec<f32>,
        b: Vec<f32>,
        std: f64,
        rank_me: f64,
        alignment: f64,
        uniformity: f64,
        top1: f64,
    }

    #[test]
    fn signs_agree_with_pytorch() {
        let cases: Vec<Case> = json_fixture(env!("CARGO_MANIFEST_DIR"), "collapse.json");
        assert!(cases.len() >= 6);
        for case in cases {
            let rows = |values: &[f32]| {
                Array2::from_shape_vec((case.rows, case.features), values.to_vec()).unwrap()
            };
            let (a, b) = (rows(&case.a), rows(&case.b));
            let health = Health::measure(a.view(), Some(b.view())).unwrap();
            let found = [
                health.spread / (case.features as f64).sqrt(),
                health.alignment.unwrap(),
                health.uniformity,
                health.agreement.unwrap(),
            ];
            let expected = [case.std, case.alignment, case.uniformity, case.top1];
            let tolerance = Tolerance {
                relative: 1e-9,
                absolute: 1e-9,
            };
            assert_close(&found, &expected, tolerance);
            // Singular values are roots of eigenvalues here: zeros come out as large as 1e-8.
            let tolerance = Tolerance {
                relative: 1e-5,
                absolute: 0.0,
            };
            assert_close(&[health.effective_rank], &[case.rank_me], tolerance);
        }
    }

    #[test]
    fn one_row_or_other_shapes_are_refused() {
        assert!(Health::measure(Array2::zeros((1, 3)).view(), None).is_err());
        assert!(Health::measure(Array2::zeros((3, 0)).view(), None).is_err());
        let other = Array2::zeros((2, 2));
        assert!(Health::measure(Array2::zeros((3, 2)).view(), Some(other.view())).is_err());
    }

    #[test]
    fn rows_of_zeros_have_collapsed() {
        let zeros = Array2::zeros((5, 3));
        let health = Health::measure(zeros.view(), Some(zeros.view())).unwrap();
        assert_eq!(health.agreement, Some(0.0));
        assert!(matches!(
            health.collapse(),
            Some(Collapse::Constant { spread: 0.0 })
        ));
    }

    #[test]
    fn a_line_through_zero_has_collapsed() {
        let line = Array2::from_shape_fn((8, 4), |(row, column)| {
            (row as f32 - 3.5) * (column as f32 + 1.0)
        });
        let health = Health::measure(line.view(), None).unwrap();
        assert!(matches!(health.collapse(), Some(Collapse::Line { .. })));
        assert_eq!(health.alignment, None);
        assert_eq!(health.agreement, None);
    }
}
