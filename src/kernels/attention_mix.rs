//! Attention probabilities times values.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder, Types, Variant, octet};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "attention_mix",
    shader: "block/attention_mix.wgsl",
    bindings: &[Binding::read("probs"), Binding::read("qkv"), Binding::write("y")],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The same in octets.
pub const SUBGROUP: Kernel = Kernel {
    name: "attention_mix_subgroup",
    shader: "block/attention_mix_subgroup.wgsl",
    features: wgpu::Features::SUBGROUP,
    variant_of: Some("attention_mix"),
    ..KERNEL
};

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// T
    pub tokens: u32,
    /// H
    pub heads: u32,
    /// vec4s of a row of probs.
    pub stride4: u32,
    /// vec4s from one token of qkv to the next.
    pub row4: u32,
    /// vec4s from a token's queries to its values.
    pub value_offset4: u32,
    /// Dh / 4
    pub head4: u32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, H, T, stride4 * 4], 0 past T
    pub probs: &'a wgpu::Buffer,
    /// [B, T, row4 * 4], of the input type.
    pub qkv: &'a wgpu::Buffer,
    /// [B, T, H * Dh], of the output type.
    pub y: &'a wgpu::Buffer,
}

/// Columns of 8 vec4s that one octet makes at once.
fn columns(params: &Params) -> u32 {
    params.head4.div_ceil(8).min(2)
}

/// One thread for 8 queries by 4 dimensions, or one octet for `octet::groups` of 8 by 64, for each head and image.
pub fn workgroups(params: &Params, images: u32, variant: Variant) -> [u32; 3] {
    let count = match variant {
        Variant::Plain => (params.tokens.div_ceil(8) * params.head4).div_ceil(64),
        Variant::Subgroup => {
            let down = params.tokens.div_ceil(8 * octet::groups(params.tokens as usize) as u32);
            (down * params.head4.div_ceil(8 * columns(params))).div_ceil(8)
        }
    };
    [count, params.heads, images]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(
    recorder: &mut Recorder<'_>,
    variant: Variant,
    types: Types,
    params: Params,
    images: u32,
    bindings: Bindings<'_>,
) -> Result<()> {
    let rows = images as usize * params.tokens as usize;
    let octets = [("GROUPS", octet::groups(params.tokens as usize) as f64), ("COLUMNS", f64::from(columns(&params)))];
    let (kernel, constants) = match variant {
        Variant::Plain => (&KERNEL, &[][..]),
        Variant::Subgroup => (&SUBGROUP, &octets[..]),
    };
    recorder.dispatch_typed(
        kernel,
        types,
        constants,
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.probs, rows * params.heads as usize * params.stride4 as usize * 4),
            Operand::buffer(bindings.qkv, types.input.words(rows * params.row4 as usize * 4)),
            Operand::buffer(bindings.y, types.output.words(rows * (params.heads * params.head4) as usize * 4)),
        ],
        workgroups(&params, images, variant),
    )
}
