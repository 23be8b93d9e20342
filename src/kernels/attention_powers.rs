//! The `attention` metric from what fused attention emits: W with its columns' sums, and dominance.

use bytemuck::{Pod, Zeroable};

use super::attention::Emission;
use super::attention_connectivity::strips;
use crate::error::{Error, Result};
use crate::gpu::{Binding, Home, Kernel, Matrix, Operand, Recorder, Texels, Types, octet};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "attention_powers",
    shader: "condense/attention_powers.wgsl",
    bindings: &[
        Binding::matrix("powers"),
        Binding::read("levels"),
        Binding::read("rows"),
        Binding::made("w"),
        Binding::write("column_sums"),
        Binding::write("dominance"),
    ],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    // Nothing emits powers without subgroups.
    features: wgpu::Features::SUBGROUP,
    variant_of: None,
};

/// Rows of a matrix [N, N], `stride` elements apart, their first column `shift` elements behind where a row begins. What
/// lies around the columns is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Elements from one row to the next.
    pub stride: u32,
    /// Elements before the first column.
    pub shift: u32,
}

impl Layout {
    /// [N, N] with nothing in between.
    pub fn packed(patches: usize) -> Self {
        Self { stride: patches as u32, shift: 0 }
    }

    /// Rows of whole vec4s, in which a patch token has the place among its vec4's four that it has among all tokens, prefix
    /// included: what is found four tokens at a time is written, and read, as a vec4.
    pub fn padded(prefix: usize, patches: usize) -> Self {
        let before = prefix / 4 * 4;
        Self { stride: ((prefix + patches).next_multiple_of(4) - before) as u32, shift: (prefix - before) as u32 }
    }

    /// Whether every row is of whole vec4s.
    pub fn aligned(self) -> bool {
        self.stride.is_multiple_of(4)
    }

    /// The size of a texture that holds `images` matrices of `rows` rows.
    pub fn texels(self, rows: usize, images: usize) -> Texels {
        [self.stride / 4, rows as u32, images as u32]
    }

    /// Elements of `rows` rows.
    pub fn elements(self, rows: usize) -> usize {
        rows * self.stride as usize
    }
}

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
    /// Elements from one row of W, or of column sums, to the next.
    pub stride: u32,
}

impl Params {
    /// Sizes of `images` images of `tokens` tokens, W in `layout`: packed, or padded for these tokens.
    pub fn new(images: u32, tokens: u32, prefix: u32, heads: u32, layout: Layout) -> Self {
        Self { tokens, prefix, heads, images, stride: layout.stride }
    }

    fn patches(&self) -> usize {
        self.tokens.saturating_sub(self.prefix) as usize
    }
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// What [`attention`](super::attention) emitted; powers are of the input type, and lie where W does.
    pub emission: Emission<'a>,
    /// [B, H, T, 2], as [`attention`](super::attention) leaves it.
    pub rows: &'a wgpu::Buffer,
    /// W [B, N, N], in the layout; in a texture padded only
    pub w: Matrix<'a>,
    /// Sums of columns over [`STRIP`](super::attention_connectivity::STRIP) rows of W each [B, strips, N], likewise; not
    /// written with W in a texture, where adding it up again costs less
    pub column_sums: &'a wgpu::Buffer,
    /// D [B, N]
    pub dominance: &'a wgpu::Buffer,
}

/// One octet for each strip of each 32 keys.
pub fn workgroups(params: &Params) -> [u32; 3] {
    let tiles = strips(params.patches()) * params.tokens.div_ceil(32) as usize;
    [tiles.div_ceil(octet::OCTETS) as u32, params.images, 1]
}

/// Records one dispatch.
///
/// # Errors
/// As [`Recorder::dispatch`]; [`Error::Config`] for a layout of W that is neither.
pub fn record(recorder: &mut Recorder<'_>, types: Types, params: Params, bindings: Bindings<'_>) -> Result<()> {
    let [images, heads, tokens] = [params.images, params.heads, params.tokens].map(|n| n as usize);
    let (patches, stride) = (params.patches(), params.stride as usize);
    let (home, padded) = (bindings.w.home(), stride != patches);
    if (padded || home == Home::Texture) && stride != Layout::padded(params.prefix as usize, patches).stride as usize {
        return Err(Error::config(KERNEL.name, "rows that are packed or padded", format!("a stride of {stride}")));
    }
    let levels = Emission::levels_len(tokens);
    recorder.dispatch_typed(
        &KERNEL,
        types.at(home),
        &[("PADDED", f64::from(u8::from(padded)))],
        bytemuck::bytes_of(&params),
        &[
            bindings.emission.operand(KERNEL.name, [images, heads, tokens], types.input)?,
            Operand::buffer(bindings.emission.levels, images * heads * levels),
            Operand::buffer(bindings.rows, images * heads * tokens * 2),
            bindings.w.operand(KERNEL.name, [images, patches, stride])?,
            Operand::buffer(bindings.column_sums, images * strips(patches) * stride),
            Operand::buffer(bindings.dominance, images * patches),
        ],
        workgroups(&params),
    )
}

#[cfg(test)]
mod tests {
    use super::Layout;

    #[test]
    fn a_padded_row_holds_its_columns_at_the_places_of_their_tokens() {
        for prefix in 1..10 {
            for patches in 1..70 {
                let Layout { stride, shift } = Layout::padded(prefix, patches);
                assert_eq!((stride % 4, shift as usize % 4), (0, prefix % 4));
                assert!((shift as usize + patches..shift as usize + patches + 4).contains(&(stride as usize)));
            }
        }
        assert_eq!(Layout::padded(1, 196), Layout { stride: 200, shift: 1 });
        assert_eq!(Layout::padded(4, 196), Layout { stride: 196, shift: 0 });
    }
}
