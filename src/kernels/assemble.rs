//! Prefix tokens and positioned patches: the first tokens.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder, grid};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "assemble",
    shader: "embed/assemble.wgsl",
    bindings: &[
        Binding::read("projected"),
        Binding::read("prefix"),
        Binding::read("position"),
        Binding::write("tokens"),
        Binding::write("sizes"),
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
    /// B
    pub images: u32,
    /// E
    pub prefix: u32,
    /// N
    pub patches: u32,
    /// D / 4
    pub width4: u32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, N, D]
    pub projected: &'a wgpu::Buffer,
    /// [E, D], position added
    pub prefix: &'a wgpu::Buffer,
    /// [N, D]
    pub position: &'a wgpu::Buffer,
    /// [B, E + N, D]
    pub tokens: &'a wgpu::Buffer,
    /// [B, E + N], set to 1
    pub sizes: &'a wgpu::Buffer,
}

impl Params {
    fn rows(&self) -> usize {
        self.images as usize * (self.prefix + self.patches) as usize
    }

    fn width(&self) -> usize {
        self.width4 as usize * 4
    }
}

/// One thread for each vec4 of the result.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid((params.rows() * params.width4 as usize).div_ceil(64))
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
            Operand::buffer(bindings.projected, (params.images * params.patches) as usize * params.width()),
            Operand::buffer(bindings.prefix, params.prefix as usize * params.width()),
            Operand::buffer(bindings.position, params.patches as usize * params.width()),
            Operand::buffer(bindings.tokens, params.rows() * params.width()),
            Operand::buffer(bindings.sizes, params.rows()),
        ],
        workgroups(&params),
    )
}
