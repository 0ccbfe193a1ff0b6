use ndarray::Array3;

use crate::geometry::mirror;

/// A symmetric kernel of odd length whose weights add up to 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Kernel(Vec<f32>);

impl Kernel {
    /// A Gaussian up to four standard deviations, as SciPy's `gaussian_filter` cuts it.
    pub(crate) fn gaussian(sigma: f64) -> Self {
        Self::gaussian_within(sigma, (4.0 * sigma + 0.5) as usize)
    }

    /// A Gaussian up to `radius` pixels.
    pub(crate) fn gaussian_within(sigma: f64, radius: usize) -> Self {
        // Weights that no pixel of 16 bits can feel are left out: `f32` would hold them as denormal
        // numbers, with which processors calculate many times as slowly.
        const LEAST: f64 = 1e-9;
        let felt = (sigma * (-2.0 * LEAST.ln()).sqrt()).ceil() as usize;
        let radius = radius.min(felt) as i64;
        let weights: Vec<f64> = (-radius..=radius)
            .map(|x| (-0.5 * (x as f64 / sigma).powi(2)).exp())
            .collect();
        let sum: f64 = weights.iter().sum();
        Self(
            weights
                .into_iter()
                .map(|weight| (weight / sum) as f32)
                .collect(),
        )
    }

    fn radius(&self) -> usize {
        self.0.len() / 2
    }
}

/// Convolves rows and columns of every plane, in place; `samples` is in row-major order.
pub(crate) fn blur(samples: &mut Array3<f32>, kernel: &Kernel) {
    if kernel.0.len() == 1 {
        return;
    }
    let (_, rows, columns) = samples.dim();
    let radius = kernel.radius();
    let mut padded = vec![0.0; columns + 2 * radius];
    let mut vertical = vec![0.0; rows * columns];
    let values = samples
        .as_slice_mut()
        .expect("samples are in row-major order");
    for plane in values.chunks_exact_mut(rows * columns) {
        for (row, sum) in vertical.chunks_exact_mut(columns).enumerate() {
            let source = |offset: usize| {
                let row = mirror(row as isize + offset as isize - radius as isize, rows);
                &plane[row * columns..(row + 1) * columns]
            };
            accumulate(&kernel.0, source, sum);
        }
        for (line, out) in vertical
            .chunks_exact(columns)
            .zip(plane.chunks_exact_mut(columns))
        {
            for (at, value) in padded.iter_mut().enumerate() {
                *value = line[mirror(at as isize - radius as isize, columns)];
            }
            accumulate(&kernel.0, |offset| &padded[offset..offset + columns], out);
        }
    }
}

/// `out = Σ weights[k] · source(k)`, for a symmetric kernel.
fn accumulate<'a>(weights: &[f32], source: impl Fn(usize) -> &'a [f32], out: &mut [f32]) {
    let last = weights.len() - 1;
    let middle = weights.len() / 2;
    for (out, value) in out.iter_mut().zip(source(middle)) {
        *out = weights[middle] * value;
    }
    let length = out.len();
    // Slices of one known length, so that no index is checked within the loops.
    let pair = |offset: usize| (&source(offset)[..length], &source(last - offset)[..length]);
    let mut offset = 0;
    while offset + 1 < middle {
        let ((a, b), (c, d)) = (pair(offset), pair(offset + 1));
        let (near, far) = (weights[offset + 1], weights[offset]);
        for at in 0..length {
            out[at] += far * (a[at] + b[at]) + near * (c[at] + d[at]);
        }
        offset += 2;
    }
    if offset < middle {
        let (a, b) = pair(offset);
        for at in 0..length {
            out[at] += weights[offset] * (a[at] + b[at]);
        }
    }
}
