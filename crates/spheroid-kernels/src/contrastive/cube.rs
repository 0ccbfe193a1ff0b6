//! The contrastive losses on CubeCL, from CUDA to WebGPU. The kernels stand in [`kernels`]; this launches them.

mod kernels;

use burn::{
    backend::{
        TensorMetadata, cubecl::dtype_to_storage_type, ops::FloatTensorOps, tensor::FloatTensor,
    },
    tensor::{DType, Shape},
};
use burn_cubecl::{CubeBackend, kernel::into_contiguous, tensor::CubeTensor};
use cubecl::{ir::features::MmaConfig, prelude::*};
use kernels::{
    backward::backward,
    forward::{Kind, forward},
    rows::{ask, denormalize, normalize},
    tensor_cores::{backward_on_cores, forward_on_cores},
    tile::{
        CORE, CORE_FEATURES, CORE_PULL, CORE_ROWS, FEATURES, HALF_WIDTH, PLANE, PLANES, Tile, WIDTH,
    },
};

use super::{
    operation::Contrast,
    task::{Arrangement, NO_GROUP, Task},
};
use crate::{Denominator, Placement};

/// Units of a cube in passes over single rows.
const PASS_UNITS: usize = 64;

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
            let blocks = rows.len().div_ceil(launch.block(launch.forward)) as u32;
            macro_rules! launch {
                ($kernel:path, $dim:expr, [$($steps:expr)?], $pitch:expr, $last:expr) => {
                    $kernel(
                        &launch.z.client,
                        CubeCount::Static(blocks, 1, 1),
                        $dim,
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
                        $($steps,)?
                        $pitch,
                        launch.kind(),
                        $last,
                    )
                };
            }
            match launch.cores {
                Some(element) => launch!(
                    forward_on_cores::launch,
                    core_dim(),
                    [(launch.pitch / CORE) as u32],
                    launch.pitch / HALF_WIDTH,
                    element
                ),
                None => launch!(
                    forward::launch,
                    dim(launch.forward),
                    [],
                    launch.pitch / WIDTH,
                    launch.forward
                ),
            }
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
        let gradient = into_contiguous(gradient);
        let gain = launch.gain(&gradient);
        let asked = launch.ask(kept, gradient, gain.clone());
        let pull = launch.floats([launch.height, launch.pitch]);
        let heat = launch.floats([launch.task.losses()]);
        let features = match launch.cores {
            Some(_) => CORE_PULL,
            None => launch.backward.features,
        };
        for Meeting { rows, columns } in launch.meetings() {
            let blocks = rows.len().div_ceil(launch.block(launch.backward)) as u32;
            let parts = launch.pitch.div_ceil(features) as u32;
            macro_rules! launch {
                ($kernel:path, $dim:expr, [$($steps:expr)?], $pitch:expr, $last:expr) => {
                    $kernel(
                        &launch.z.client,
                        CubeCount::Static(blocks, parts, 1),
                        $dim,
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
                        $($steps,)?
                        $pitch,
                        launch.kind(),
                        $last,
                    )
                };
            }
            match launch.cores {
                Some(element) => launch!(
                    backward_on_cores::launch,
                    core_dim(),
                    [(launch.pitch / CORE) as u32],
                    launch.pitch / HALF_WIDTH,
                    element
                ),
                None => launch!(
                    backward::launch,
                    dim(launch.backward),
                    [],
                    launch.pitch / WIDTH,
                    launch.backward
                ),
            }
        }
        let rows = launch.denormalize(pull, unit, norms, gain.clone());
        // The loss depends on the temperature through similarities alone, which it divides.
        let heat = Self::float_div(Self::float_sum(heat), gain);
        let heat = Self::float_div(heat, launch.temperature);
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
    /// Half floats, when tensor cores multiply them.
    cores: Option<ElemType>,
}

impl Launch {
    fn new(z: CubeTensor, temperature: CubeTensor, task: Task) -> Self {
        let (z, temperature) = (into_contiguous(z), into_contiguous(temperature));
        let features = z.shape()[1];
        let cores = cores(&z);
        let pitch = features.next_multiple_of(match cores {
            Some(_) => CORE_FEATURES,
            None => FEATURES,
        });
        let hardware = &z.client.properties().hardware;
        // A device without planes is a CPU, where a unit is a thread and waits for others at every step.
        let units = match hardware.plane_size_max {
            1 => 1,
            _ => hardware.max_units_per_cube as usize,
        };
        let shared = hardware.max_shared_memory_size;
        let forward = Tile::forward(units, shared);
        let backward = Tile::backward(units, shared, pitch);
        let behind = [forward, backward]
            .iter()
            .map(|tile| tile.height().max(tile.width()))
            .fold(CORE_ROWS, usize::max);
        Self {
            features,
            pitch,
            height: (task.rows() + behind).next_multiple_of(PASS_UNITS),
            forward,
            backward,
            cores,
            z,
            temperature,
            task,
        }
    }

    /// Rows of a cube.
    fn block(&self, tile: Tile) -> usize {
        match self.cores {
            Some(_) => CORE_ROWS,
            None => tile.height(),
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
        let dtype = match self.cores {
            Some(_) => self.z.dtype,
            None => DType::F32,
        };
        let unit = self.empty([self.height, self.pitch], dtype);
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

    /// By what gradients are multiplied for the weights of a tile, which are sums of a few of them, to lie well
    /// within half floats; 1 for single ones. Of the mean over M losses they would be as small as 1/M².
    fn gain(&self, gradient: &CubeTensor) -> CubeTensor {
        /// An eighth of the greatest half float.
        const GREATEST: f32 = 8192.0;
        if self.cores.is_none() {
            return self.upload(f32::as_bytes(&[1.0]), 1, DType::F32);
        }
        let greatest = CubeBackend::float_max_abs(gradient.clone());
        let greatest = CubeBackend::float_clamp_min(greatest, 1e-30.into());
        CubeBackend::float_mul_scalar(CubeBackend::float_recip(greatest), GREATEST.into())
    }

    fn ask(&self, kept: CubeTensor, gradient: CubeTensor, gain: CubeTensor) -> CubeTensor {
        let asked = self.floats([self.height, WIDTH]);
        ask::launch(
            &self.z.client,
            self.row_cubes(),
            self.row_dim(),
            into_contiguous(kept).into_buffer_arg(),
            gradient.into_buffer_arg(),
            self.shares().into_buffer_arg(),
            gain.into_buffer_arg(),
            asked.clone().into_buffer_arg(),
            self.height as u32,
            self.task.losses() as u32,
        );
        asked
    }

    fn denormalize(
        &self,
        pull: CubeTensor,
        unit: CubeTensor,
        norms: CubeTensor,
        gain: CubeTensor,
    ) -> CubeTensor {
        let gradient = self.empty(self.z.shape(), self.z.dtype);
        denormalize::launch(
            &self.z.client,
            self.row_cubes(),
            self.row_dim(),
            pull.into_buffer_arg(),
            unit.clone().into_buffer_arg(),
            norms.into_buffer_arg(),
            self.temperature.clone().into_buffer_arg(),
            gain.into_buffer_arg(),
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
        PASS_UNITS.min(most)
    }
}

/// Half floats of `z`, when the device has tensor cores that take them.
fn cores(z: &CubeTensor) -> Option<ElemType> {
    if !matches!(z.dtype, DType::F16 | DType::BF16) {
        return None;
    }
    let element = dtype_to_storage_type(z.dtype);
    let properties = z.client.properties();
    let hardware = &properties.hardware;
    let [m, n, k] = [CORE as u32; 3];
    let config = MmaConfig {
        a_type: element,
        b_type: element,
        cd_type: f32::elem_type_native(),
        m,
        n,
        k,
    };
    let has = properties.features.matmul.cmma.contains(&config);
    let planes_fit = [hardware.plane_size_min, hardware.plane_size_max] == [PLANE as u32; 2];
    // Of every device that has tensor cores; the kernels take no more.
    let shared_fits = hardware.max_shared_memory_size >= 48 << 10;
    (has && planes_fit && shared_fits).then_some(element)
}

fn core_dim() -> CubeDim {
    CubeDim::new_2d(PLANE as u32, PLANES as u32)
}

fn dim(tile: Tile) -> CubeDim {
    CubeDim::new_2d(tile.units[0] as u32, tile.units[1] as u32)
}
