//! What the classifier sees: the first tokens, the mean of the patch tokens, or both side by side.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "pool",
    shader: "head/pool.wgsl",
    bindings: &[Binding::read("x"), Binding::read("sizes"), Binding::write("pooled")],
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
    /// D / 4
    pub width4: u32,
    /// Tokens to lay side by side.
    pub first: u32,
    /// 1 for the size-weighted mean of the patch tokens after them. At least one of the two is not 0.
    pub mean: u32,
}

impl Params {
    /// Vec4s of an image's result.
    fn pooled4(&self) -> u32 {
        (self.first + self.mean) * self.width4
    }
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, T, D]
    pub x: &'a wgpu::Buffer,
    /// [B, T]
    pub sizes: &'a wgpu::Buffer,
    /// [B, (first + mean) * D]
    pub pooled: &'a wgpu::Buffer,
}

/// One thread for each vec4 of the result.
pub fn workgroups(params: &Params, images: u32) -> [u32; 3] {
    [params.pooled4().div_ceil(64), images, 1]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, images: u32, bindings: Bindings<'_>) -> Result<()> {
    let rows = images as usize * params.tokens as usize;
    let width = params.width4 as usize * 4;
    recorder.dispatch(
        &KERNEL,
        &[],
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.x, rows * width),
            Operand::buffer(bindings.sizes, rows),
            Operand::buffer(bindings.pooled, images as usize * params.pooled4() as usize * 4),
        ],
        workgroups(&params, images),
    )
}
