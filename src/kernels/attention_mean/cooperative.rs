//! Means over heads of attention probabilities by cooperative matrices: f16 times f16, summed in f32.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, COOPERATIVE, Context, Kernel, Operand, Recorder, Tile, Types, grid};
use crate::kernels::attention::cooperative::{Work, constants};
use crate::kernels::linear::cooperative::tile;

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "attention_mean_cooperative",
    shader: "block/attention_mean_cooperative.wgsl",
    bindings: &[
        Binding::read("qkv"),
        Binding::read("sizes"),
        Binding::read("rows"),
        Binding::write("w"),
        Binding::write("dominance"),
        Binding::write("column_sums"),
    ],
    params_size: size_of::<Params>(),
    // By an override: as many of the adapter's subgroups as suit the tokens.
    workgroup_size: [128, 1, 1],
    features: COOPERATIVE,
    variant_of: Some("attention_mean"),
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
    /// vec4s from one token of qkv to the next.
    pub row4: u32,
    /// vec4s from a token's queries to its keys.
    pub key_offset4: u32,
    /// Dh / 4
    pub head4: u32,
    /// Factor of the dot products.
    pub scale: f32,
    /// The token of W's first column, at most E.
    pub first: u32,
    /// Elements from one row of W, or of column sums, to the next.
    pub stride: u32,
    /// Strips of queries whose columns are added up: as [`strips`] says.
    pub strips: u32,
}

/// Rows of column sums, each over as many queries as a matrix has rows.
///
/// # Errors
/// [`Error::Device`](crate::Error::Device) without cooperative matrices.
pub fn strips(context: &Context, tokens: usize) -> Result<usize> {
    Ok(tokens.div_ceil(tile(context)?.side() as usize))
}

/// The most that [`strips`] says for any device.
pub(crate) fn most_strips(tokens: usize) -> usize {
    tokens.div_ceil(Tile::Eight.side() as usize)
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, T, row4 * 4], of the input type.
    pub qkv: &'a wgpu::Buffer,
    /// [B, T], read with `proportional` only.
    pub sizes: &'a wgpu::Buffer,
    /// [B, H, T, 2], as [`attention`](crate::kernels::attention) leaves it.
    pub rows: &'a wgpu::Buffer,
    /// W [B, N, stride], zero around the patches
    pub w: &'a wgpu::Buffer,
    /// D [B, N]
    pub dominance: &'a wgpu::Buffer,
    /// Sums of columns over some of the rows of W each [B, strips, stride], likewise
    pub column_sums: &'a wgpu::Buffer,
}

/// Records one dispatch; `proportional` as for the attention that made `rows`.
///
/// # Errors
/// As [`attention`](crate::kernels::attention::cooperative::record).
pub fn record(
    recorder: &mut Recorder<'_>,
    types: Types,
    params: Params,
    proportional: bool,
    bindings: Bindings<'_>,
) -> Result<()> {
    let [images, tokens, stride] = [params.images, params.tokens, params.stride].map(|n| n as usize);
    let patches = tokens.saturating_sub(params.prefix as usize);
    let context = recorder.context();
    let (constants, rows) = constants(context, Work::Mean, tokens, params.head4 as usize * 4, proportional)?;
    let tile = tile(context)?;
    recorder.dispatch_typed(
        &KERNEL,
        types.tiled(tile),
        &constants,
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.qkv, types.input.words(images * tokens * params.row4 as usize * 4)),
            Operand::buffer(bindings.sizes, images * tokens),
            Operand::buffer(bindings.rows, images * params.heads as usize * tokens * 2),
            Operand::buffer(bindings.w, images * patches * stride),
            Operand::buffer(bindings.dominance, images * patches),
            Operand::buffer(bindings.column_sums, images * params.strips as usize * stride),
        ],
        grid(tokens.div_ceil(rows) * stride.div_ceil(2 * tile.side() as usize) * images),
    )
}
