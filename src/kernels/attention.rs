//! Attention in one kernel: the softmax of scaled queries times keys, times values. The probabilities are never stored.

pub mod cooperative;

use crate::error::{Error, Result};
use crate::gpu::{Form, Operand, Operation, Recorder, Traits, Types, Way, kernel};

kernel! {
    /// The plain kernel, which runs on every device.
    pub static KERNEL = "attention" in "block/attention.wgsl";
    params {
        /// T
        tokens: u32,
        /// H
        heads: u32,
        /// B
        images: u32,
        /// vec4s from one token of qkv to the next.
        row4: u32,
        /// vec4s from a token's queries to its keys.
        key_offset4: u32,
        /// vec4s from a token's queries to its values.
        value_offset4: u32,
        /// Dh / 4, at most a quarter of [`WIDEST_HEAD`].
        head4: u32,
        /// Factor of the dot products.
        scale: f32,
    }
    bindings { qkv: read, sizes: read, y: write, rows: write }
    overrides { PROPORTIONAL: [0, 1], COLUMNS: [1, 2, 3, 4] }
    workgroup [64, 1, 1];
    way of "attention";
}

/// The widest head, Dh, that fits a thread's registers.
pub const WIDEST_HEAD: usize = 128;

/// One attention of all heads and images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// Sizes.
    pub params: Params,
    /// qkv has the input type, y the output type.
    pub types: Types,
    /// Whether ln(size) of the key is added to the logits.
    pub proportional: bool,
}

impl Operation for Call {
    const NAME: &'static str = "attention";

    fn ways() -> &'static [Way<Self>] {
        WAYS
    }
}

static WAYS: &[Way<Call>] = &[
    cooperative::WAY,
    #[cfg(feature = "software")]
    super::cpu::attention::WAY,
    Way {
        name: "plain",
        kernel: &KERNEL,
        is_fallback: true,
        takes: |_, call| call.fits_registers(),
        cost: |_, _| Some(2.0),
        form: plain_form,
    },
];

/// The way by cooperative matrices.
pub fn cooperative() -> &'static Way<Call> {
    &WAYS[0]
}

/// The way by octets, for software adapters; `None` without the feature `software`.
pub fn octets() -> Option<&'static Way<Call>> {
    WAYS.iter().find(|way| way.name == "octets")
}

/// The plain way, which runs on every device.
pub fn plain() -> &'static Way<Call> {
    &WAYS[WAYS.len() - 1]
}

impl Call {
    pub(super) fn fits_registers(&self) -> bool {
        self.params.head4 as usize * 4 <= WIDEST_HEAD
    }

    /// vec4s of a head for each of 8 threads, rounded up.
    pub(super) fn columns(&self) -> u32 {
        self.params.head4.div_ceil(8)
    }
}

/// A workgroup for every 32 queries of each head and image.
fn plain_form(_: &Traits, call: &Call) -> Form {
    let Params { tokens, heads, images, .. } = call.params;
    Form::plain([tokens.div_ceil(32), heads, images])
        .of(call.types)
        .with([("PROPORTIONAL", u32::from(call.proportional)), ("COLUMNS", call.columns())])
}

/// The buffers, named as in the shaders.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, T, row4 * 4], in the input type. For [`cooperative()`] it must have room for at least
    /// [`cooperative::MOST_ROWS`] tokens, because queries are loaded as whole matrices.
    pub qkv: &'a wgpu::Buffer,
    /// [B, T], read only if `proportional`.
    pub sizes: &'a wgpu::Buffer,
    /// [B, T, H * Dh], in the output type.
    pub y: &'a wgpu::Buffer,
    /// [B, H, T, 2]: the row's largest logit, and 1 / the sum of its exponentials. From these and the logits P can be
    /// computed again.
    pub rows: &'a wgpu::Buffer,
}

/// Records one dispatch.
///
/// # Errors
/// [`Error::Config`] if `way` does not take the call; otherwise the errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, way: &Way<Call>, call: Call, bindings: Bindings<'_>) -> Result<()> {
    let Call { params, types, .. } = call;
    if !(way.takes)(recorder.traits(), &call) {
        let expected = format!(
            "heads of at most {WIDEST_HEAD} dimensions, and for cooperative matrices f16, heads \
             1 to 8 whole matrices wide, and enough workgroup memory"
        );
        let got = format!("{way:?}, heads of {} dimensions, {types}", params.head4 * 4);
        return Err(Error::config(Call::NAME, expected, got));
    }
    let [images, heads, tokens] = [params.images, params.heads, params.tokens].map(|n| n as usize);
    let (all, row) = (images * tokens, params.row4 as usize * 4);
    // Whole matrices of queries are loaded.
    let whole = all.max(recorder.traits().side() as usize);
    let form = (way.form)(recorder.traits(), &call);
    let operands = [
        ("qkv", Operand::buffer(bindings.qkv, types.input.words(all * row))),
        ("queries", Operand::buffer(bindings.qkv, types.input.words(whole * row))),
        ("sizes", Operand::buffer(bindings.sizes, all)),
        ("y", Operand::buffer(bindings.y, types.output.words(all * heads * params.head4 as usize * 4))),
        ("rows", Operand::buffer(bindings.rows, all * heads * 2)),
    ];
    recorder.dispatch(way.kernel, &form, &params, &operands)
}
