//! Writes the CUDA C++ that CubeCL makes of the contrastive kernels, without a device: `compile_cuda.py` beside
//! it compiles what this writes.
//!
//! `cargo run --release -- FOLDER`

#[path = "../../src/contrastive/cube/kernels/mod.rs"]
mod kernels;

use std::{fs, path::Path, sync::Arc};

use cubecl::prelude::*;
use cubecl_core::{
    Compiler,
    ir::{
        DeviceIdentity, HardwareProperties, MemoryDeviceProperties,
        features::{Features, MmaConfig, Plane},
    },
    profile::TimingMethod,
};
use cubecl_cpp::{
    shared::{CompilationOptions, CppCompiler},
    target::Cuda,
};
use cubecl_runtime::kernel::CubeKernel;
use kernels::{
    backward::backward::Backward,
    forward::{Kind, forward::Forward},
    rows::{ask::Ask, denormalize::Denormalize, normalize::Normalize},
    tensor_cores::{backward_on_cores::BackwardOnCores, forward_on_cores::ForwardOnCores},
    tile::{HALF_WIDTH, PLANE, PLANES, Tile, WIDTH},
};

/// Units of a cube and bytes of shared memory that every NVIDIA GPU has.
const UNITS: usize = 1024;
const SHARED: usize = 48 << 10;
/// Features of the projections.
const FEATURES: [usize; 3] = [128, 192, 512];

fn main() {
    let folder = std::env::args().nth(1).expect("usage: FOLDER");
    let folder = Path::new(&folder);
    fs::create_dir_all(folder).expect("the folder can be made");
    let rows = || settings(CubeDim::new_1d(64));
    let floats = [
        ("f32", f32::elem_type_native()),
        ("bf16", half::bf16::elem_type_native()),
        ("f16", half::f16::elem_type_native()),
    ];
    for (name, float) in floats {
        let kernel = Normalize::new(
            rows(),
            properties(),
            target(),
            buffer(),
            buffer(),
            buffer(),
            (),
            (),
            100,
            128,
            float,
            float,
        );
        write(folder, &format!("normalize_{name}"), kernel);
        let kernel = Denormalize::new(
            rows(),
            properties(),
            target(),
            buffer(),
            buffer(),
            buffer(),
            buffer(),
            buffer(),
            buffer(),
            (),
            (),
            100,
            128,
            float,
            float,
        );
        write(folder, &format!("denormalize_{name}"), kernel);
    }
    let kernel = Ask::new(
        rows(),
        properties(),
        target(),
        buffer(),
        buffer(),
        buffer(),
        buffer(),
        buffer(),
        (),
        (),
    );
    write(folder, "ask", kernel);
    let kinds = [
        (
            "nt_xent",
            Kind {
                decoupled: false,
                inside: false,
            },
        ),
        (
            "decoupled",
            Kind {
                decoupled: true,
                inside: false,
            },
        ),
        (
            "inside",
            Kind {
                decoupled: false,
                inside: true,
            },
        ),
    ];
    for features in FEATURES {
        let pitch = features / WIDTH;
        for (name, kind) in kinds {
            let tile = Tile::forward(UNITS, SHARED);
            let kernel = Forward::new(
                settings(dim(tile)),
                properties(),
                target(),
                buffer(),
                buffer(),
                buffer(),
                buffer(),
                buffer(),
                buffer(),
                buffer(),
                (),
                (),
                (),
                (),
                pitch,
                kind,
                tile,
            );
            write(folder, &format!("forward_f32_{name}_d{features}"), kernel);
            let tile = Tile::backward(UNITS, SHARED, features);
            let kernel = Backward::new(
                settings(dim(tile)),
                properties(),
                target(),
                buffer(),
                buffer(),
                buffer(),
                buffer(),
                buffer(),
                buffer(),
                (),
                (),
                (),
                (),
                pitch,
                kind,
                tile,
            );
            write(folder, &format!("backward_f32_{name}_d{features}"), kernel);
            for (half, element) in &floats[1..] {
                let cube = CubeDim::new_2d(PLANE as u32, PLANES as u32);
                let kernel = ForwardOnCores::new(
                    settings(cube),
                    properties(),
                    target(),
                    buffer(),
                    buffer(),
                    buffer(),
                    buffer(),
                    buffer(),
                    buffer(),
                    buffer(),
                    (),
                    (),
                    (),
                    (),
                    (),
                    features / HALF_WIDTH,
                    kind,
                    *element,
                );
                write(
                    folder,
                    &format!("forward_{half}_{name}_d{features}"),
                    kernel,
                );
                let kernel = BackwardOnCores::new(
                    settings(cube),
                    properties(),
                    target(),
                    buffer(),
                    buffer(),
                    buffer(),
                    buffer(),
                    buffer(),
                    buffer(),
                    (),
                    (),
                    (),
                    (),
                    (),
                    features / HALF_WIDTH,
                    kind,
                    *element,
                );
                write(
                    folder,
                    &format!("backward_{half}_{name}_d{features}"),
                    kernel,
                );
            }
        }
    }
}

fn dim(tile: Tile) -> CubeDim {
    CubeDim::new_2d(tile.units[0] as u32, tile.units[1] as u32)
}

fn settings(dim: CubeDim) -> KernelSettings {
    KernelSettings::new(*dim, ExecutionMode::Checked, AddressType::U32)
}

fn buffer() -> BufferCompilationArg {
    BufferCompilationArg { inplace: None }
}

fn target() -> Arc<TargetProperties> {
    Arc::new(TargetProperties::default())
}

/// What a kernel may use of a GPU with tensor cores (Ampere and later).
fn properties() -> Arc<DeviceProperties> {
    let hardware = HardwareProperties {
        load_width: 128,
        vector_register_count: None,
        plane_size_min: 32,
        plane_size_max: 32,
        max_bindings: 1024,
        max_shared_memory_size: SHARED,
        max_cube_count: (i32::MAX as u32, u16::MAX as u32, u16::MAX as u32),
        max_units_per_cube: UNITS as u32,
        max_cube_dim: (1024, 1024, 64),
        num_streaming_multiprocessors: None,
        num_tensor_cores: Some(4),
        min_tensor_cores_dim: Some(8),
        num_cpu_cores: None,
        last_level_cache_size: None,
        max_vector_size: VectorSize::MAX,
        cube_mma_reserved_shared_memory: 0,
    };
    let mut features = Features::default();
    for plane in [Plane::Ops, Plane::Sync, Plane::NonUniformControlFlow] {
        features.plane.insert(plane);
    }
    for half in [
        half::bf16::elem_type_native(),
        half::f16::elem_type_native(),
    ] {
        features.matmul.cmma.insert(MmaConfig {
            a_type: half,
            b_type: half,
            cd_type: f32::elem_type_native(),
            m: 16,
            n: 16,
            k: 16,
        });
    }
    let identity = DeviceIdentity {
        name: "none".into(),
        fingerprint: "none".into(),
        physical: None,
    };
    Arc::new(DeviceProperties::new(
        features,
        MemoryDeviceProperties::new(u64::MAX, 256),
        hardware,
        TimingMethod::Device,
        identity,
    ))
}

/// Writes the source, which begins with the threads of a block and the bytes of shared memory.
fn write(folder: &Path, name: &str, kernel: impl CubeKernel) {
    let definition = kernel.define();
    let threads = definition.settings.cube_dim.num_elems();
    let source = CppCompiler::<Cuda>::default()
        .compile(definition, &CompilationOptions::default())
        .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let head = format!(
        "// {threads} threads, {} bytes of shared memory\n",
        source.shared_memory_size
    );
    fs::write(folder.join(format!("{name}.cu")), format!("{head}{source}"))
        .expect("the source is written");
}
