//! Separable resampling with antialiasing, from stored samples to the unit scale in one go.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, CowArray, Ix2, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use spheroid_core::{ParamError, within};

use crate::{Image, Pixel};

/// How pixels between pixels are calculated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// A triangle as wide as two pixels of the coarser grid.
    #[default]
    Bilinear,
    /// Keys' cubic with a = −1/2, as wide as four pixels of the coarser grid; overshoots at edges.
    Bicubic,
}

impl Interpolation {
    /// Half of the filter's width, in pixels of the coarser grid.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Self::Bicubic => 0.0,
        }
    }
}

/// A rectangle of whole pixels inside of a plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) top: usize,
    pub(crate) left: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

/// Largest side of a resampled image, in pixels: what a damaged setting could ask for ends here.
const MOST_SIDE: usize = 1 << 15;

/// Most pixels of a plane: 256 MiB in `f32`.
const MOST_PIXELS: usize = 1 << 26;

/// Accepts sides from 1 to 32,768 pixels, and planes that fit into memory.
pub(crate) fn check_size(rows: usize, columns: usize) -> Result<(), ParamError> {
    for (param, side) in [("rows", rows), ("columns", columns)] {
        within(param, side, 1, MOST_SIDE, "from 1 to 32768")?;
    }
    if rows * columns > MOST_PIXELS {
        let got = format!("{rows} × {columns}");
        return Err(ParamError::new(
            "rows × columns",
            got,
            "at most 67108864 pixels",
        ));
    }
    Ok(())
}

/// Brings a window of every plane to `rows` × `columns` pixels, and the mask by its nearest pixels.
pub(crate) fn resample<'a, T: Pixel>(
    image: Image<'_, T>,
    window: Window,
    [rows, columns]: [usize; 2],
    interpolation: Interpolation,
) -> Image<'a, f32> {
    image.map(
        |samples| resample_planes(samples.view(), window, [rows, columns], interpolation).into(),
        |mask| resample_mask(mask, window, [rows, columns]),
    )
}

fn resample_mask(
    mask: CowArray<'_, bool, Ix2>,
    window: Window,
    [rows, columns]: [usize; 2],
) -> CowArray<'static, bool, Ix2> {
    let nearest = |at: usize, from: usize, extent: usize, outputs: usize| {
        // The middle of the output pixel, in whole numbers.
        from + (2 * at + 1) * extent / (2 * outputs)
    };
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        let row = nearest(row, window.top, window.height, rows);
        mask[[row, nearest(column, window.left, window.width, columns)]]
    })
    .into()
}

/// Samples `[plane, row, column]` of `window` at `rows` × `columns` pixels, on the unit scale.
///
/// # Source
/// The filters and their placement are Pillow's `Image.resize`, which PyTorch follows with
/// `interpolate(antialias=True)`.
fn resample_planes<T: Pixel>(
    samples: ArrayView3<'_, T>,
    window: Window,
    [rows, columns]: [usize; 2],
    interpolation: Interpolation,
) -> Array3<f32> {
    let vertical = Taps::new(window.height, rows, interpolation, T::FULL.recip());
    let horizontal = Taps::new(window.width, columns, interpolation, 1.0);
    let mut out = Array3::zeros((samples.len_of(Axis(0)), rows, columns));
    let Window {
        top,
        left,
        height,
        width,
    } = window;
    let cut = samples.slice(s![.., top..top + height, left..left + width]);
    for (plane, mut out) in cut.outer_iter().zip(out.outer_iter_mut()) {
        // A mirrored view is read forwards, so that its rows are slices, and mirrored afterwards.
        let mirrored = plane.strides()[1] < 0;
        let plane = if mirrored {
            plane.slice_move(s![.., ..;-1])
        } else {
            plane
        };
        let horizontal = if mirrored {
            &horizontal.mirrored(width)
        } else {
            &horizontal
        };
        let out = out
            .as_slice_mut()
            .expect("a new array is in row-major order");
        out.par_chunks_mut(BAND * columns)
            .enumerate()
            .for_each_init(
                || Reducer::new(width),
                |reducer, (band, out)| {
                    let first = band * BAND;
                    reducer.reduce(plane, &vertical, first, out.len() / columns, |row, line| {
                        let at = (row - first) * columns;
                        horizontal.reduce(line, &mut out[at..at + columns]);
                    });
                },
            );
    }
    out
}

/// Output rows that are calculated one after the other; a number of their own, so that the order of additions
/// does not depend on threads.
const BAND: usize = 16;

/// Weighted sums of rows.
struct Reducer<T> {
    sum: Vec<f32>,
    next: Vec<f32>,
    /// Rows of planes in which they are not contiguous.
    copies: [Vec<T>; 4],
}

impl<T: Pixel> Reducer<T> {
    fn new(width: usize) -> Self {
        Self {
            sum: vec![0.0; width],
            next: vec![0.0; width],
            copies: [const { Vec::new() }; 4],
        }
    }

    /// Calls `done` with each of `rows` output rows from `first` on, before columns are reduced.
    ///
    /// Where an input row counts for two output rows it is read once.
    fn reduce(
        &mut self,
        plane: ArrayView2<'_, T>,
        taps: &Taps,
        first: usize,
        rows: usize,
        mut done: impl FnMut(usize, &[f32]),
    ) {
        self.sum.fill(0.0);
        // Input rows before it have been counted for the output row at hand.
        let mut counted = 0;
        for output in first..first + rows {
            let (start, weights) = taps.of(output);
            let end = start + weights.len();
            let from = start.max(counted);
            let weight = |row: usize| weights[row - start];
            let shared = (output + 1 < first + rows && taps.overlaps_next_alone(output))
                .then(|| taps.of(output + 1));
            self.next.fill(0.0);
            counted = 0;
            let Some((next_start, next_weights)) = shared else {
                self.add(plane, from..end, |row| [weight(row), 0.0], false);
                done(output, &self.sum);
                std::mem::swap(&mut self.sum, &mut self.next);
                continue;
            };
            let shared_from = next_start.clamp(from, end);
            self.add(plane, from..shared_from, |row| [weight(row), 0.0], false);
            let both = |row: usize| [weight(row), next_weights[row - next_start]];
            self.add(plane, shared_from..end, both, true);
            if shared_from < end {
                counted = end;
            }
            done(output, &self.sum);
            std::mem::swap(&mut self.sum, &mut self.next);
        }
    }

    /// Adds rows to the sum and, if `twice`, to the next one, with the weights that `weights` gives.
    fn add(
        &mut self,
        plane: ArrayView2<'_, T>,
        rows: std::ops::Range<usize>,
        weights: impl Fn(usize) -> [f32; 2],
        twice: bool,
    ) {
        let mut row = rows.start;
        while row < rows.end {
            let count = if row + 4 <= rows.end { 4 } else { 1 };
            for (copy, row) in self.copies.iter_mut().zip(row..row + count) {
                if plane.row(row).to_slice().is_none() {
                    copy.clear();
                    copy.extend(plane.row(row));
                }
            }
            let slice = |index: usize| {
                plane
                    .row(row + index)
                    .to_slice()
                    .unwrap_or(&self.copies[index])
            };
            if count == 4 {
                let rows = [slice(0), slice(1), slice(2), slice(3)];
                let of = [
                    weights(row),
                    weights(row + 1),
                    weights(row + 2),
                    weights(row + 3),
                ];
                if twice {
                    let of = [of.map(|pair| pair[0]), of.map(|pair| pair[1])];
                    T::add_rows_twice(rows, of, &mut self.sum, &mut self.next);
                } else {
                    T::add_rows(rows, of.map(|pair| pair[0]), &mut self.sum);
                }
            } else {
                let [weight, next] = weights(row);
                T::add_row(slice(0), weight, &mut self.sum);
                if twice {
                    T::add_row(slice(0), next, &mut self.next);
                }
            }
            row += count;
        }
    }
}

/// Sum of products, in eight parts that need not wait for each other.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (a_chunks, b_chunks) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a_chunks
        .remainder()
        .iter()
        .zip(b_chunks.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in a_chunks.zip(b_chunks) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// For every output pixel the first input pixel that it sees, and the weights from there on.
struct Taps {
    starts: Vec<usize>,
    /// Where the weights of each output begin, and at the end where those of the last one end.
    bounds: Vec<usize>,
    weights: Vec<f32>,
}

impl Taps {
    /// From `pixels` to `outputs` pixels; the weights of every output add up to `sum`.
    fn new(pixels: usize, outputs: usize, interpolation: Interpolation, sum: f64) -> Self {
        let step = pixels as f64 / outputs as f64;
        // Reducing widens the filter: that is the antialiasing.
        let scale = step.max(1.0);
        let support = interpolation.support() * scale;
        let mut taps = Self {
            starts: Vec::with_capacity(outputs),
            bounds: vec![0],
            weights: Vec::new(),
        };
        let mut raw = Vec::new();
        for output in 0..outputs {
            let center = (output as f64 + 0.5) * step;
            let start = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(pixels);
            raw.clear();
            raw.extend(
                (start..end)
                    .map(|pixel| interpolation.weight((pixel as f64 - center + 0.5) / scale)),
            );
            let total: f64 = raw.iter().sum();
            taps.weights
                .extend(raw.iter().map(|weight| (weight / total * sum) as f32));
            taps.starts.push(start);
            taps.bounds.push(taps.weights.len());
        }
        taps
    }

    fn of(&self, output: usize) -> (usize, &[f32]) {
        let weights = self.bounds[output]..self.bounds[output + 1];
        (self.starts[output], &self.weights[weights])
    }

    /// Whether every input pixel of `output` that the next output sees too is within its reach, and the
    /// output after that one sees none of them.
    fn overlaps_next_alone(&self, output: usize) -> bool {
        let (start, weights) = self.of(output);
        let end = start + weights.len();
        let (next, of_next) = self.of(output + 1);
        start <= next
            && end <= next + of_next.len()
            && self
                .starts
                .get(output + 2)
                .is_none_or(|&after| end <= after)
    }

    /// Every output from a line of pixels.
    fn reduce(&self, line: &[f32], out: &mut [f32]) {
        for (output, value) in out.iter_mut().enumerate() {
            let (start, weights) = self.of(output);
            *value = dot(&line[start..start + weights.len()], weights);
        }
    }

    /// The same for a line of `pixels` that runs backwards.
    fn mirrored(&self, pixels: usize) -> Self {
        let mut taps = Self {
            starts: Vec::with_capacity(self.starts.len()),
            bounds: vec![0],
            weights: Vec::with_capacity(self.weights.len()),
        };
        for output in 0..self.starts.len() {
            let (start, weights) = self.of(output);
            taps.starts.push(pixels - start - weights.len());
            taps.weights.extend(weights.iter().rev());
            taps.bounds.push(taps.weights.len());
        }
        taps
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(rows: usize, columns: usize) -> Window {
        Window {
            top: 0,
            left: 0,
            height: rows,
            width: columns,
        }
    }

    fn texture(rows: usize, columns: usize) -> Array3<u16> {
        Array3::from_shape_fn((2, rows, columns), |(p, r, c)| {
            ((p * 31 + r * 7919 + c * 104_729) % 65_536) as u16
        })
    }

    #[test]
    fn a_mirrored_or_turned_view_gives_what_its_copy_gives() {
        let stack = texture(23, 37);
        for view in [
            stack.slice(s![.., .., ..;-1]),
            stack.slice(s![.., ..;-1, ..;-1]),
            stack.view().permuted_axes([0, 2, 1]),
        ] {
            let (_, rows, columns) = view.dim();
            let window = Window {
                top: 1,
                left: 2,
                height: rows - 4,
                width: columns - 3,
            };
            let found = resample_planes(view, window, [5, 4], Interpolation::Bicubic);
            let copy = view.to_owned();
            let expected = resample_planes(copy.view(), window, [5, 4], Interpolation::Bicubic);
            let close = found
                .iter()
                .zip(&expected)
                .all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(close, "{found} is not {expected}");
        }
    }

    #[test]
    fn the_mask_follows_the_nearest_pixel() {
        let mask = Array2::from_shape_fn((6, 6), |(r, c)| r < 3 && c >= 3);
        let found = resample_mask(mask.into(), whole(6, 6), [2, 2]);
        assert_eq!(found, ndarray::arr2(&[[false, true], [false, false]]));
    }

    proptest! {
        #[test]
        fn one_tone_stays_one_tone(
            (rows, columns) in (1_usize..40, 1_usize..40),
            (out_rows, out_columns) in (1_usize..20, 1_usize..20),
            tone in any::<u16>(),
        ) {
            let stack = Array3::from_elem((1, rows, columns), tone);
            for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
                let window = whole(rows, columns);
                let size = [out_rows, out_columns];
                let found = resample_planes(stack.view(), window, size, interpolation);
                prop_assert!(found.iter().all(|&v| u16::from_unit(v) == tone), "{found}");
            }
        }
    }

    #[derive(Deserialize)]
    struct Params {
        top: usize,
        left: usize,
        height: usize,
        width: usize,
        rows: usize,
        columns: usize,
        interpolation: Interpolation,
    }

    #[test]
    fn agrees_with_torchvision() {
        let cases = crate::reference::cases::<Params>("torchvision.json", "resized_crop");
        assert!(cases.len() >= 14);
        for case in cases {
            let params = &case.params;
            let window = Window {
                top: params.top,
                left: params.left,
                height: params.height,
                width: params.width,
            };
            let size = [params.rows, params.columns];
            let view = resample(case.image(), window, size, params.interpolation);
            case.check_samples(&view.into_samples());
        }
    }
}
