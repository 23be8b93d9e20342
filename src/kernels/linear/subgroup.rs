//! [`Variant::Subgroup`](super::Variant::Subgroup): operands broadcast between the threads of a subgroup.

use super::Params;
use crate::gpu::{Binding, Context, Kernel, Variant, grid};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "linear_subgroup",
    shader: "block/linear_subgroup.wgsl",
    bindings: &[
        Binding::read("x"),
        Binding::matrix("w"),
        Binding::read("bias"),
        Binding::write("y"),
        Binding::read("residual"),
        Binding::read("rows"),
    ],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::SUBGROUP,
    variant_of: Some("linear"),
};

/// Subgroups of a workgroup. Few, so that products of few rows still make work for every core.
const SUBGROUPS: u32 = 2;

/// Threads of a subgroup, where `context` has subgroups of one size, at least 8: lanes 0 to 7 are broadcast from.
pub fn lanes(context: &Context) -> Option<u32> {
    Variant::Subgroup.available(context).then_some(context.info().subgroup_min_size).filter(|lanes| *lanes <= 64)
}

pub(super) fn constants(context: &Context, eights: u32) -> Vec<(&'static str, f64)> {
    let threads = SUBGROUPS * lanes(context).unwrap_or(32);
    vec![("EIGHTS", f64::from(eights)), ("THREADS", f64::from(threads))]
}

pub(super) fn workgroups(context: &Context, eights: u32, params: &Params) -> [u32; 3] {
    let across = params.columns4.div_ceil(2 * lanes(context).unwrap_or(32));
    let down = params.rows.div_ceil(8 * eights);
    grid((across as usize * down as usize).div_ceil(SUBGROUPS as usize))
}
