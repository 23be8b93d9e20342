//! The `attention` metric from what fused attention emits: W with its columns' sums, and dominance.

use bytemuck::{Pod, Zeroable};

use super::attention::Emission;
use super::attention_connectivity::strips;
use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder, Types, octet};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "attention_powers",
    shader: "condense/attention_powers.wgsl",
    bindings: &[
        Binding::read("powers"),
        Binding::read("levels"),
        Binding::read("rows"),
        Binding::write("w"),
        Binding::write("column_sums"),
        Binding::write("dominance"),
    ],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    // Nothing emits powers without subgroups.
    features: wgpu::Features::SUBGROUP,
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
    /// B
    pub images: u32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// What [`attention`](super::attention) emitted; powers are of the input type.
    pub emission: Emission<'a>,
    /// [B, H, T, 2], as [`attention`](super::attention) leaves it.
    pub rows: &'a wgpu::Buffer,
    /// [B, N, N]
    pub w: &'a wgpu::Buffer,
    /// Sums of columns over [`STRIP`](super::attention_connectivity::STRIP) rows of W each [B, strips, N]
    pub column_sums: &'a wgpu::Buffer,
    /// D [B, N]
    pub dominance: &'a wgpu::Buffer,
}

/// One octet for each strip of each 32 keys.
pub fn workgroups(params: &Params) -> [u32; 3] {
    let [tokens, prefix, images] = [params.tokens, params.prefix, params.images].map(|n| n as usize);
    octet::workgroups(strips(tokens.saturating_sub(prefix)) * tokens.div_ceil(32) * images)
}

/// Records one dispatch.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, types: Types, params: Params, bindings: Bindings<'_>) -> Result<()> {
    let [images, heads, tokens] = [params.images, params.heads, params.tokens].map(|n| n as usize);
    let patches = tokens.saturating_sub(params.prefix as usize);
    let (powers, levels) = (Emission::powers_len(tokens), Emission::levels_len(tokens));
    recorder.dispatch_typed(
        &KERNEL,
        types,
        &[],
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.emission.powers, types.input.words(images * heads * powers)),
            Operand::buffer(bindings.emission.levels, images * heads * levels),
            Operand::buffer(bindings.rows, images * heads * tokens * 2),
            Operand::buffer(bindings.w, images * patches * patches),
            Operand::buffer(bindings.column_sums, images * strips(patches) * patches),
            Operand::buffer(bindings.dominance, images * patches),
        ],
        workgroups(&params),
    )
}
