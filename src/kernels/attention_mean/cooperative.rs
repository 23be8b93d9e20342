//! Means over heads of attention probabilities by cooperative matrices: f16 times f16, summed in f32. One dispatch makes W,
//! dominance and sums of columns, so this is an operation of its own.

use crate::error::{Error, Result};
use crate::gpu::{
    COOPERATIVE, Form, Home, Operand, Operation, Precision, Recorder, Tile, Traits, Types, Way, grid, kernel,
};
use crate::kernels::attention::cooperative::{Work, constants, takes};

kernel! {
    /// A workgroup takes as many queries as its subgroups' matrices have rows, by a chunk of keys, and goes over the heads.
    pub static KERNEL = "attention_mean_cooperative" in "block/attention_mean_cooperative.wgsl";
    params {
        /// T
        tokens: u32,
        /// E
        prefix: u32,
        /// H
        heads: u32,
        /// B
        images: u32,
        /// vec4s from one token of qkv to the next.
        row4: u32,
        /// vec4s from a token's queries to its keys.
        key_offset4: u32,
        /// Dh / 4
        head4: u32,
        /// Factor of the dot products.
        scale: f32,
        /// The token of W's first column, at most E.
        first: u32,
        /// Elements from one row of W, or of column sums, to the next.
        stride: u32,
        /// Strips of queries whose columns are added up: as [`strips`] says.
        strips: u32,
    }
    bindings { qkv: read, sizes: read, rows: read, w: write, dominance: write, column_sums: write }
    overrides {
        PROPORTIONAL: [0, 1], SUBGROUPS: [4, 5], OTHERS: [0, 1], HEAD: [1, 2, 3, 4, 5, 6, 7, 8],
        // 4 or 5 subgroups of 8 to 128 threads.
        THREADS: [32, 40, 64, 80, 128, 160, 256, 320, 512, 640],
    }
    // As many of the adapter's subgroups as suit the tokens.
    workgroup [128, 1, 1];
    features COOPERATIVE;
    way of "attention_mean";
}

/// W and dominance at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// Sizes.
    pub params: Params,
    /// qkv is f16, of the input type; what is made is f32.
    pub types: Types,
    /// Whether ln(size) of the key is added to the logits, as in the attention that made `rows`.
    pub proportional: bool,
}

impl Operation for Call {
    const NAME: &'static str = "attention_mean";

    fn ways() -> &'static [Way<Self>] {
        &WAYS
    }
}

/// There is nothing to use in its place: where it is not verified, attention takes another route.
static WAYS: [Way<Call>; 1] = [Way {
    name: "cooperative",
    kernel: &KERNEL,
    is_fallback: false,
    takes: |traits, call| {
        (call.types.input, call.types.home) == (Precision::F16, Home::Buffer)
            && takes(traits, call.params.head4 as usize * 4)
    },
    cost: |_, _| Some(1.0),
    form,
}];

/// The only way.
pub fn way() -> &'static Way<Call> {
    &WAYS[0]
}

fn form(traits: &Traits, call: &Call) -> Form {
    let Params { tokens, images, head4, stride, .. } = call.params;
    let (constants, rows) = constants(traits, Work::Mean, tokens, head4 * 4, call.proportional);
    let chunks = tokens.div_ceil(rows) as usize * stride.div_ceil(2 * traits.side()) as usize;
    Form::plain(grid(chunks * images as usize)).of(call.types.tiled(traits.tile.unwrap_or_default())).with(constants)
}

/// Rows of column sums, each over as many queries as a matrix has rows.
pub fn strips(traits: &Traits, tokens: usize) -> usize {
    tokens.div_ceil(traits.side() as usize)
}

/// The most that [`strips`] says for any device.
pub(crate) fn most_strips(tokens: usize) -> usize {
    tokens.div_ceil(Tile::Eight.side() as usize)
}

/// The buffers, by the names that the shader has for them.
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

/// Records one dispatch.
///
/// # Errors
/// [`Error::Config`] for a call that `way` does not take, else as [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, way: &Way<Call>, call: Call, bindings: Bindings<'_>) -> Result<()> {
    let Call { params, types, .. } = call;
    if !(way.takes)(recorder.traits(), &call) {
        let got = format!("{}, heads of {} dimensions", types.input, params.head4 * 4);
        return Err(Error::config(KERNEL.name, "f16, heads of 1 to 8 whole matrices, and room for them", got));
    }
    let [images, tokens, stride] = [params.images, params.tokens, params.stride].map(|n| n as usize);
    let patches = tokens.saturating_sub(params.prefix as usize);
    let form = (way.form)(recorder.traits(), &call);
    let operands = [
        ("qkv", Operand::buffer(bindings.qkv, types.input.words(images * tokens * params.row4 as usize * 4))),
        ("sizes", Operand::buffer(bindings.sizes, images * tokens)),
        ("rows", Operand::buffer(bindings.rows, images * params.heads as usize * tokens * 2)),
        ("w", Operand::buffer(bindings.w, images * patches * stride)),
        ("dominance", Operand::buffer(bindings.dominance, images * patches)),
        ("column_sums", Operand::buffer(bindings.column_sums, images * params.strips as usize * stride)),
    ];
    recorder.dispatch(way.kernel, &form, &params, &operands)
}
