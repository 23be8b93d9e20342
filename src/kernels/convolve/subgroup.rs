//! [`Variant::Subgroup`](super::Variant::Subgroup): pixels broadcast between the threads of a subgroup.

use super::Params;
use crate::gpu::{Binding, Context, Kernel, grid, octet};
use crate::kernels::linear::subgroup::lanes;

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "convolve_subgroup",
    shader: "embed/convolve_subgroup.wgsl",
    bindings: &[Binding::read("x"), Binding::matrix("w"), Binding::read("bias"), Binding::write("y")],
    features: wgpu::Features::SUBGROUP,
    variant_of: Some("convolve"),
    ..super::KERNEL
};

/// Threads of a workgroup: whole subgroups.
const THREADS: u32 = 64;

/// Pixels of a subgroup, in eights.
fn eights(params: &Params) -> usize {
    octet::groups(params.out_side as usize)
}

pub(super) fn constants(params: &Params) -> Vec<(&'static str, f64)> {
    vec![("EIGHTS", eights(params) as f64), ("THREADS", f64::from(THREADS))]
}

pub(super) fn workgroups(context: &Context, params: &Params) -> [u32; 3] {
    let lanes = lanes(context).unwrap_or(32);
    let lines = params.images as usize * params.out_side as usize;
    let across = (params.out_side as usize).div_ceil(8 * eights(params));
    let units = lines * across * params.outputs4.div_ceil(2 * lanes) as usize;
    grid(units.div_ceil((THREADS / lanes) as usize))
}
