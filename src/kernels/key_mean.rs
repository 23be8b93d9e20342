//! Head-averaged keys of unit length; with one head, unit tokens.

use bytemuck::{Pod, Zeroable};

use crate::error::{Error, Result};
use crate::gpu::{Binding, Kernel, Matrix, Operand, Precision, Recorder, Types, Variant, grid};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "key_mean",
    shader: "condense/key_mean.wgsl",
    bindings: &[Binding::read("qkv"), Binding::made("keys")],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The same in octets.
pub const SUBGROUP: Kernel = Kernel {
    name: "key_mean_subgroup",
    shader: "condense/key_mean_subgroup.wgsl",
    features: wgpu::Features::SUBGROUP,
    variant_of: Some("key_mean"),
    ..KERNEL
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
    /// [B, N, Dh], of the output type, which is f32 in a texture.
    pub keys: Matrix<'a>,
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
/// As [`Recorder::dispatch`]; [`Error::Config`] for f16 in a texture.
pub fn record(
    recorder: &mut Recorder<'_>,
    variant: Variant,
    types: Types,
    params: Params,
    bindings: Bindings<'_>,
) -> Result<()> {
    let kernel = if variant == Variant::Subgroup { &SUBGROUP } else { &KERNEL };
    let qkv = params.images as usize * params.tokens as usize * params.row4 as usize * 4;
    let [images, patches, width] = [params.images, params.tokens - params.prefix, params.head4 * 4].map(|n| n as usize);
    let keys = match bindings.keys {
        Matrix::Buffer(buffer) => Operand::buffer(buffer, types.output.words(images * patches * width)),
        Matrix::Texture(_) if types.output != Precision::F32 => {
            return Err(Error::config(kernel.name, "f32 in a texture", types.output.to_string()));
        }
        Matrix::Texture(_) => bindings.keys.operand(kernel.name, [images, patches, width])?,
    };
    recorder.dispatch_typed(
        kernel,
        types.at(bindings.keys.home()),
        &[],
        bytemuck::bytes_of(&params),
        &[Operand::buffer(bindings.qkv, types.input.words(qkv)), keys],
        workgroups(&params),
    )
}
