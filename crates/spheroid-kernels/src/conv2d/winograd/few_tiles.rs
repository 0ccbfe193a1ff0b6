//! Few tiles of many channels: a block of kernels at a time stays in the cache from its weights to the products with
//! all tiles, or from these products to its gradients.

use pulp::Arch;
use rayon::prelude::*;

use super::{
    Multiply, SIDE,
    transform::{FoldKernels, Kernels, Planes, Rule, Sides},
};
use crate::{memory, product::Product, unfolded::Geometry};

/// Channels that are seen, and of the results, of a block of kernels. The transforms of a block take 307 KB.
const ROWS: usize = 64;
const COLUMNS: usize = 48;

pub(super) fn convolve(
    arch: Arch,
    images: &[f32],
    kernels: Kernels<'_>,
    geometry: Geometry,
    out: [usize; 2],
) -> Vec<f32> {
    let Geometry {
        images: image_count,
        inputs,
        outputs,
        ..
    } = geometry;
    let sides = Sides::new(geometry, out);
    let count = sides.tiles;
    let of_seen = Planes::new(image_count * count, inputs);
    let mut seen = of_seen.room();
    let planes = of_seen.split(&mut seen, count);
    sides.images.unfold_all(arch, Rule::Seen, images, planes);

    let area = sides.results.area();
    let mut results = memory::take(image_count * outputs * area);
    // By block of channels the maps of every image.
    let mut blocks: Vec<Vec<&mut [f32]>> = Vec::new();
    blocks.resize_with(outputs.div_ceil(COLUMNS), Vec::new);
    for image in results.chunks_exact_mut(outputs * area) {
        for (block, maps) in blocks.iter_mut().zip(image.chunks_mut(COLUMNS * area)) {
            block.push(maps);
        }
    }
    let of_block = Planes::new(ROWS, COLUMNS);
    let of_sums = Planes::new(image_count * count, COLUMNS);
    let room = || (of_block.room(), of_sums.room());
    blocks
        .into_par_iter()
        .enumerate()
        .for_each_init(room, |(block, sums), (index, results)| {
            let columns = index * COLUMNS..outputs.min((index + 1) * COLUMNS);
            for first in (0..inputs).step_by(ROWS) {
                let rows = first..inputs.min(first + ROWS);
                let depth = rows.len();
                let mut planes = of_block.split(block, ROWS).remove(0);
                kernels.transform_some(arch, rows, columns.clone(), of_block.pitch, &mut planes);
                let points = sums
                    .chunks_mut(of_sums.apart())
                    .zip(seen.chunks(of_seen.apart()))
                    .zip(block.chunks(of_block.apart()));
                for ((out, left), right) in points {
                    arch.dispatch(Multiply {
                        left: &left[first..],
                        left_pitch: of_seen.pitch,
                        transposed: false,
                        product: Product {
                            right,
                            right_pitch: of_block.pitch,
                            depth,
                            out,
                            out_pitch: of_sums.pitch,
                            rows: image_count * count,
                            columns: COLUMNS,
                            add: first > 0,
                        },
                    });
                }
            }
            let of_results = sides.results.with_channels(columns.len());
            let mut room = of_results.room();
            for (image, maps) in results.into_iter().enumerate() {
                let maps = maps.chunks_exact_mut(area);
                of_results.fold(arch, sums, of_sums, image * count, &mut room, maps);
            }
        });
    results
}

pub(super) fn weight_gradient(
    arch: Arch,
    images: &[f32],
    gradient: &[f32],
    geometry: Geometry,
    out: [usize; 2],
) -> Vec<f32> {
    let Geometry {
        images: image_count,
        inputs,
        outputs,
        ..
    } = geometry;
    let sides = Sides::new(geometry, out);
    let count = sides.tiles;
    let [of_seen, of_kernels] =
        [inputs, outputs].map(|channels| Planes::new(image_count * count, channels));
    let [mut seen, mut kernels] = [of_seen, of_kernels].map(Planes::room);
    sides.unfold(
        arch,
        (images, of_seen.split(&mut seen, count)),
        (gradient, of_kernels.split(&mut kernels, count)),
    );
    let of_output = inputs * SIDE * SIDE;
    let of_block = Planes::new(ROWS, COLUMNS);
    let mut results = memory::take(outputs * of_output);
    results
        .par_chunks_mut(COLUMNS * of_output)
        .enumerate()
        .for_each_init(
            || of_block.room(),
            |block, (index, results)| {
                let first_output = index * COLUMNS;
                for first in (0..inputs).step_by(ROWS) {
                    let rows = first..inputs.min(first + ROWS);
                    let points = block
                        .chunks_mut(of_block.apart())
                        .zip(seen.chunks(of_seen.apart()))
                        .zip(kernels.chunks(of_kernels.apart()));
                    for ((out, left), right) in points {
                        arch.dispatch(Multiply {
                            left: &left[first..],
                            left_pitch: of_seen.pitch,
                            transposed: true,
                            product: Product {
                                right: &right[first_output..],
                                right_pitch: of_kernels.pitch,
                                depth: image_count * count,
                                out,
                                out_pitch: of_block.pitch,
                                rows: rows.len(),
                                columns: COLUMNS.min(of_kernels.pitch - first_output),
                                add: false,
                            },
                        });
                    }
                    arch.dispatch(FoldKernels {
                        planes: block,
                        of_planes: of_block,
                        inputs: rows,
                        first_output: 0,
                        kernels: results,
                        of_output,
                    });
                }
            },
        );
    results
}
