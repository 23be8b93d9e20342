//! Means over heads of attention probabilities by cooperative matrices: f16 times f16, summed in f32. One dispatch
//! computes W, dominance and column sums, so its `Call` is an operation of its own.

use crate::error::{Error, Result};
use crate::gpu::{
    COOPERATIVE, Form, Home, Operand, Operation, Precision, Recorder, Tile, Traits, Types, Way, grid, kernel,
};
use crate::kernels::attention::cooperative::{Work, constants, takes};

kernel! {
    /// A workgroup takes as many queries as its subgroups' matrices have rows, by one chunk of keys, and goes over the
    /// heads.
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
        /// Rows of column sums, as [`strips`] returns.
        strips: u32,
    }
    bindings { qkv: read, sizes: read, rows: read, w: write, dominance: write, column_sums: write }
    overrides {
        PROPORTIONAL: [0, 1], SUBGROUPS: [4, 5], OTHERS: [0, 1], HEAD: [1, 2, 3, 4, 5, 6, 7, 8],
        // 4 or 5 subgroups of 8 to 128 threads each.
        THREADS: [32, 40, 64, 80, 128, 160, 256, 320, 512, 640],
    }
    // The shader's default. A call has as many subgroups as suit its tokens and the adapter.
    workgroup [128, 1, 1];
    features COOPERATIVE;
    way of "attention_mean";
}

/// W, dominance and column sums of all images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// Sizes.
    pub params: Params,
    /// qkv has the input type, which must be f16; the results are f32.
    pub types: Types,
    /// Whether ln(size) of the key is added to the logits, as in the attention that stored `rows`.
    pub proportional: bool,
}

impl Operation for Call {
    const NAME: &'static str = "attention_mean";

    fn ways() -> &'static [Way<Self>] {
        &WAYS
    }
}

/// This way has no fallback: if it is not verified, attention takes another route.
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

/// The most that [`strips`] returns on any device.
pub(crate) fn most_strips(tokens: usize) -> usize {
    tokens.div_ceil(Tile::Eight.side() as usize)
}

/// The buffers, named as in the shader.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, T, row4 * 4], in the input type.
    pub qkv: &'a wgpu::Buffer,
    /// [B, T], read only if `proportional`.
    pub sizes: &'a wgpu::Buffer,
    /// [B, H, T, 2], as [`attention`](crate::kernels::attention) stores it.
    pub rows: &'a wgpu::Buffer,
    /// W [B, N, stride], zero outside the columns of patches
    pub w: &'a wgpu::Buffer,
    /// D [B, N]
    pub dominance: &'a wgpu::Buffer,
    /// [B, strips, stride]: sums of W's columns over the rows of a strip, zero outside the columns of patches
    pub column_sums: &'a wgpu::Buffer,
}

/// Records one dispatch.
///
/// # Errors
/// [`Error::Config`] if `way` does not take the call; otherwise the errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, way: &Way<Call>, call: Call, bindings: Bindings<'_>) -> Result<()> {
    let Call { params, types, .. } = call;
    if !(way.takes)(recorder.traits(), &call) {
        let got = format!("{}, heads of {} dimensions", types.input, params.head4 * 4);
        return Err(Error::config(KERNEL.name, "f16, heads 1 to 8 matrices wide, and enough workgroup memory", got));
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
