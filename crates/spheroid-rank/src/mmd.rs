use ndarray::ArrayView2;

use crate::{
    PermutationTest, RankError,
    label_permutation::{PairSums, Pooled},
    median,
};

/// Squared maximum mean discrepancy between the treated wells and the untreated ones, unbiased.
///
/// ```text
/// mean k(xᵢ, xⱼ) + mean k(yᵢ, yⱼ) − 2 mean k(xᵢ, yⱼ),   k(a, b) = exp(−‖a − b‖² / (2 σ²))
/// ```
/// over pairs of different wells; `σ` is the median distance between any two of all wells. Its mean
/// is 0 for equal distributions, so it may be negative. Like
/// [`energy_distance`](crate::energy_distance) it sees any difference; it counts wells that are
/// very far away no more than wells that are far.
///
/// # Shapes
/// `treated` and `untreated` `[well, feature]`, at least two wells each.
///
/// # Errors
/// When the features differ in number, a value is not finite, a group has fewer than two wells,
/// there are more than 4096 wells, or half or more of the distances are 0.
///
/// # Source
/// Gretton, Borgwardt, Rasch, Schölkopf and Smola, Journal of Machine Learning Research 13 (2012),
/// 723–773, equation 3; the median of distances as in their experiments.
///
/// # Example
/// ```
/// use ndarray::array;
/// let (treated, untreated) = (array![[5.0f32], [6.0]], array![[0.0f32], [1.0], [0.5]]);
/// let test = spheroid_rank::squared_mmd(treated.view(), untreated.view())?;
/// assert!((test.statistic - 0.953_610_178_678_208).abs() < 1e-12);
/// assert_eq!(test.p_value, 0.1);
/// # Ok::<(), spheroid_rank::RankError>(())
/// ```
pub fn squared_mmd(
    treated: ArrayView2<'_, f32>,
    untreated: ArrayView2<'_, f32>,
) -> Result<PermutationTest, RankError> {
    let pooled = Pooled::of(treated, untreated, (2, 2))?;
    let (n, m) = (treated.nrows() as f64, untreated.nrows() as f64);
    let distances = pooled.distances();
    let of_pairs: Vec<f64> = (0..distances.nrows())
        .flat_map(|i| (0..i).map(move |j| (i, j)))
        .map(|pair| distances[pair])
        .collect();
    let width = median(&of_pairs)?;
    if width == 0.0 {
        return Err(RankError::Undefined {
            what: "maximum mean discrepancy",
            reason: "half or more of the pairs of wells are equal".into(),
        });
    }
    let kernel = distances.map(|distance| (-0.5 * (distance / width).powi(2)).exp());
    let sums = PairSums::of(kernel);
    Ok(pooled.test(|treated| {
        let (within, among_rest, across) = sums.split(treated);
        // A well has the kernel value 1 with itself.
        (within - n) / (n * (n - 1.0)) + (among_rest - m) / (m * (m - 1.0)) - 2.0 * across / (n * m)
    }))
}
