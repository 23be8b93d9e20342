//! Matches every dropped token with the kept token of the lowest score: EViT's fused token.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "assign_lowest",
    shader: "condense/assign_lowest.wgsl",
    bindings: &[
        Binding::read("score"),
        Binding::read("order"),
        Binding::write("assigned"),
        Binding::write("connection"),
        Binding::write("diagonal"),
    ],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// N
    pub patches: u32,
    /// R
    pub dropped: u32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// S [B, N]
    pub score: &'a wgpu::Buffer,
    /// [B, N], from `top_k`
    pub order: &'a wgpu::Buffer,
    /// [B, R]: index of the match among incoming tokens
    pub assigned: &'a wgpu::Buffer,
    /// [B, R]: the dropped token's score
    pub connection: &'a wgpu::Buffer,
    /// [B, R]: the match's score
    pub diagonal: &'a wgpu::Buffer,
}

/// One workgroup for each image.
pub fn workgroups(images: u32) -> [u32; 3] {
    [images, 1, 1]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, images: u32, bindings: Bindings<'_>) -> Result<()> {
    let (all, dropped) = ((images * params.patches) as usize, (images * params.dropped) as usize);
    recorder.dispatch(
        &KERNEL,
        &[],
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.score, all),
            Operand::buffer(bindings.order, all),
            Operand::buffer(bindings.assigned, dropped),
            Operand::buffer(bindings.connection, dropped),
            Operand::buffer(bindings.diagonal, dropped),
        ],
        workgroups(images),
    )
}
