//! How much the class token attends to each patch token.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "dominance",
    shader: "condense/dominance.wgsl",
    bindings: &[Binding::read("probs"), Binding::write("dominance")],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// T
    pub tokens: u32,
    /// E
    pub prefix: u32,
    /// H
    pub heads: u32,
    /// Elements of a row of probs.
    pub stride: u32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, H, T, stride]
    pub probs: &'a wgpu::Buffer,
    /// [B, N]
    pub dominance: &'a wgpu::Buffer,
}

/// One thread for each patch token.
pub fn workgroups(params: &Params, images: u32) -> [u32; 3] {
    [(params.tokens - params.prefix).div_ceil(64), images, 1]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, images: u32, bindings: Bindings<'_>) -> Result<()> {
    let probs = (images * params.heads) as usize * params.tokens as usize * params.stride as usize;
    recorder.dispatch(
        &KERNEL,
        &[],
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.probs, probs),
            Operand::buffer(bindings.dominance, images as usize * (params.tokens - params.prefix) as usize),
        ],
        workgroups(&params, images),
    )
}
