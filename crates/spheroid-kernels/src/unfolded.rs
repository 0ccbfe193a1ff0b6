//! Images laid out so that what a tap of a kernel sees lies at a fixed distance.

/// Sizes of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) images: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// Rows and columns of an image.
    pub(crate) size: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

impl Geometry {
    /// Rows and columns of a result; `None` when the kernel is larger than the padded image.
    pub(crate) fn out_size(&self) -> Option<[usize; 2]> {
        let along = |axis: usize| {
            let padded = self.size[axis].checked_add(self.padding.checked_mul(2)?)?;
            Some(padded.checked_sub(self.kernel[axis])? / self.stride + 1)
        };
        Some([along(0)?, along(1)?])
    }

    pub(crate) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }
}

/// Outputs from which a copy of the image for every tap is cheap, and taps up to which.
const MANY_OUTPUTS: usize = 32;
const FEW_TAPS: usize = 9;

/// Planes of one size, one after another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planes {
    pub(crate) rows: usize,
    pub(crate) pitch: usize,
}

impl Planes {
    pub(crate) fn len(self) -> usize {
        self.rows * self.pitch
    }

    /// Leaves out the places of no meaning of `values`, which lie as in a plane: `result` has rows of `columns`.
    #[inline]
    pub(crate) fn cut(self, values: &[f32], result: &mut [f32], columns: usize) {
        if self.pitch == columns {
            result.copy_from_slice(&values[..result.len()]);
            return;
        }
        let rows = result.chunks_exact_mut(columns);
        for (row, values) in rows.zip(values.chunks(self.pitch)) {
            row.copy_from_slice(&values[..columns]);
        }
    }
}

/// How images are laid out for taps to be shifts.
///
/// A channel has planes for several phases: phase `(a, b)` holds, at row `r` and column `c`, the value that tap
/// `(a, b)` sees of result `(r, c)`. A tap that lies whole multiples of `modulus` behind a phase is a shift
/// of its plane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unfolded {
    pub(crate) plane: Planes,
    phases: [usize; 2],
    modulus: [usize; 2],
    geometry: Geometry,
}

impl Unfolded {
    pub(crate) fn new(geometry: Geometry, out: [usize; 2]) -> Self {
        let Geometry { kernel, stride, .. } = geometry;
        let with = |modulus: [usize; 2]| {
            let along = |axis: usize| out[axis] + (kernel[axis] - 1) / modulus[axis];
            Self {
                plane: Planes {
                    rows: along(0),
                    pitch: along(1),
                },
                phases: [0, 1].map(|axis| kernel[axis].min(modulus[axis])),
                modulus,
                geometry,
            }
        };
        let shared = with([stride, stride]);
        // In small planes places of no meaning are as many as others. A phase for every tap has none, and
        // costs copies that only many outputs are worth.
        let wasteful = 2 * shared.plane.len() > 3 * out[0] * out[1];
        if wasteful && geometry.outputs >= MANY_OUTPUTS && geometry.taps() <= FEW_TAPS {
            with(kernel)
        } else {
            shared
        }
    }

    /// Floats of a channel of `images` images.
    pub(crate) fn channel(&self, images: usize) -> usize {
        self.phases[0] * self.phases[1] * images * self.plane.len()
    }

    /// Shifts of the taps of a channel of `images` images, in the order of the kernel.
    pub(crate) fn shifts(&self, images: usize) -> Vec<usize> {
        let Geometry { kernel, .. } = self.geometry;
        let [rows, columns] = self.modulus;
        let tap = |ky: usize, kx: usize| {
            let phase = ky % rows * self.phases[1] + kx % columns;
            phase * images * self.plane.len() + ky / rows * self.plane.pitch + kx / columns
        };
        let rows = 0..kernel[0];
        rows.flat_map(|ky| (0..kernel[1]).map(move |kx| tap(ky, kx)))
            .collect()
    }

    /// Lays out one channel of one image in `planes`, which are 0 where the image does not reach; phases are
    /// `apart` from each other.
    pub(crate) fn fill(&self, image: &[f32], planes: &mut [f32], apart: usize) {
        let Geometry {
            size: [rows, columns],
            stride,
            padding,
            ..
        } = self.geometry;
        let pitch = self.plane.pitch;
        if self.plane.len() == image.len() && self.phases == [1, 1] && stride == 1 {
            planes[..image.len()].copy_from_slice(image);
            return;
        }
        for a in 0..self.phases[0] {
            // The first row that lies in the image.
            let first = padding.saturating_sub(a).div_ceil(stride);
            for r in first..self.plane.rows {
                let y = r * stride + a - padding;
                if y >= rows {
                    break;
                }
                let row = &image[y * columns..][..columns];
                for b in 0..self.phases[1] {
                    let first = padding.saturating_sub(b).div_ceil(stride);
                    if first >= pitch {
                        continue;
                    }
                    let x = first * stride + b - padding;
                    let at = (a * self.phases[1] + b) * apart + r * pitch + first;
                    let out = &mut planes[at..][..pitch - first];
                    let Some(row) = row.get(x..) else { continue };
                    if stride == 1 {
                        let count = row.len().min(out.len());
                        out[..count].copy_from_slice(&row[..count]);
                    } else {
                        for (out, value) in out.iter_mut().zip(row.iter().step_by(stride)) {
                            *out = *value;
                        }
                    }
                }
            }
        }
    }
}
