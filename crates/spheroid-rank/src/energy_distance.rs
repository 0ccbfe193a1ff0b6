use ndarray::ArrayView2;

use crate::{
    PermutationTest, RankError,
    label_permutation::{PairSums, Pooled},
};

/// Energy distance between the treated wells and the untreated ones; 0 for equal distributions.
///
/// ```text
/// 2 mean ‖xᵢ − yⱼ‖ − mean ‖xᵢ − xⱼ‖ − mean ‖yᵢ − yⱼ‖
/// ```
/// over all pairs, a well with itself too, so it is never negative. It sees any difference: a
/// shift, but also wells that scatter more. Scatter alone can come of wells that answer unevenly.
/// Features of large scale rule: standardise them first.
///
/// The p-value presumes that a treated well without an effect is like any untreated one. Give
/// residuals of predictions that were made out of fold.
///
/// # Shapes
/// `treated` and `untreated` `[well, feature]`, at least one well each.
///
/// # Errors
/// When the features differ in number, a value is not finite, a group is empty, or there are more
/// than 4096 wells.
///
/// # Source
/// Székely and Rizzo, Journal of Statistical Planning and Inference 143 (2013), 1249–1272.
/// `scipy.stats.energy_distance` gives the root of it for one feature.
///
/// # Example
/// ```
/// use ndarray::array;
/// let (treated, untreated) = (array![[5.0f32], [6.0]], array![[0.0f32], [1.0], [0.0]]);
/// let test = spheroid_rank::energy_distance(treated.view(), untreated.view())?;
/// assert!((test.statistic - (2.0 * 31.0 / 6.0 - 0.5 - 4.0 / 9.0)).abs() < 1e-12);
/// // No other of the ten pairs of wells stands so far apart from the rest.
/// assert_eq!(test.p_value, 0.1);
/// # Ok::<(), spheroid_rank::RankError>(())
/// ```
pub fn energy_distance(
    treated: ArrayView2<'_, f32>,
    untreated: ArrayView2<'_, f32>,
) -> Result<PermutationTest, RankError> {
    let pooled = Pooled::of(treated, untreated, (1, 1))?;
    let (n, m) = (treated.nrows() as f64, untreated.nrows() as f64);
    let sums = PairSums::of(pooled.distances());
    Ok(pooled.test(|treated| {
        let (within, among_rest, across) = sums.split(treated);
        2.0 * across / (n * m) - within / (n * n) - among_rest / (m * m)
    }))
}
