//! Head-averaged keys of unit length; with one head, unit tokens.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder, Types, grid};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "key_mean",
    shader: "condense/key_mean.wgsl",
    bindings: &[Binding::read("qkv"), Binding::write("keys")],
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
    /// T
    pub tokens: u32,
    /// E
    pub prefix: u32,
    /// H
    pub heads: u32,
    /// vec4s from one token of qkv to the next.
    pub row4: u32,
    /// vec4s from a token's queries to its keys.
    pub key_offset4: u32,
    /// Dh / 4
    pub head4: u32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, T, row4 * 4], of the input type.
    pub qkv: &'a wgpu::Buffer,
    /// [B, N, Dh], of the output type.
    pub keys: &'a wgpu::Buffer,
}

impl Params {
    fn rows(&self) -> usize {
        self.images as usize * (self.tokens - self.prefix) as usize
    }
}

/// Eight threads for each patch token.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid(params.rows().div_ceil(8))
}

/// Records one dispatch; `qkv` is stored in the input type, unit keys in that of the output.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, types: Types, params: Params, bindings: Bindings<'_>) -> Result<()> {
    let qkv = params.images as usize * params.tokens as usize * params.row4 as usize * 4;
    recorder.dispatch_typed(
        &KERNEL,
        types,
        &[],
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.qkv, types.input.words(qkv)),
            Operand::buffer(bindings.keys, types.output.words(params.rows() * params.head4 as usize * 4)),
        ],
        workgroups(&params),
    )
}
