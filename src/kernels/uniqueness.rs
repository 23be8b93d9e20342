//! The `uniqueness` score.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder, grid};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "uniqueness",
    shader: "condense/uniqueness.wgsl",
    bindings: &[Binding::read("cosine"), Binding::read("dominance"), Binding::read("sizes"), Binding::write("score")],
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

impl Params {
    fn rows(&self) -> usize {
        self.images as usize * self.patches as usize
    }
}

/// One thread for each patch token.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid(params.rows().div_ceil(64))
}

/// Records one dispatch.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, bindings: Bindings<'_>) -> Result<()> {
    recorder.dispatch(
        &KERNEL,
        &[],
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.cosine, params.rows() * params.patches as usize),
            Operand::buffer(bindings.dominance, params.rows()),
            Operand::buffer(bindings.sizes, (params.images * (params.prefix + params.patches)) as usize),
            Operand::buffer(bindings.score, params.rows()),
        ],
        workgroups(&params),
    )
}
