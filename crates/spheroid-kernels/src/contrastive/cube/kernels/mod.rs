//! The kernels, in one source for CUDA, Vulkan, Metal, WebGPU and CubeCL's CPU runtime. They depend on
//! CubeCL alone.
//!
//! ```text
//! normalize:  z                           -> unit rows, lengths
//! forward:    unit rows                   -> losses, hits, logarithms of the sums
//! ask:        logarithms, gradient        -> what every row weighs
//! backward:   unit rows, weights          -> pull on every unit row
//! denormalize: pull                       -> gradient of z
//! ```

#![allow(
    unreachable_pub,
    clippy::too_many_arguments,
    reason = "what `cube` makes of a function is as public as the function, and a kernel takes its buffers one by one"
)]

pub(super) mod backward;
pub(super) mod forward;
pub(super) mod rows;
pub(super) mod similarity;
pub(super) mod tensor_cores;
pub(super) mod tile;
