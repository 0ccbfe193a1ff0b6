//! The three passes of a convolution on slices.
//!
//! But for small planes none builds the matrix of all patches. Rows of a zero-padded plane follow each other
//! in memory, so the value that a tap of the kernel sees of a place lies at a fixed distance from it: a pass
//! multiplies shifted views of the planes. Between two rows of results stand a few of no meaning, which are
//! left out when results are written.

use rayon::prelude::*;

use super::winograd;
use crate::{
    memory::{self, Room},
    tiles::{Correlate, Reduce, Tile},
    unfolded::{Geometry, Planes, Unfolded},
};

/// Floats of planes that a task of several images fills at most: they stay in the second-level cache.
const TASK: usize = 1 << 17;
/// Outputs whose gradients are put in place together.
const OUTPUTS_AT_ONCE: usize = 16;
/// Columns that [`Reduce`] goes over before it turns to other rows: a tile of them stays in the
/// first-level cache.
const BLOCK: usize = 1024;
/// Tasks into which the gradient of the weights is cut at least where images allow it. Fixed, so that
/// sums are added in one order whatever the number of threads.
const PARTS: usize = 16;

/// A matrix of weights in blocks of `rows` rows, a block with all rows of one column side by side; what is missing
/// is 0. Column `k` of row `i` is `weights[i · stride + columns[k]]`.
fn pack(weights: &[f32], row_count: usize, stride: usize, columns: &[usize], rows: usize) -> Room {
    let mut packed = Room::zeros(row_count.div_ceil(rows) * rows * columns.len());
    packed
        .par_chunks_exact_mut(rows * columns.len())
        .enumerate()
        .for_each(|(block, packed)| {
            for (column, packed) in columns.iter().zip(packed.chunks_exact_mut(rows)) {
                for (packed, row) in packed.iter_mut().zip(block * rows..row_count) {
                    *packed = weights[row * stride + column];
                }
            }
        });
    packed
}

/// Starts of the vectors that cover `len` places of every one of `images` images that are `apart`.
fn starts(images: usize, apart: usize, len: usize, lanes: usize) -> Vec<usize> {
    (0..images)
        .flat_map(|image| (0..len).step_by(lanes).map(move |at| image * apart + at))
        .collect()
}

/// Images of a task: at most as many as fill the cache, and the same for every thread.
fn images_of_task(images: usize, floats: usize) -> usize {
    let threads = rayon::current_num_threads();
    let most = (TASK / floats.max(1)).clamp(1, images.div_ceil(2 * threads));
    let tasks = images.div_ceil(most).next_multiple_of(threads);
    images.div_ceil(tasks)
}

/// Results, `[image, output, row, column]`, of images `[image, input, row, column]` and weights `[output,
/// input, row, column]`.
pub(super) fn forward(
    tile: Tile,
    images: &[f32],
    weights: &[f32],
    geometry: Geometry,
    out: [usize; 2],
) -> Vec<f32> {
    if winograd::pays(geometry, out) {
        return winograd::forward(tile.arch, images, weights, geometry, out);
    }
    let depth = geometry.inputs * geometry.taps();
    let columns: Vec<usize> = (0..depth).collect();
    let packed = pack(weights, geometry.outputs, depth, &columns, tile.rows);
    convolve(tile, images, &packed, geometry, out)
}

/// [`forward`] with weights that are packed.
fn convolve(
    tile: Tile,
    images: &[f32],
    packed: &[f32],
    geometry: Geometry,
    out: [usize; 2],
) -> Vec<f32> {
    let Tile { lanes, rows, .. } = tile;
    let Geometry {
        inputs,
        outputs,
        size,
        ..
    } = geometry;
    let unfolded = Unfolded::new(geometry, out);
    let plane = unfolded.plane;
    let per_task = images_of_task(geometry.images, inputs * unfolded.channel(1));
    let channel = unfolded.channel(per_task);
    let shifts = unfolded.shifts(per_task);
    let offsets: Vec<usize> = (0..inputs)
        .flat_map(|input| shifts.iter().map(move |shift| input * channel + shift))
        .collect();
    let area = out[0] * out[1];
    // Without places of no meaning images follow each other as one.
    let seamless = plane.len() == area;
    let vectors = |images: usize| {
        if seamless {
            starts(1, 0, images * area, lanes)
        } else {
            let len = (out[0] - 1) * plane.pitch + out[1];
            starts(images, plane.len(), len, lanes)
        }
    };
    let most = vectors(per_task).len();
    let image_len = inputs * size[0] * size[1];
    let out_len = outputs * area;

    // Outputs of a block, of which `results` holds those from `first` on for every image.
    let convolve_block =
        |planes: &[f32], weights: &[f32], sums: &mut [f32], results: &mut [f32], first: usize| {
            let count = results.len().div_ceil(out_len);
            let starts = vectors(count);
            let sums = &mut sums[..rows * starts.len() * lanes];
            tile.correlate(Correlate {
                source: planes,
                starts: &starts,
                offsets: &offsets,
                weights,
                out: sums,
            });
            let sums_of_image = if seamless {
                area
            } else {
                starts.len() / count * lanes
            };
            for (image, results) in results.chunks_mut(out_len).enumerate() {
                let results = results.chunks_exact_mut(area).skip(first);
                for (result, sums) in results.zip(sums.chunks_exact(starts.len() * lanes)) {
                    plane.cut(&sums[image * sums_of_image..], result, out[1]);
                }
            }
        };

    let mut results = memory::take(geometry.images * out_len);
    let zeros = |len: usize| move || Room::zeros(len);
    let (new_planes, new_sums) = (
        zeros(inputs * channel + most * lanes),
        zeros(rows * most * lanes),
    );
    results
        .par_chunks_mut(per_task * out_len)
        .zip(images.par_chunks(per_task * image_len))
        .for_each_init(new_planes, |planes, (results, images)| {
            for (image, values) in images.chunks_exact(image_len).enumerate() {
                let inputs = values.chunks_exact(size[0] * size[1]);
                for (values, planes) in inputs.zip(planes.chunks_mut(channel)) {
                    let planes = &mut planes[image * plane.len()..];
                    unfolded.fill(values, planes, per_task * plane.len());
                }
            }
            let depth = rows * offsets.len();
            if per_task == 1 {
                // With fewer images than threads, outputs are shared among them.
                results
                    .par_chunks_mut(rows * area)
                    .zip(packed.par_chunks_exact(depth))
                    .for_each_init(new_sums, |sums, (results, weights)| {
                        convolve_block(planes, weights, sums, results, 0);
                    });
            } else {
                let mut sums = new_sums();
                for (block, weights) in packed.chunks_exact(depth).enumerate() {
                    convolve_block(planes, weights, &mut sums, results, block * rows);
                }
            }
        });
    results
}

/// Gradient of the images from that of the results.
///
/// With a stride of 1 it is the convolution of the gradient with the mirrored kernel. Otherwise rows and columns
/// of an image fall into `stride`² classes, each of which sees its own taps.
pub(super) fn input_gradient(
    tile: Tile,
    gradient: &[f32],
    weights: &[f32],
    geometry: Geometry,
    out: [usize; 2],
) -> Vec<f32> {
    if winograd::pays(geometry, out) {
        return winograd::input_gradient(tile.arch, gradient, weights, geometry, out);
    }
    let Tile { lanes, rows, .. } = tile;
    let Geometry {
        inputs,
        outputs,
        size,
        kernel,
        stride,
        padding,
        ..
    } = geometry;
    let taps = geometry.taps();
    if stride == 1 && kernel[0] == kernel[1] && padding < kernel[0] {
        let columns: Vec<usize> = (0..outputs)
            .flat_map(|output| (0..taps).rev().map(move |tap| output * inputs * taps + tap))
            .collect();
        let packed = pack(weights, inputs, taps, &columns, rows);
        let mirrored = Geometry {
            inputs: outputs,
            outputs: inputs,
            size: out,
            padding: kernel[0] - 1 - padding,
            ..geometry
        };
        return convolve(tile, gradient, &packed, mirrored, size);
    }
    // The gradient stands behind as many zeros as a class has taps before its first, and before as many as the
    // image reaches beyond it.
    let before = kernel.map(|taps| taps.div_ceil(stride) - 1);
    let reach = |axis: usize| {
        let last = (size[axis] - 1 + padding) / stride;
        before[axis] + (last + 1).max(out[axis])
    };
    let plane = Planes {
        rows: reach(0),
        pitch: reach(1),
    };
    let per_task = images_of_task(geometry.images, outputs * plane.len());
    let image_len = inputs * size[0] * size[1];
    let out_len = outputs * out[0] * out[1];

    let classes: Vec<Class> = (0..stride * stride)
        .filter_map(|class| {
            let class = [class / stride, class % stride];
            // Along an axis: taps, first place in the image, first place and number of places in the plane.
            let along = |axis: usize| {
                let class = class[axis];
                let taps = kernel[axis].saturating_sub(class).div_ceil(stride);
                let first = (class + stride - padding % stride) % stride;
                let count = size[axis].checked_sub(first)?.div_ceil(stride);
                let place = (first + padding - class) / stride;
                (taps > 0 && count > 0).then_some((taps, first, place, count))
            };
            let (y_taps, y, row, row_count) = along(0)?;
            let (x_taps, x, column, column_count) = along(1)?;
            let corner = (row + before[0]) * plane.pitch + column + before[1];
            let depth = outputs * y_taps * x_taps;
            let at = |index: usize| {
                let (output, tap) = (index / (y_taps * x_taps), index % (y_taps * x_taps));
                (output, tap / x_taps, tap % x_taps)
            };
            let offsets = (0..depth).map(|index| {
                let (output, t, u) = at(index);
                corner + output * plane.len() - t * plane.pitch - u
            });
            let columns: Vec<usize> = (0..depth)
                .map(|index| {
                    let (output, t, u) = at(index);
                    let (ky, kx) = (class[0] + stride * t, class[1] + stride * u);
                    output * inputs * taps + ky * kernel[1] + kx
                })
                .collect();
            let packed = pack(weights, inputs, taps, &columns, rows);
            let len = (row_count - 1) * plane.pitch + column_count;
            Some(Class {
                corner: [y, x],
                count: [row_count, column_count],
                offsets: offsets.collect(),
                packed,
                vectors: len.div_ceil(lanes),
                starts: starts(per_task, outputs * plane.len(), len, lanes),
            })
        })
        .collect();
    let widest = classes.iter().map(|class| class.starts.len()).max();
    let widest = widest.unwrap_or(0) * lanes;

    // Some places may see no tap.
    let mut results = memory::take_zeros(geometry.images * image_len);
    let scratch = || {
        let planes = per_task * outputs * plane.len() + widest + plane.len();
        (Room::zeros(planes), Room::new(rows * widest))
    };
    results
        .par_chunks_mut(per_task * image_len)
        .zip(gradient.par_chunks(per_task * out_len))
        .for_each_init(scratch, |(planes, sums), (results, gradient)| {
            for (gradient, plane_of) in gradient
                .chunks_exact(out[0] * out[1])
                .zip(planes.chunks_exact_mut(plane.len()))
            {
                let rows = plane_of.chunks_exact_mut(plane.pitch).skip(before[0]);
                for (row, gradient) in rows.zip(gradient.chunks_exact(out[1])) {
                    row[before[1]..][..out[1]].copy_from_slice(gradient);
                }
            }
            let count = gradient.len() / out_len;
            for class in &classes {
                let starts = &class.starts[..count * class.vectors];
                let width = starts.len() * lanes;
                let sums = &mut sums[..rows * width];
                for (block, weights) in class
                    .packed
                    .chunks_exact(rows * class.offsets.len())
                    .enumerate()
                {
                    tile.correlate(Correlate {
                        source: planes,
                        starts,
                        offsets: &class.offsets,
                        weights,
                        out: sums,
                    });
                    for (sums, input) in sums.chunks_exact(width).zip(block * rows..inputs) {
                        for (image, sums) in sums.chunks_exact(class.vectors * lanes).enumerate() {
                            let at = image * image_len + input * size[0] * size[1];
                            let result = &mut results[at..][..size[0] * size[1]];
                            class.scatter(sums, plane.pitch, result, size[1], stride);
                        }
                    }
                }
            }
        });
    results
}

/// The rows and columns of an image that see the same taps.
struct Class {
    /// The first row and column.
    corner: [usize; 2],
    /// Number of rows and columns.
    count: [usize; 2],
    offsets: Vec<usize>,
    packed: Room,
    /// Vectors of an image.
    vectors: usize,
    starts: Vec<usize>,
}

impl Class {
    fn scatter(
        &self,
        sums: &[f32],
        pitch: usize,
        image: &mut [f32],
        columns: usize,
        stride: usize,
    ) {
        let rows = image.chunks_exact_mut(columns).skip(self.corner[0]);
        for (row, sums) in rows.step_by(stride).zip(sums.chunks(pitch)) {
            let sums = &sums[..self.count[1]];
            if stride == 1 {
                row.copy_from_slice(sums);
            } else {
                let places = row[self.corner[1]..].iter_mut().step_by(stride);
                for (place, sum) in places.zip(sums) {
                    *place = *sum;
                }
            }
        }
    }
}

/// Gradient of the weights, `[output, input, row, column]`, from that of the results.
pub(super) fn weight_gradient(
    tile: Tile,
    images: &[f32],
    gradient: &[f32],
    geometry: Geometry,
    out: [usize; 2],
) -> Vec<f32> {
    if winograd::pays(geometry, out) {
        return winograd::weight_gradient(tile.arch, images, gradient, geometry, out);
    }
    let Tile { lanes, rows, .. } = tile;
    let Geometry {
        inputs,
        outputs,
        size,
        ..
    } = geometry;
    let taps = geometry.taps();
    let unfolded = Unfolded::new(geometry, out);
    let plane = unfolded.plane;
    let padded_outputs = outputs.next_multiple_of(rows);
    // Channels of a task: as many as make re-reading the gradient cheap.
    let channels = inputs.div_ceil(2).clamp(1, 16);
    let channel_tasks = inputs.div_ceil(channels);
    let part = geometry.images.div_ceil(PARTS.div_ceil(channel_tasks));
    let parts = geometry.images.div_ceil(part);
    let columns = (part * plane.len()).next_multiple_of(lanes);
    let shifts = unfolded.shifts(part);
    let last = shifts.iter().copied().max().unwrap_or(0);

    // The gradient by output, laid out as the images are, so that equal places meet.
    let mut spread = Room::zeros(parts * padded_outputs * columns);
    spread
        .par_chunks_mut(columns)
        .enumerate()
        .for_each(|(index, row)| {
            let (of_part, output) = (index / padded_outputs, index % padded_outputs);
            if output >= outputs {
                return;
            }
            let first = of_part * part;
            let count = part.min(geometry.images - first);
            for (image, row) in (first..first + count).zip(row.chunks_exact_mut(plane.len())) {
                let at = (image * outputs + output) * out[0] * out[1];
                let gradient = gradient[at..][..out[0] * out[1]].chunks_exact(out[1]);
                for (row, gradient) in row.chunks_exact_mut(plane.pitch).zip(gradient) {
                    row[..out[1]].copy_from_slice(gradient);
                }
            }
        });

    let channel = unfolded.channel(part);
    let scratch = || {
        let planes = channels * channel + columns + last;
        let sums = channels * taps * padded_outputs * lanes;
        (Room::zeros(planes), Room::new(sums))
    };
    let sums: Vec<Vec<f32>> = (0..parts * channel_tasks)
        .into_par_iter()
        .map_init(scratch, |(planes, sums), task| {
            let (of_part, first_input) = (task / channel_tasks, task % channel_tasks * channels);
            let spread = &spread[of_part * padded_outputs * columns..][..padded_outputs * columns];
            let first = of_part * part;
            let count = part.min(geometry.images - first);
            let inputs_of_task = first_input..inputs.min(first_input + channels);
            // Planes that a fuller part left behind meet a gradient of 0.
            for (input, planes) in inputs_of_task.clone().zip(planes.chunks_mut(channel)) {
                for image in 0..count {
                    let at = ((first + image) * inputs + input) * size[0] * size[1];
                    let planes = &mut planes[image * plane.len()..];
                    unfolded.fill(
                        &images[at..][..size[0] * size[1]],
                        planes,
                        part * plane.len(),
                    );
                }
            }
            let offsets: Vec<usize> = (0..inputs_of_task.len())
                .flat_map(|input| shifts.iter().map(move |shift| input * channel + shift))
                .collect();
            let sums = &mut sums[..offsets.len() * padded_outputs * lanes];
            sums.fill(0.0);
            for start in (0..columns).step_by(BLOCK) {
                tile.reduce(Reduce {
                    source: planes,
                    offsets: &offsets,
                    rows: spread,
                    pitch: columns,
                    columns: start..columns.min(start + BLOCK),
                    sums,
                });
            }
            sums.chunks_exact(lanes)
                .map(|lanes| lanes.iter().sum())
                .collect()
        })
        .collect();

    let mut results = memory::take_zeros(outputs * inputs * taps);
    // Some outputs at a time: they lie side by side in the sums.
    results
        .par_chunks_mut(OUTPUTS_AT_ONCE * inputs * taps)
        .enumerate()
        .for_each(|(group, results)| {
            let first = group * OUTPUTS_AT_ONCE;
            for (task, sums) in sums.iter().enumerate() {
                let first_input = task % channel_tasks * channels;
                for (index, sums) in sums.chunks_exact(padded_outputs).enumerate() {
                    let at = first_input * taps + index;
                    let results = results[at..].iter_mut().step_by(inputs * taps);
                    for (result, sum) in results.zip(&sums[first..]) {
                        *result += sum;
                    }
                }
            }
        });
    results
}
