//! The largest logit that any patch token gives each class, added to the image's logits.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder, grid};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "token_max",
    shader: "head/token_max.wgsl",
    bindings: &[Binding::read("x"), Binding::write("y")],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// B
    pub images: u32,
    /// T, more than `prefix`.
    pub tokens: u32,
    /// E
    pub prefix: u32,
    /// Classes.
    pub classes: u32,
    /// What the maximum is multiplied by.
    pub share: f32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, T, classes]
    pub x: &'a wgpu::Buffer,
    /// [B, classes], added to
    pub y: &'a wgpu::Buffer,
}

/// One thread for each logit.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid((params.images as usize * params.classes as usize).div_ceil(64))
}

/// Records one dispatch.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, bindings: Bindings<'_>) -> Result<()> {
    let logits = params.images as usize * params.classes as usize;
    recorder.dispatch(
        &KERNEL,
        &[],
        bytemuck::bytes_of(&params),
        &[Operand::buffer(bindings.x, logits * params.tokens as usize), Operand::buffer(bindings.y, logits)],
        workgroups(&params),
    )
}
