//! [`Variant::Tiled`](super::Variant::Tiled): operands through workgroup memory.

use super::{BINDINGS, Params};
use crate::gpu::{Context, Kernel, grid};

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

pub(super) fn constants(context: &Context, rows: u32) -> Vec<(&'static str, f64)> {
    /// Intel's threads have 128 numbers of each lane in registers, of which 8 rows take most: fetched ahead, a step's
    /// numbers would go to memory and back (by Mesa's compiler 96 are stored and 174 loaded, else none).
    const INTEL: u32 = 0x8086;
    let ahead = context.info().vendor != INTEL;
    vec![("ROWS", f64::from(rows)), ("AHEAD", f64::from(u8::from(ahead)))]
}

/// One workgroup for 8 * `rows` rows by 64 columns.
pub(super) fn workgroups(rows: u32, params: &Params) -> [u32; 3] {
    grid(params.rows.div_ceil(8 * rows) as usize * params.columns4.div_ceil(16) as usize)
}
