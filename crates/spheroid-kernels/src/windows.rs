//! Windows that slide over maps, for operations that look at every channel by itself.

use std::ops::Range;

/// Windows over maps `[image, channel, row, column]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Windows {
    pub(crate) dims: [usize; 4],
    /// Rows and columns of a window.
    pub(crate) kernel: [usize; 2],
    /// Rows and columns of the results, one a window.
    pub(crate) out: [usize; 2],
    pub(crate) stride: usize,
    /// Places beyond every side that belong to windows.
    pub(crate) padding: usize,
}

impl Windows {
    /// `None` when maps or windows are empty, or a window is larger than the padded map.
    pub(crate) fn new(
        dims: [usize; 4],
        kernel: [usize; 2],
        stride: usize,
        padding: usize,
    ) -> Option<Self> {
        if dims.contains(&0) || kernel.contains(&0) || stride == 0 {
            return None;
        }
        let along = |axis: usize| {
            let padded = dims[2 + axis].checked_add(padding.checked_mul(2)?)?;
            Some(padded.checked_sub(kernel[axis])? / stride + 1)
        };
        Some(Self {
            out: [along(0)?, along(1)?],
            dims,
            kernel,
            stride,
            padding,
        })
    }

    /// Number of maps.
    pub(crate) fn planes(self) -> usize {
        self.dims[0] * self.dims[1]
    }

    /// Places of a map.
    pub(crate) fn area(self) -> usize {
        self.dims[2] * self.dims[3]
    }

    /// Windows of a map.
    pub(crate) fn out_area(self) -> usize {
        self.out[0] * self.out[1]
    }

    pub(crate) fn out_dims(self) -> [usize; 4] {
        [self.dims[0], self.dims[1], self.out[0], self.out[1]]
    }

    /// Places of a window.
    pub(crate) fn taps(self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Runs `work` for every tap and every row of windows that have it in the map: with the tap, the places of the
    /// results, and those of the map from the first on, which are a stride apart.
    #[inline(always)]
    pub(crate) fn rows(self, mut work: impl FnMut(usize, Range<usize>, Range<usize>)) {
        let [columns, out_columns] = [self.dims[3], self.out[1]];
        for tap in 0..self.taps() {
            let (ky, kx) = (tap / self.kernel[1], tap % self.kernel[1]);
            let (rows, y) = self.with_tap(0, ky);
            let (range, x) = self.with_tap(1, kx);
            if range.is_empty() {
                continue;
            }
            for (index, row) in rows.enumerate() {
                let at = row * out_columns;
                let y = y + index * self.stride;
                let seen = y * columns + x..(y + 1) * columns;
                work(tap, at + range.start..at + range.end, seen);
            }
        }
    }

    /// Windows along an axis that have a tap in the map, and where the first of them has it.
    #[inline(always)]
    fn with_tap(self, axis: usize, tap: usize) -> (Range<usize>, usize) {
        let first = self.padding.saturating_sub(tap).div_ceil(self.stride);
        let end = (self.dims[2 + axis] + self.padding)
            .saturating_sub(tap)
            .div_ceil(self.stride)
            .min(self.out[axis]);
        let place = first * self.stride + tap - self.padding;
        (first..end.max(first), place)
    }
}
