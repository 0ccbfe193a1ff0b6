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

/// Lengths of rows, `[row, 1]`.
pub(crate) fn row_norms(z: Tensor<2>) -> Tensor<2> {
    let largest = z.clone().abs().max_dim(1);
    let scaled = z / one_for_zero(largest.clone());
    scaled.square().sum_dim(1).sqrt() * largest
}

fn one_for_zero(divisor: Tensor<2>) -> Tensor<2> {
    let zero = divisor.clone().equal_elem(0.0);
    divisor.mask_fill(zero, 1.0)
}
