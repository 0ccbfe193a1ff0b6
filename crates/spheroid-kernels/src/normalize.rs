use burn::tensor::Tensor;

/// Rows of length 1; a row of zeros stays one.
///
/// Huge and tiny rows neither overflow nor vanish: squares are taken of rows scaled by their largest entry.
///
/// # Shapes
/// Input and output `[row, feature]`.
pub fn normalize_rows(z: Tensor<2>) -> Tensor<2> {
    let largest = z.clone().abs().max_dim(1).detach();
    let z = z / one_for_zero(largest);
    let norm = one_for_zero(z.clone().square().sum_dim(1)).sqrt();
    z / norm
}

fn one_for_zero(divisor: Tensor<2>) -> Tensor<2> {
    let zero = divisor.clone().equal_elem(0.0);
    divisor.mask_fill(zero, 1.0)
}

/// Logarithm of the sum of exponentials of every row, `[row, 1]`.
pub(crate) fn log_sum_exp(z: Tensor<2>) -> Tensor<2> {
    // Taking the largest entry out keeps the sum above 0 for small temperatures.
    let largest = z.clone().max_dim(1).detach();
    (z - largest.clone()).exp().sum_dim(1).log() + largest
}

/// Takes an entry out of a sum of exponentials: exp(−1e9) is 0 in every float.
pub(crate) const MASKED: f64 = -1e9;
