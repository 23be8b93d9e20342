//! Keys averaged over heads and scaled to unit length; with one head, tokens scaled to unit length.

use crate::error::Result;
use crate::gpu::{Form, Operand, Operation, Recorder, Types, Way, grid, kernel};

kernel! {
    /// The plain kernel, which runs on every device.
    pub static KERNEL = "key_mean" in "condense/key_mean.wgsl";
    params {
        /// B
        images: u32,
        /// T
        tokens: u32,
        /// E
        prefix: u32,
        /// H
        heads: u32,
        /// vec4s from one token of qkv to the next.
        row4: u32,
        /// vec4s from a token's queries to its keys.
        key_offset4: u32,
        /// Dh / 4
        head4: u32,
    }
    bindings { qkv: read, keys: write }
    overrides {}
    workgroup [64, 1, 1];
    way of "key_mean";
}

kernel! {
    /// An octet computes one key: its lanes add up their squares.
    pub static SUBGROUP = "key_mean_subgroup" in "condense/key_mean_subgroup.wgsl";
    params Params;
    bindings KERNEL;
    overrides {}
    workgroup [64, 1, 1];
    features wgpu::Features::SUBGROUP;
    way of "key_mean";
}

/// One mean key for each patch token.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Sizes.
    pub params: Params,
    /// qkv has the input type, keys have the output type.
    pub types: Types,
}

impl Operation for Call {
    const NAME: &'static str = "key_mean";

    fn ways() -> &'static [Way<Self>] {
        &WAYS
    }
}

static WAYS: [Way<Call>; 2] = [
    Way {
        name: "octets",
        kernel: &SUBGROUP,
        is_fallback: false,
        takes: |_, _| true,
        cost: |_, _| Some(1.0),
        form: |_, call| call.form(),
    },
    Way {
        name: "plain",
        kernel: &KERNEL,
        is_fallback: true,
        takes: |_, _| true,
        cost: |_, _| Some(2.0),
        form: |_, call| call.form(),
    },
];

impl Call {
    /// The form of both ways: eight threads for each patch token.
    fn form(&self) -> Form {
        Form::plain(grid(self.params.rows().div_ceil(8))).of(self.types)
    }
}

/// The buffers, named as in the shaders.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, T, row4 * 4], in the input type
    pub qkv: &'a wgpu::Buffer,
    /// [B, N, Dh], in the output type
    pub keys: &'a wgpu::Buffer,
}

impl Params {
    fn rows(&self) -> usize {
        self.images as usize * (self.tokens - self.prefix) as usize
    }
}

/// Records one dispatch.
///
/// # Errors
/// The errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, way: &Way<Call>, call: Call, bindings: Bindings<'_>) -> Result<()> {
    let Call { params, types } = call;
    let qkv = params.images as usize * params.tokens as usize * params.row4 as usize * 4;
    let [images, patches, width] = [params.images, params.tokens - params.prefix, params.head4 * 4].map(|n| n as usize);
    let keys = Operand::buffer(bindings.keys, types.output.words(images * patches * width));
    let form = (way.form)(recorder.traits(), &call);
    let operands = [("qkv", Operand::buffer(bindings.qkv, types.input.words(qkv))), ("keys", keys)];
    recorder.dispatch(way.kernel, &form, &params, &operands)
}
