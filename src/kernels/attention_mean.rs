//! Means over heads of attention probabilities, computed again from queries, keys and the `rows` that attention stored.

pub mod cooperative;

use crate::error::{Error, Result};
use crate::gpu::{Form, Operand, Operation, Recorder, Traits, Types, Way, grid, kernel};

kernel! {
    /// The plain kernel, which runs on every device.
    pub static KERNEL = "attention_mean" in "block/attention_mean.wgsl";
    params {
        /// T
        tokens: u32,
        /// E
        prefix: u32,
        /// H
        heads: u32,
        /// B
        images: u32,
        /// The first query: E for W, 0 for dominance.
        query: u32,
        /// Q, the number of queries: N for W, 1 for dominance.
        queries: u32,
        /// vec4s from one token of qkv to the next.
        row4: u32,
        /// vec4s from a token's queries to its keys.
        key_offset4: u32,
        /// Dh / 4
        head4: u32,
        /// Factor of the dot products.
        scale: f32,
    }
    bindings { qkv: read, sizes: read, rows: read, y: write }
    overrides { PROPORTIONAL: [0, 1] }
    workgroup [64, 1, 1];
    way of "attention_mean";
}

kernel! {
    /// For a single query: eight threads compute one key. Runs on every device.
    pub static ROW = "attention_mean_row" in "block/attention_mean_row.wgsl";
    params Params;
    bindings KERNEL;
    overrides { PROPORTIONAL: [0, 1] }
    workgroup [64, 1, 1];
    way of "attention_mean";
}

/// The means for a range of queries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// Sizes.
    pub params: Params,
    /// qkv has the input type; y is f32.
    pub types: Types,
    /// Whether ln(size) of the key is added to the logits, as in the attention that stored `rows`.
    pub proportional: bool,
}

impl Operation for Call {
    const NAME: &'static str = "attention_mean";

    fn ways() -> &'static [Way<Self>] {
        WAYS
    }
}

static WAYS: &[Way<Call>] = &[
    Way {
        name: "row",
        kernel: &ROW,
        is_fallback: true,
        takes: |_, call| call.params.queries == 1,
        cost: |_, _| Some(1.0),
        form: |_, call| call.form(grid((call.keys() * call.images()).div_ceil(ROW_KEYS))),
    },
    #[cfg(feature = "software")]
    super::cpu::attention_mean::WAY,
    Way {
        name: "plain",
        kernel: &KERNEL,
        is_fallback: true,
        takes: |_, _| true,
        cost: |_, _| Some(3.0),
        form: plain_form,
    },
];

/// Keys of a workgroup of [`ROW`].
const ROW_KEYS: usize = 8;

impl Call {
    pub(super) fn form(&self, workgroups: [u32; 3]) -> Form {
        Form::plain(workgroups).of(self.types).with([("PROPORTIONAL", u32::from(self.proportional))])
    }

    pub(super) fn images(&self) -> usize {
        self.params.images as usize
    }

    /// N
    pub(super) fn keys(&self) -> usize {
        self.params.tokens.saturating_sub(self.params.prefix) as usize
    }
}

/// One thread for each 4 queries by 4 keys.
fn plain_form(_: &Traits, call: &Call) -> Form {
    let quads = call.params.queries.div_ceil(4) as usize * call.keys().div_ceil(4);
    call.form(grid((quads * call.images()).div_ceil(64)))
}

/// The buffers, named as in the shaders.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, T, row4 * 4], in the input type.
    pub qkv: &'a wgpu::Buffer,
    /// [B, T], read only if `proportional`.
    pub sizes: &'a wgpu::Buffer,
    /// [B, H, T, 2], as [`attention`](super::attention) stores it.
    pub rows: &'a wgpu::Buffer,
    /// [B, Q, N]
    pub y: &'a wgpu::Buffer,
}

/// Records one dispatch.
///
/// # Errors
/// [`Error::Config`] for several queries by the way for one; otherwise the errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, way: &Way<Call>, call: Call, bindings: Bindings<'_>) -> Result<()> {
    let Call { params, types, .. } = call;
    if !(way.takes)(recorder.traits(), &call) {
        return Err(Error::config(way.kernel.name, "a single query", params.queries.to_string()));
    }
    let tokens = call.images() * params.tokens as usize;
    let form = (way.form)(recorder.traits(), &call);
    let operands = [
        ("qkv", Operand::buffer(bindings.qkv, types.input.words(tokens * params.row4 as usize * 4))),
        ("sizes", Operand::buffer(bindings.sizes, tokens)),
        ("rows", Operand::buffer(bindings.rows, tokens * params.heads as usize * 2)),
        ("y", Operand::buffer(bindings.y, call.images() * params.queries as usize * call.keys())),
    ];
    recorder.dispatch(way.kernel, &form, &params, &operands)
}
