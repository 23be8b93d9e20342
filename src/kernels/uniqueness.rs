//! The `uniqueness` score.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "uniqueness",
    shader: "condense/uniqueness.wgsl",
    bindings: &[Binding::read("cosine"), Binding::read("dominance"), Binding::read("sizes"), Binding::write("score")],
    params_size: size_of::<Params>(),
    // By an override: 16 for each row that is looked at side by side.
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
    /// E
    pub prefix: u32,
    /// g
    pub exponent: f32,
    /// h
    pub size_exponent: f32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, N, N]
    pub cosine: &'a wgpu::Buffer,
    /// [B, N]
    pub dominance: &'a wgpu::Buffer,
    /// [B, E + N], at least 1
    pub sizes: &'a wgpu::Buffer,
    /// [B, N]
    pub score: &'a wgpu::Buffer,
}

/// One workgroup for 64 patch tokens, for each image.
pub fn workgroups(params: &Params, images: u32) -> [u32; 3] {
    [params.patches.div_ceil(64), images, 1]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, images: u32, bindings: Bindings<'_>) -> Result<()> {
    let rows = images as usize * params.patches as usize;
    // To a CPU more of them are only more threads; a GPU waits less.
    recorder.dispatch(
        &KERNEL,
        &[("ROWS", if recorder.context().is_emulated() { 4.0 } else { 16.0 })],
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.cosine, rows * params.patches as usize),
            Operand::buffer(bindings.dominance, rows),
            Operand::buffer(bindings.sizes, rows + images as usize * params.prefix as usize),
            Operand::buffer(bindings.score, rows),
        ],
        workgroups(&params, images),
    )
}
