/// A grey image of `f32`, row by row.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) data: Vec<f32>,
}

impl Frame {
    pub(crate) fn filled(rows: usize, columns: usize, value: f32) -> Self {
        Self {
            rows,
            columns,
            data: vec![value; rows * columns],
        }
    }
}

/// Box filters in a row that stand for one Gaussian.
const PASSES: usize = 3;

/// One box of the cascade: `2 radius + 1` samples of weight `inner` and one of weight `outer` at
/// either end.
///
/// The fraction at the ends gives the cascade exactly the variance of the Gaussian, so that small
/// widths, where whole boxes are coarse, are right as well.
///
/// # Source
/// Gwosdek, Grewenig, Bruhn and Weickert, Theoretical foundations of Gaussian convolution by
/// extended box filtering (2011), doi:10.1007/978-3-642-24785-9_38.
#[derive(Debug, Clone, Copy)]
struct ExtendedBox {
    radius: usize,
    inner: f32,
    outer: f32,
}

impl ExtendedBox {
    fn for_gaussian(sigma: f64) -> Self {
        let variance = sigma * sigma / PASSES as f64;
        let radius = (((12.0 * variance + 1.0).sqrt() - 1.0) / 2.0).floor();
        let alpha = (2.0 * radius + 1.0) * (radius * (radius + 1.0) - 3.0 * variance)
            / (6.0 * (variance - (radius + 1.0) * (radius + 1.0)));
        let inner = (2.0 * radius + 1.0 + 2.0 * alpha).recip();
        Self {
            radius: radius as usize,
            inner: inner as f32,
            outer: (alpha * inner) as f32,
        }
    }

    /// Filters `line` into `out`; the outermost sample goes on beyond the end.
    ///
    /// `padded` is scratch space.
    fn filter(self, line: &[f32], out: &mut [f32], padded: &mut Vec<f32>) {
        let pad = self.radius + 1;
        padded.clear();
        padded.extend(std::iter::repeat_n(line[0], pad));
        padded.extend_from_slice(line);
        padded.extend(std::iter::repeat_n(line[line.len() - 1], pad));
        let width = 2 * self.radius + 1;
        let mut sum: f32 = padded[1..=width].iter().sum();
        for ((out, pair), &after) in out
            .iter_mut()
            .zip(padded.windows(2))
            .zip(&padded[width + 1..])
        {
            *out = self.inner * sum + self.outer * (pair[0] + after);
            sum += after - pair[1];
        }
    }
}

/// Blurs by a Gaussian of standard deviation `sigma` pixels; the border goes on beyond the edge.
///
/// The cost does not depend on `sigma`.
pub(crate) fn gaussian(frame: &Frame, sigma: f64) -> Frame {
    let (rows, columns) = (frame.rows, frame.columns);
    let kernel = ExtendedBox::for_gaussian(sigma);
    let across = transposed_blur(&frame.data, columns, rows, kernel);
    let data = transposed_blur(&across, rows, columns, kernel);
    Frame {
        rows,
        columns,
        data,
    }
}

/// Blurs along lines of `length` samples and returns the transposed image, so that two calls blur
/// both axes and restore the order.
fn transposed_blur(data: &[f32], length: usize, lines: usize, kernel: ExtendedBox) -> Vec<f32> {
    /// Lines that are transposed together: one cache line of `f32`.
    const BATCH: usize = 16;
    let mut out = vec![0.0; data.len()];
    let mut batch = vec![0.0; BATCH * length];
    let (mut other, mut padded) = (vec![0.0; length], Vec::new());
    for (chunk, block) in data.chunks(BATCH * length).enumerate() {
        let count = block.len() / length;
        for (line, target) in block
            .chunks_exact(length)
            .zip(batch.chunks_exact_mut(length))
        {
            kernel.filter(line, target, &mut padded);
            for _ in 0..(PASSES - 1) / 2 {
                kernel.filter(target, &mut other, &mut padded);
                kernel.filter(&other, target, &mut padded);
            }
        }
        for (position, row) in out.chunks_exact_mut(lines).enumerate() {
            let row = &mut row[chunk * BATCH..chunk * BATCH + count];
            for (k, value) in row.iter_mut().enumerate() {
                *value = batch[k * length + position];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Variance along rows and columns, and the sum, of what a single bright pixel becomes.
    fn spread_of_a_point(sigma: f64) -> (f64, f64, f64) {
        let (rows, columns) = (61, 83);
        let mut frame = Frame::filled(rows, columns, 0.0);
        frame.data[30 * columns + 41] = 1.0;
        let blurred = gaussian(&frame, sigma);
        let (mut down, mut across, mut sum) = (0.0, 0.0, 0.0);
        for (i, &value) in blurred.data.iter().enumerate() {
            let (y, x) = ((i / columns) as f64 - 30.0, (i % columns) as f64 - 41.0);
            down += y * y * f64::from(value);
            across += x * x * f64::from(value);
            sum += f64::from(value);
        }
        (down, across, sum)
    }

    #[test]
    fn has_the_variance_of_the_gaussian_at_any_width() {
        for sigma in [0.0, 0.2, 0.5, 1.0, 1.7, 3.3, 6.0] {
            let (down, across, sum) = spread_of_a_point(sigma);
            assert!((sum - 1.0).abs() < 1e-4, "sigma {sigma}: sum {sum}");
            assert!(
                (down - sigma * sigma).abs() < 2e-3 * (1.0 + sigma * sigma),
                "{sigma} {down}"
            );
            assert!(
                (across - down).abs() < 1e-3 * (1.0 + down),
                "{sigma} {across} {down}"
            );
        }
    }

    #[test]
    fn keeps_a_flat_image_flat_up_to_the_border() {
        let blurred = gaussian(&Frame::filled(5, 9, 0.25), 4.0);
        assert!(blurred.data.iter().all(|v| (v - 0.25).abs() < 1e-6));
    }

    #[test]
    fn a_zero_width_changes_nothing() {
        let data: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let frame = Frame {
            rows: 3,
            columns: 4,
            data: data.clone(),
        };
        assert_eq!(gaussian(&frame, 0.0).data, data);
    }
}
