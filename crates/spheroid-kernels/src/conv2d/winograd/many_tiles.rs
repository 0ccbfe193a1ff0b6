//! Many tiles: all kernels are transformed once, and some images at a time stay in the cache from their tiles to their results.

use pulp::Arch;
use rayon::prelude::*;

use super::{
    Multiply, SIDE,
    transform::{FoldKernels, Kernels, Planes, Rule, Sides},
};
use crate::{
    memory,
    product::{Product, STEP},
    unfolded::Geometry,
};

/// Tiles that are multiplied together at least: as many as make the kernels worth loading.
const TOGETHER: usize = 64;
/// Tiles whose transforms are held at once for the gradient of the weights. The order of sums depends on it, so
/// it must not depend on the number of threads.
const OF_PART: usize = 256;

pub(super) fn convolve(
    arch: Arch,
    images: &[f32],
    kernels: Kernels<'_>,
    geometry: Geometry,
    out: [usize; 2],
) -> Vec<f32> {
    let Geometry {
        inputs, outputs, ..
    } = geometry;
    let sides = Sides::new(geometry, out);
    let count = sides.tiles;
    let of_task = geometry.images.div_ceil(rayon::current_num_threads());
    let of_task = TOGETHER.div_ceil(count).min(of_task);
    let (of_kernels, kernels) = (kernels.planes(), kernels.transform(arch));
    let [of_seen, of_sums] =
        [inputs, outputs].map(|channels| Planes::new(of_task * count, channels));
    let room = || {
        (
            [sides.images.room(), sides.results.room()],
            [of_seen.room(), of_sums.room()],
        )
    };
    let mut results = memory::take(geometry.images * sides.results.len());
    results
        .par_chunks_mut(of_task * sides.results.len())
        .zip(images.par_chunks(of_task * sides.images.len()))
        .for_each_init(room, |([room, results_room], [seen, sums]), task| {
            let (results, images) = task;
            let images = images.chunks_exact(sides.images.len());
            let rows = images.len() * count;
            for (image, mut planes) in images.zip(of_seen.split(seen, count)) {
                sides
                    .images
                    .unfold(arch, Rule::Seen, image, room, &mut planes);
            }
            let points = sums
                .par_chunks_mut(of_sums.apart())
                .zip(seen.par_chunks(of_seen.apart()))
                .zip(kernels.par_chunks(of_kernels.apart()));
            points.for_each(|((out, left), right)| {
                arch.dispatch(Multiply {
                    left,
                    left_pitch: of_seen.pitch,
                    transposed: false,
                    product: Product {
                        right,
                        right_pitch: of_kernels.pitch,
                        depth: inputs,
                        out,
                        out_pitch: of_sums.pitch,
                        rows,
                        columns: outputs.next_multiple_of(STEP),
                        add: false,
                    },
                });
            });
            let results = results.chunks_exact_mut(sides.results.len());
            for (image, maps) in results.enumerate() {
                let maps = maps.chunks_exact_mut(sides.results.area());
                sides
                    .results
                    .fold(arch, sums, of_sums, image * count, results_room, maps);
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
        inputs, outputs, ..
    } = geometry;
    let sides = Sides::new(geometry, out);
    let count = sides.tiles;
    let of_part = OF_PART.div_ceil(count).min(geometry.images);
    let [of_seen, of_kernels] =
        [inputs, outputs].map(|channels| Planes::new(of_part * count, channels));
    let of_sums = Planes::new(inputs, outputs);
    let [mut seen, mut kernels, mut sums] = [of_seen, of_kernels, of_sums].map(Planes::room);
    let parts = images
        .chunks(of_part * sides.images.len())
        .zip(gradient.chunks(of_part * sides.results.len()));
    for (part, (images, gradient)) in parts.enumerate() {
        sides.unfold(
            arch,
            (images, of_seen.split(&mut seen, count)),
            (gradient, of_kernels.split(&mut kernels, count)),
        );
        let depth = images.len() / sides.images.len() * count;
        sums.par_chunks_mut(of_sums.apart())
            .zip(seen.par_chunks(of_seen.apart()))
            .zip(kernels.par_chunks(of_kernels.apart()))
            .for_each(|((out, left), right)| {
                arch.dispatch(Multiply {
                    left,
                    left_pitch: of_seen.pitch,
                    transposed: true,
                    product: Product {
                        right,
                        right_pitch: of_kernels.pitch,
                        depth,
                        out,
                        out_pitch: of_sums.pitch,
                        rows: inputs,
                        columns: outputs.next_multiple_of(STEP),
                        add: part > 0,
                    },
                });
            });
    }
    let of_output = inputs * SIDE * SIDE;
    let mut results = memory::take(outputs * of_output);
    results
        .par_chunks_mut(STEP * of_output)
        .enumerate()
        .for_each(|(block, results)| {
            arch.dispatch(FoldKernels {
                planes: &sums,
                of_planes: of_sums,
                inputs: 0..inputs,
                first_output: block * STEP,
                kernels: results,
                of_output,
            });
        });
    results
}
