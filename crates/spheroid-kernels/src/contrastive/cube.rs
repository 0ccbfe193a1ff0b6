//! The contrastive losses on CubeCL, from CUDA to WebGPU. The kernels stand in [`kernels`]; this launches them.

mod kernels;

use burn::{
    backend::{TensorMetadata, cubecl::dtype_to_storage_type, ops::FloatTensorOps, tensor::FloatTensor},
    tensor::{DType, Shape},
};
use burn_cubecl::{CubeBackend, kernel::into_contiguous, tensor::CubeTensor};
use cubecl::prelude::*;
use kernels::{
    backward::backward,
    forward::{Kind, forward},
    rows::{ask, denormalize, normalize},
    tile::{FEATURES, Tile, WIDTH},
};

use super::{
    operation::Contrast,
    task::{Arrangement, NO_GROUP, Task},
};
use crate::{Denominator, Placement};

/// Units of a cube in passes over single rows.
const ROW_UNITS: usize = 64;

impl Contrast for CubeBackend {
    fn contrast_forward(
        z: FloatTensor<Self>,
        temperature: FloatTensor<Self>,
        task: Task,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    ) {
        let launch = Launch::new(z, temperature, task);
        let (unit, norms) = launch.normalize();
        let count = launch.task.losses();
        let losses = launch.floats([count]);
        let hits = launch.floats([count]);
        let kept = launch.floats([count, 2]);
        let groups = launch.groups();
        let shares = launch.shares();
        for Meeting { rows, columns } in launch.meetings() {
            let tile = launch.forward;
            forward::launch(
                &launch.z.client,
                CubeCount::Static(rows.len().div_ceil(tile.height()) as u32, 1, 1),
                dim(tile),
                unit.clone().into_buffer_arg(),
                groups.clone().into_buffer_arg(),
                shares.clone().into_buffer_arg(),
                launch.temperature.clone().into_buffer_arg(),
                losses.clone().into_buffer_arg(),
                hits.clone().into_buffer_arg(),
                kept.clone().into_buffer_arg(),
                rows.start as u32,
                rows.end as u32,
                columns.start as u32,
                columns.end as u32,
                launch.pitch / WIDTH,
                launch.kind(),
                tile,
            );
        }
        (losses, hits, norms, kept)
    }

    fn contrast_backward(
        z: FloatTensor<Self>,
        temperature: FloatTensor<Self>,
        kept: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        task: Task,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let launch = Launch::new(z, temperature, task);
        let (unit, norms) = launch.normalize();
        let groups = launch.groups();
        let asked = launch.ask(kept, gradient);
        let count = launch.task.losses();
        let pull = launch.floats([count, launch.pitch]);
        let heat = launch.floats([count]);
        for Meeting { rows, columns } in launch.meetings() {
            let tile = launch.backward;
            backward::launch(
                &launch.z.client,
                CubeCount::Static(
                    rows.len().div_ceil(tile.height()) as u32,
                    launch.pitch.div_ceil(tile.features) as u32,
                    1,
                ),
                dim(tile),
                unit.clone().into_buffer_arg(),
                groups.clone().into_buffer_arg(),
                asked.clone().into_buffer_arg(),
                launch.temperature.clone().into_buffer_arg(),
                pull.clone().into_buffer_arg(),
                heat.clone().into_buffer_arg(),
                rows.start as u32,
                rows.end as u32,
                columns.start as u32,
                columns.end as u32,
                launch.pitch / WIDTH,
                launch.kind(),
                tile,
            );
        }
        let rows = launch.denormalize(pull, unit, norms);
        // The loss depends on the temperature through similarities alone, which it divides.
        let heat = Self::float_div(Self::float_sum(heat), launch.temperature);
        (rows, Self::float_neg(heat))
    }
}

/// Rows and the columns that they meet.
struct Meeting {
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
}

/// What all kernels of a pass share.
struct Launch {
    z: CubeTensor,
    temperature: CubeTensor,
    task: Task,
    features: usize,
    /// Features with padding.
    pitch: usize,
    /// Rows with padding.
    height: usize,
    forward: Tile,
    backward: Tile,
}

impl Launch {
    fn new(z: CubeTensor, temperature: CubeTensor, task: Task) -> Self {
        let (z, temperature) = (into_contiguous(z), into_contiguous(temperature));
        let features = z.shape()[1];
        let pitch = features.next_multiple_of(FEATURES);
        let hardware = &z.client.properties().hardware;
        let units = hardware.max_units_per_cube as usize;
        let shared = hardware.max_shared_memory_size;
        let forward = Tile::forward(units, shared);
        let backward = Tile::backward(units, shared, pitch);
        let behind = [forward, backward]
            .iter()
            .map(|tile| tile.height().max(tile.width()))
            .fold(0, usize::max);
        Self {
            features,
            pitch,
            height: (task.rows() + behind).next_multiple_of(ROW_UNITS),
            forward,
            backward,
            z,
            temperature,
            task,
        }
    }

    fn kind(&self) -> Kind {
        Kind {
            decoupled: self.task.denominator == Denominator::Negatives,
            inside: self.task.placement == Placement::Inside,
        }
    }

    fn meetings(&self) -> Vec<Meeting> {
        let [first, second] = self.task.parts();
        match self.task.arrangement {
            Arrangement::Within { .. } => vec![Meeting {
                rows: first,
                columns: 0..self.task.rows(),
            }],
            Arrangement::Between => [(&first, &second), (&second, &first)]
                .map(|(rows, columns)| Meeting {
                    rows: rows.clone(),
                    columns: columns.clone(),
                })
                .into(),
        }
    }

    fn empty(&self, shape: impl Into<Shape>, dtype: DType) -> CubeTensor {
        let shape = shape.into();
        let buffer = self.z.client.empty(shape.num_elements() * dtype.size());
        CubeTensor::new_contiguous(
            self.z.client.clone(),
            self.z.device.clone(),
            shape,
            buffer,
            dtype,
        )
    }

    fn floats(&self, shape: impl Into<Shape>) -> CubeTensor {
        self.empty(shape, DType::F32)
    }

    fn upload(&self, bytes: &[u8], count: usize, dtype: DType) -> CubeTensor {
        CubeTensor::new_contiguous(
            self.z.client.clone(),
            self.z.device.clone(),
            Shape::new([count]),
            self.z.client.create_from_slice(bytes),
            dtype,
        )
    }

    fn groups(&self) -> CubeTensor {
        let mut groups = self.task.groups().to_vec();
        groups.resize(self.height, NO_GROUP);
        self.upload(u32::as_bytes(&groups), self.height, DType::U32)
    }

    fn shares(&self) -> CubeTensor {
        let shares = self.task.shares();
        self.upload(f32::as_bytes(shares), shares.len(), DType::F32)
    }

    fn normalize(&self) -> (CubeTensor, CubeTensor) {
        let unit = self.floats([self.height, self.pitch]);
        let norms = self.floats([self.task.rows()]);
        normalize::launch(
            &self.z.client,
            self.row_cubes(),
            self.row_dim(),
            self.z.clone().into_buffer_arg(),
            unit.clone().into_buffer_arg(),
            norms.clone().into_buffer_arg(),
            self.task.rows() as u32,
            self.height as u32,
            self.features,
            self.pitch,
            dtype_to_storage_type(self.z.dtype),
            dtype_to_storage_type(unit.dtype),
        );
        (unit, norms)
    }

    fn ask(&self, kept: CubeTensor, gradient: CubeTensor) -> CubeTensor {
        let asked = self.floats([self.height, WIDTH]);
        ask::launch(
            &self.z.client,
            self.row_cubes(),
            self.row_dim(),
            into_contiguous(kept).into_buffer_arg(),
            into_contiguous(gradient).into_buffer_arg(),
            self.shares().into_buffer_arg(),
            asked.clone().into_buffer_arg(),
            self.height as u32,
            self.task.losses() as u32,
        );
        asked
    }

    fn denormalize(&self, pull: CubeTensor, unit: CubeTensor, norms: CubeTensor) -> CubeTensor {
        let gradient = self.empty(self.z.shape(), self.z.dtype);
        denormalize::launch(
            &self.z.client,
            self.row_cubes(),
            self.row_dim(),
            pull.into_buffer_arg(),
            unit.clone().into_buffer_arg(),
            norms.into_buffer_arg(),
            self.temperature.clone().into_buffer_arg(),
            gradient.clone().into_buffer_arg(),
            self.task.rows() as u32,
            self.task.losses() as u32,
            self.features,
            self.pitch,
            dtype_to_storage_type(self.z.dtype),
            dtype_to_storage_type(unit.dtype),
        );
        gradient
    }

    /// Cubes for a unit a padded row.
    fn row_cubes(&self) -> CubeCount {
        CubeCount::Static(self.height.div_ceil(self.row_units()) as u32, 1, 1)
    }

    fn row_dim(&self) -> CubeDim {
        CubeDim::new_1d(self.row_units() as u32)
    }

    fn row_units(&self) -> usize {
        let most = self.z.client.properties().hardware.max_units_per_cube as usize;
        ROW_UNITS.min(most)
    }
}

fn dim(tile: Tile) -> CubeDim {
    CubeDim::new_2d(tile.units[0] as u32, tile.units[1] as u32)
}
