//! Means over heads of attention probabilities, made again from queries, keys and what is known of their rows.

pub mod cooperative;

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder, Types, Variant, grid, octet};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "attention_mean",
    shader: "block/attention_mean.wgsl",
    bindings: &[Binding::read("qkv"), Binding::read("sizes"), Binding::read("rows"), Binding::write("y")],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The same for a single query, in every variant.
pub const ROW: Kernel = Kernel {
    name: "attention_mean_row",
    shader: "block/attention_mean_row.wgsl",
    variant_of: Some("attention_mean"),
    ..KERNEL
};

/// The same in octets.
pub const SUBGROUP: Kernel = Kernel {
    name: "attention_mean_subgroup",
    shader: "block/attention_mean_subgroup.wgsl",
    features: wgpu::Features::SUBGROUP,
    variant_of: Some("attention_mean"),
    ..KERNEL
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
    /// The first query: E for W, 0 for dominance.
    pub query: u32,
    /// Q, queries: N for W, 1 for dominance.
    pub queries: u32,
    /// vec4s from one token of qkv to the next.
    pub row4: u32,
    /// vec4s from a token's queries to its keys.
    pub key_offset4: u32,
    /// Dh / 4
    pub head4: u32,
    /// Factor of the dot products.
    pub scale: f32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, T, row4 * 4], of the input type.
    pub qkv: &'a wgpu::Buffer,
    /// [B, T], read with `proportional` only.
    pub sizes: &'a wgpu::Buffer,
    /// [B, H, T, 2], as [`attention`](super::attention) leaves it.
    pub rows: &'a wgpu::Buffer,
    /// [B, Q, N]
    pub y: &'a wgpu::Buffer,
}

/// Keys of a workgroup of [`ROW`].
const ROW_KEYS: usize = 8;

/// A thread for 4 queries by 4 keys, an octet for `octet::groups` of 8 by 32, or 8 threads for each key of a single query.
pub fn workgroups(params: &Params, variant: Variant) -> [u32; 3] {
    let [queries, keys, images] =
        [params.queries, params.tokens.saturating_sub(params.prefix), params.images].map(|n| n as usize);
    match variant {
        _ if queries == 1 => grid((keys * images).div_ceil(ROW_KEYS)),
        Variant::Plain => grid((queries.div_ceil(4) * keys.div_ceil(4) * images).div_ceil(64)),
        Variant::Subgroup => {
            octet::workgroups(queries.div_ceil(8 * octet::groups(queries)) * keys.div_ceil(32) * images)
        }
    }
}

/// Records one dispatch; `proportional` as for the attention that made `rows`.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(
    recorder: &mut Recorder<'_>,
    variant: Variant,
    types: Types,
    params: Params,
    proportional: bool,
    bindings: Bindings<'_>,
) -> Result<()> {
    let [images, tokens, queries] = [params.images, params.tokens, params.queries].map(|n| n as usize);
    let patches = tokens.saturating_sub(params.prefix as usize);
    let mut constants = vec![("PROPORTIONAL", f64::from(u8::from(proportional)))];
    let kernel = match variant {
        _ if queries == 1 => &ROW,
        Variant::Plain => &KERNEL,
        Variant::Subgroup => {
            constants.push(("GROUPS", octet::groups(queries) as f64));
            &SUBGROUP
        }
    };
    recorder.dispatch_typed(
        kernel,
        types,
        &constants,
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.qkv, types.input.words(images * tokens * params.row4 as usize * 4)),
            Operand::buffer(bindings.sizes, images * tokens),
            Operand::buffer(bindings.rows, images * params.heads as usize * tokens * 2),
            Operand::buffer(bindings.y, images * queries * patches),
        ],
        workgroups(&params, variant),
    )
}
