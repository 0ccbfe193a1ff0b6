//! What the benches share: simulated crops and the backends that work here.

#![allow(dead_code, unreachable_pub, reason = "every bench uses a part of it")]
#![expect(
    clippy::unwrap_used,
    reason = "an error while the input is made must stop the bench"
)]

use ndarray::Array3;
use spheroid::{
    core::StackSource,
    prepare::PrepareConfig,
    sim::PlateSimConfig,
    ssl::{self, Backend, Device},
};

/// Crops `[3, side, side]` of the first spheroids of a simulated plate, as the main job makes them.
pub fn crops(count: usize, side: usize) -> Vec<Array3<f32>> {
    let config = PlateSimConfig {
        rows: 192,
        columns: 192,
        ..PlateSimConfig::default()
    };
    let plate = config.build().unwrap();
    let mut config = PrepareConfig::default();
    config.size = side;
    let preparer = config.build().unwrap();
    (0..count)
        .map(|index| {
            let stack = plate.load(index).unwrap();
            preparer.prepare(&stack).unwrap().crop
        })
        .collect()
}

/// The compiled-in backends that work on this machine, with their names.
pub fn backends() -> Vec<(&'static str, Device)> {
    Backend::ALL
        .into_iter()
        .filter_map(|backend| Some((backend.name(), ssl::device(backend).ok()?)))
        .collect()
}
