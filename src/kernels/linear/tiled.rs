//! [`Variant::Tiled`](super::Variant::Tiled): operands through workgroup memory.

use super::{BINDINGS, Params};
use crate::gpu::{Kernel, grid};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "linear_tiled",
    shader: "block/linear_tiled.wgsl",
    bindings: BINDINGS,
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: Some("linear"),
};

/// One workgroup for 8 * `rows` rows by 64 columns.
pub(super) fn workgroups(rows: u32, params: &Params) -> [u32; 3] {
    grid(params.rows.div_ceil(8 * rows) as usize * params.columns4.div_ceil(16) as usize)
}
