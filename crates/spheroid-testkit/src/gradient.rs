/// Gradient of `value` at `at` by central differences of width `step`.
///
/// Reference for every hand-written or automatic gradient; `2 · at.len()` evaluations.
pub fn central_difference(at: &[f64], step: f64, mut value: impl FnMut(&[f64]) -> f64) -> Vec<f64> {
    let mut moved = at.to_vec();
    (0..at.len())
        .map(|i| {
            moved[i] = at[i] + step;
            let above = value(&moved);
            moved[i] = at[i] - step;
            let below = value(&moved);
            moved[i] = at[i];
            (above - below) / (2.0 * step)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quadratic_is_exact() {
        let gradient = central_difference(&[3.0, -1.0], 1e-3, |x| x[0] * x[0] + 2.0 * x[1]);
        assert!((gradient[0] - 6.0).abs() < 1e-9 && (gradient[1] - 2.0).abs() < 1e-9);
    }
}
