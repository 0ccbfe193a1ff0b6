//! The three transforms, on channels side by side.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{POINTS, REACH, SIDE};
use crate::unfolded::Geometry;
use crate::{
    memory::Room,
    product::{MOST_ROWS, STEP, distance},
    real::{vectors, vectors_mut},
};

/// Tiles of the results of an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiles {
    rows: usize,
    columns: usize,
}

impl Tiles {
    pub(super) fn new(out: [usize; 2]) -> Self {
        let [rows, columns] = out.map(|along| along.div_ceil(SIDE));
        Self { rows, columns }
    }

    pub(super) fn count(self) -> usize {
        self.rows * self.columns
    }
}

/// For each point the transforms of some tiles or kernels, `[tile][pitch]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planes {
    pub(super) tiles: usize,
    pub(super) pitch: usize,
}

impl Planes {
    pub(super) fn new(tiles: usize, channels: usize) -> Self {
        Self {
            tiles: tiles.next_multiple_of(MOST_ROWS),
            pitch: distance(channels),
        }
    }

    /// Floats from a plane to the next: whole tiles, and a cache line that keeps planes in different sets.
    pub(super) fn apart(self) -> usize {
        self.tiles * self.pitch + STEP
    }

    /// Room for the transforms.
    pub(super) fn room(self) -> Room {
        Room::new(POINTS * self.apart())
    }

    /// Every plane in parts of `tiles` tiles.
    pub(super) fn split(self, planes: &mut [f32], tiles: usize) -> Vec<Vec<&mut [f32]>> {
        let mut parts: Vec<_> = (0..self.tiles.div_ceil(tiles))
            .map(|_| Vec::with_capacity(POINTS))
            .collect();
        for plane in planes.chunks_exact_mut(self.apart()) {
            let plane = &mut plane[..self.tiles * self.pitch];
            for (part, tiles) in parts.iter_mut().zip(plane.chunks_mut(tiles * self.pitch)) {
                part.push(tiles);
            }
        }
        parts
    }
}

/// Maps `[channel][row][column]` whose tiles are transformed, or come out of a transform.
#[derive(Debug, Clone, Copy)]
pub(super) struct Maps {
    channels: usize,
    size: [usize; 2],
    tiles: Tiles,
    /// Zeros above and to the left.
    padding: usize,
    /// Rows and columns of the places of all tiles.
    places: [usize; 2],
}

impl Maps {
    /// Maps of which `tiles` are results.
    fn new(channels: usize, size: [usize; 2], tiles: Tiles) -> Self {
        let places = [SIDE * tiles.rows, SIDE * tiles.columns];
        Self {
            channels,
            size,
            tiles,
            padding: 0,
            places,
        }
    }

    /// Maps of which the results of `tiles` are made.
    fn padded(channels: usize, size: [usize; 2], tiles: Tiles, padding: usize) -> Self {
        let maps = Self::new(channels, size, tiles);
        Self {
            padding,
            places: maps.places.map(|along| along + REACH - SIDE),
            ..maps
        }
    }

    /// Places of a map.
    pub(super) fn area(self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Floats of the maps of an image.
    pub(super) fn len(self) -> usize {
        self.channels * self.area()
    }

    fn pitch(self) -> usize {
        distance(self.channels)
    }

    /// Room for the maps of an image with channels side by side, `[row][column][pitch]`.
    pub(super) fn room(self) -> Room {
        Room::zeros(self.places[0] * self.places[1] * self.pitch())
    }

    /// Transforms the tiles of an image. `room` is as [`room`](Self::room) made it, or of an earlier image.
    pub(super) fn unfold(
        self,
        arch: Arch,
        rule: Rule,
        image: &[f32],
        room: &mut [f32],
        planes: &mut [&mut [f32]],
    ) {
        let (pitch, columns) = (self.pitch(), self.size[1]);
        for (block, maps) in image.chunks(STEP * self.area()).enumerate() {
            for y in 0..self.size[0] {
                let place = (self.padding + y) * self.places[1] + self.padding;
                for (lane, map) in maps.chunks_exact(self.area()).enumerate() {
                    let places = &mut room[place * pitch + block * STEP + lane..];
                    let row = &map[y * columns..][..columns];
                    for (place, value) in places.iter_mut().step_by(pitch).zip(row) {
                        *place = *value;
                    }
                }
            }
        }
        arch.dispatch(Unfold {
            maps: self,
            rule,
            room,
            planes,
        });
    }

    /// Transforms the tiles of images, whose number is that of the tiles of `planes`.
    pub(super) fn unfold_all(
        self,
        arch: Arch,
        rule: Rule,
        images: &[f32],
        planes: Vec<Vec<&mut [f32]>>,
    ) {
        images.par_chunks(self.len()).zip(planes).for_each_init(
            || self.room(),
            |room, (image, mut planes)| self.unfold(arch, rule, image, room, &mut planes),
        );
    }

    /// Some channels of the maps.
    pub(super) fn with_channels(self, channels: usize) -> Self {
        Self { channels, ..self }
    }

    /// Makes the maps of an image of what stands at all points.
    pub(super) fn fold<'a>(
        self,
        arch: Arch,
        planes: &[f32],
        of_planes: Planes,
        first_tile: usize,
        room: &mut [f32],
        maps: impl Iterator<Item = &'a mut [f32]>,
    ) {
        arch.dispatch(Fold {
            maps: self,
            planes,
            of_planes,
            first_tile,
            room,
        });
        let columns = self.size[1];
        for (channel, map) in maps.enumerate() {
            for (y, row) in map.chunks_exact_mut(columns).enumerate() {
                let values = &room[y * self.places[1] * self.pitch() + channel..];
                for (place, value) in row.iter_mut().zip(values.iter().step_by(self.pitch())) {
                    *place = *value;
                }
            }
        }
    }
}

/// The maps on both sides of a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sides {
    /// Number of tiles of an image.
    pub(super) tiles: usize,
    pub(super) images: Maps,
    pub(super) results: Maps,
}

impl Sides {
    pub(super) fn new(geometry: Geometry, out: [usize; 2]) -> Self {
        let Geometry {
            inputs,
            outputs,
            size,
            padding,
            ..
        } = geometry;
        let tiles = Tiles::new(out);
        Self {
            tiles: tiles.count(),
            images: Maps::padded(inputs, size, tiles, padding),
            results: Maps::new(outputs, out, tiles),
        }
    }

    /// Transforms `images` into `seen`, and the gradients of their results as kernels.
    pub(super) fn unfold(
        self,
        arch: Arch,
        (images, seen): (&[f32], Vec<Vec<&mut [f32]>>),
        (gradient, kernels): (&[f32], Vec<Vec<&mut [f32]>>),
    ) {
        rayon::join(
            || self.images.unfold_all(arch, Rule::Seen, images, seen),
            || {
                self.results
                    .unfold_all(arch, Rule::Kernel, gradient, kernels)
            },
        );
    }
}

/// How tiles are transformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// As what a kernel sees.
    Seen,
    /// As kernels.
    Kernel,
}

struct Unfold<'a, 'b> {
    maps: Maps,
    rule: Rule,
    room: &'a [f32],
    planes: &'a mut [&'b mut [f32]],
}

impl WithSimd for Unfold<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.rule {
            Rule::Seen => self.run::<S, OfSeen, REACH>(simd),
            Rule::Kernel => self.run::<S, OfKernel, SIDE>(simd),
        }
    }
}

impl Unfold<'_, '_> {
    #[inline(always)]
    fn run<S: Simd, T: Transform<FROM, REACH>, const FROM: usize>(self, simd: S) {
        let Maps { tiles, places, .. } = self.maps;
        let (pitch, lanes) = (self.maps.pitch(), S::F32_LANES);
        for tile in 0..tiles.count() {
            let (row, column) = (tile / tiles.columns, tile % tiles.columns);
            let corner = SIDE * (row * places[1] + column);
            for channel in (0..self.maps.channels).step_by(lanes) {
                let mut values = [[simd.splat_f32s(0.0); FROM]; FROM];
                for (y, values) in values.iter_mut().enumerate() {
                    let at = (corner + y * places[1]) * pitch + channel;
                    let line = &self.room[at..][..(FROM - 1) * pitch + lanes];
                    for (x, value) in values.iter_mut().enumerate() {
                        *value = vectors::<S, f32>(&line[x * pitch..][..lanes])[0];
                    }
                }
                let values = both_axes::<S, T, FROM, REACH>(simd, &values);
                put::<S>(&values, self.planes, tile * pitch + channel);
            }
        }
    }
}

struct Fold<'a> {
    maps: Maps,
    planes: &'a [f32],
    of_planes: Planes,
    first_tile: usize,
    room: &'a mut [f32],
}

impl WithSimd for Fold<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Maps { tiles, places, .. } = self.maps;
        let (pitch, lanes) = (self.maps.pitch(), S::F32_LANES);
        for tile in 0..tiles.count() {
            let (row, column) = (tile / tiles.columns, tile % tiles.columns);
            let corner = SIDE * (row * places[1] + column);
            for channel in (0..self.maps.channels).step_by(lanes) {
                let at = (self.first_tile + tile) * self.of_planes.pitch + channel;
                let results = results_at(simd, self.planes, self.of_planes, at);
                for (y, results) in results.iter().enumerate() {
                    for (x, value) in results.iter().enumerate() {
                        let at = (corner + y * places[1] + x) * pitch + channel;
                        vectors_mut::<S, f32>(&mut self.room[at..][..lanes])[0] = *value;
                    }
                }
            }
        }
    }
}

/// A matrix of kernels as a convolution multiplies it: a row for a channel that is seen, a column for one of the
/// results.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernels<'a> {
    pub(super) weights: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Floats from a kernel to that of the next row and column.
    pub(super) strides: [usize; 2],
    pub(super) mirrored: bool,
}

impl Kernels<'_> {
    pub(super) fn planes(self) -> Planes {
        Planes::new(self.rows, self.columns)
    }

    /// Transforms all.
    pub(super) fn transform(self, arch: Arch) -> Room {
        let layout = self.planes();
        let mut planes = layout.room();
        let parts = layout.split(&mut planes, MOST_ROWS).into_par_iter();
        parts.enumerate().for_each(|(part, mut planes)| {
            let first = part * MOST_ROWS;
            let rows = first..self.rows.min(first + MOST_ROWS);
            self.transform_some(arch, rows, 0..self.columns, layout.pitch, &mut planes);
        });
        planes
    }

    /// Transforms some, of which the first stands first in every plane.
    pub(super) fn transform_some(
        self,
        arch: Arch,
        rows: Range<usize>,
        columns: Range<usize>,
        pitch: usize,
        planes: &mut [&mut [f32]],
    ) {
        arch.dispatch(TransformKernels {
            kernels: self,
            rows,
            columns,
            pitch,
            planes,
        });
    }
}

struct TransformKernels<'a, 'b> {
    kernels: Kernels<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
    pitch: usize,
    planes: &'a mut [&'b mut [f32]],
}

impl WithSimd for TransformKernels<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Kernels {
            weights,
            strides,
            mirrored,
            ..
        } = self.kernels;
        let (first, count) = (self.columns.start, self.columns.len());
        for column in (0..count).step_by(STEP) {
            for (index, row) in self.rows.clone().enumerate() {
                let mut taps = [[0.0f32; STEP]; SIDE * SIDE];
                for (lane, column) in (column..count.min(column + STEP)).enumerate() {
                    let at = row * strides[0] + (first + column) * strides[1];
                    let kernel = &weights[at..][..SIDE * SIDE];
                    for (tap, value) in kernel.iter().enumerate() {
                        let tap = if mirrored { SIDE * SIDE - 1 - tap } else { tap };
                        taps[tap][lane] = *value;
                    }
                }
                for part in (0..STEP).step_by(S::F32_LANES) {
                    let mut values = [[simd.splat_f32s(0.0); SIDE]; SIDE];
                    for (value, taps) in values.as_flattened_mut().iter_mut().zip(&taps) {
                        *value = vectors::<S, f32>(&taps[part..][..S::F32_LANES])[0];
                    }
                    let values = both_axes::<S, OfKernel, SIDE, REACH>(simd, &values);
                    put::<S>(&values, self.planes, index * self.pitch + column + part);
                }
            }
        }
    }
}

/// Makes kernels of what stands at all points.
pub(super) struct FoldKernels<'a> {
    pub(super) planes: &'a [f32],
    pub(super) of_planes: Planes,
    /// The channels that are seen, of which `planes` holds these alone.
    pub(super) inputs: Range<usize>,
    /// The first channel of the results in `planes`.
    pub(super) first_output: usize,
    /// Kernels of some outputs, with all inputs of each.
    pub(super) kernels: &'a mut [f32],
    /// Floats of an output.
    pub(super) of_output: usize,
}

impl WithSimd for FoldKernels<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let lanes = S::F32_LANES;
        for (row, input) in self.inputs.enumerate() {
            let outputs = self.kernels.chunks_mut(lanes * self.of_output);
            for (part, kernels) in outputs.enumerate() {
                let at = row * self.of_planes.pitch + self.first_output + part * lanes;
                let values = results_at(simd, self.planes, self.of_planes, at);
                for (tap, values) in values.as_flattened().iter().enumerate() {
                    let values: &[f32] = bytemuck::cast_slice(std::slice::from_ref(values));
                    let places = kernels[input * SIDE * SIDE + tap..].iter_mut();
                    for (place, value) in places.step_by(self.of_output).zip(values) {
                        *place = *value;
                    }
                }
            }
        }
    }
}

/// Writes a transform at one place of every plane.
#[inline(always)]
fn put<S: Simd>(values: &[[S::f32s; REACH]; REACH], planes: &mut [&mut [f32]], at: usize) {
    for (value, plane) in values.as_flattened().iter().zip(planes) {
        vectors_mut::<S, f32>(&mut plane[at..][..S::F32_LANES])[0] = *value;
    }
}

/// The results of what stands at one place of every plane.
#[inline(always)]
fn results_at<S: Simd>(
    simd: S,
    planes: &[f32],
    of_planes: Planes,
    at: usize,
) -> [[S::f32s; SIDE]; SIDE] {
    let mut values = [[simd.splat_f32s(0.0); REACH]; REACH];
    for (plane, value) in values.as_flattened_mut().iter_mut().enumerate() {
        let at = plane * of_planes.apart() + at;
        *value = vectors::<S, f32>(&planes[at..][..S::F32_LANES])[0];
    }
    both_axes::<S, OfResults, REACH, SIDE>(simd, &values)
}

/// A transform along both axes.
#[inline(always)]
fn both_axes<S: Simd, T: Transform<FROM, TO>, const FROM: usize, const TO: usize>(
    simd: S,
    values: &[[S::f32s; FROM]; FROM],
) -> [[S::f32s; TO]; TO] {
    let zero = simd.splat_f32s(0.0);
    let mut halfway = [[zero; FROM]; TO];
    for x in 0..FROM {
        let mut column = [zero; FROM];
        for (value, row) in column.iter_mut().zip(values) {
            *value = row[x];
        }
        for (row, value) in halfway.iter_mut().zip(T::along(simd, column)) {
            row[x] = value;
        }
    }
    let mut results = [[zero; TO]; TO];
    for (result, row) in results.iter_mut().zip(&halfway) {
        *result = T::along(simd, *row);
    }
    results
}

/// A transform along one axis.
trait Transform<const FROM: usize, const TO: usize> {
    fn along<S: Simd>(simd: S, values: [S::f32s; FROM]) -> [S::f32s; TO];
}

/// `Bᵀ d`.
struct OfSeen;

impl Transform<REACH, REACH> for OfSeen {
    #[inline(always)]
    fn along<S: Simd>(simd: S, [a, b, c, d, e]: [S::f32s; REACH]) -> [S::f32s; REACH] {
        let two = simd.splat_f32s(2.0);
        let minus_three = simd.splat_f32s(-3.0);
        let d_b = simd.sub_f32s(d, b);
        [
            simd.mul_add_e_f32s(two, simd.sub_f32s(a, c), d_b),
            simd.sub_f32s(simd.sub_f32s(d, c), simd.add_f32s(b, b)),
            simd.mul_add_e_f32s(two, b, simd.mul_add_e_f32s(minus_three, c, d)),
            d_b,
            simd.mul_add_e_f32s(two, simd.sub_f32s(b, d), simd.sub_f32s(e, c)),
        ]
    }
}

/// `G g`.
struct OfKernel;

impl Transform<SIDE, REACH> for OfKernel {
    #[inline(always)]
    fn along<S: Simd>(simd: S, [a, b, c]: [S::f32s; SIDE]) -> [S::f32s; REACH] {
        let half = simd.splat_f32s(0.5);
        let third = simd.splat_f32s(1.0 / 3.0);
        let sixth = simd.splat_f32s(1.0 / 6.0);
        let ends = simd.add_f32s(a, c);
        let rest = simd.mul_add_e_f32s(third, simd.add_f32s(b, c), simd.mul_f32s(third, c));
        [
            simd.mul_f32s(half, a),
            simd.mul_f32s(simd.splat_f32s(-0.5), simd.add_f32s(ends, b)),
            simd.mul_f32s(sixth, simd.sub_f32s(b, ends)),
            simd.mul_add_e_f32s(sixth, a, rest),
            c,
        ]
    }
}

/// `Aᵀ m`.
struct OfResults;

impl Transform<REACH, SIDE> for OfResults {
    #[inline(always)]
    fn along<S: Simd>(simd: S, [a, b, c, d, e]: [S::f32s; REACH]) -> [S::f32s; SIDE] {
        let two = simd.splat_f32s(2.0);
        let four = simd.splat_f32s(4.0);
        let sum = simd.add_f32s(b, c);
        [
            simd.add_f32s(simd.add_f32s(a, sum), d),
            simd.mul_add_e_f32s(two, d, simd.sub_f32s(b, c)),
            simd.mul_add_e_f32s(four, d, simd.add_f32s(sum, e)),
        ]
    }
}
