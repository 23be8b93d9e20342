//! Scaled dot products of queries and keys: attention logits, or cosines of unit keys.

use crate::error::{Error, Result};
use crate::gpu::{Form, Operand, Operation, Precision, Recorder, Traits, Types, Way, kernel, octet};

pub mod cooperative;

kernel! {
    /// The plain kernel, which runs on every device.
    pub static KERNEL = "query_key" in "block/query_key.wgsl";
    params {
        /// T, the number of queries and of keys.
        tokens: u32,
        /// H
        heads: u32,
        /// B
        images: u32,
        /// vec4s from one token of x to the next.
        row4: u32,
        /// vec4s from a token's queries to its keys.
        key_offset4: u32,
        /// Dh / 4
        head4: u32,
        /// Elements of a row of y, at least T.
        stride: u32,
        /// Factor of the dot products.
        scale: f32,
    }
    bindings { x: read, sizes: read, y: write }
    overrides { PROPORTIONAL: [0, 1], SYMMETRIC: [0, 1] }
    workgroup [64, 1, 1];
    way of "query_key";
}

kernel! {
    /// Cosines of f32 rows: the lanes of an octet exchange the queries.
    pub static SUBGROUP = "query_key_subgroup" in "block/query_key_subgroup.wgsl";
    params Params;
    bindings { x: read, y: write }
    overrides { GROUPS: [1, 2, 3] }
    workgroup [64, 1, 1];
    features wgpu::Features::SUBGROUP;
    way of "query_key";
}

/// What the products are used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Products {
    /// Attention logits.
    Logits,
    /// Attention logits plus ln(size) of the key.
    ProportionalLogits,
    /// Cosines of unit rows, which are both queries and keys (`key_offset4` is 0). Only half of the products are
    /// computed.
    Cosines,
}

/// The products of a batch of images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// Sizes.
    pub params: Params,
    /// x has the input type; y is f32.
    pub types: Types,
    /// What the products are used for.
    pub products: Products,
}

impl Operation for Call {
    const NAME: &'static str = "query_key";

    fn ways() -> &'static [Way<Self>] {
        &WAYS
    }
}

static WAYS: [Way<Call>; 3] = [
    cooperative::WAY,
    Way {
        name: "octets",
        kernel: &SUBGROUP,
        is_fallback: false,
        takes: |_, call| call.is_of_rows(Precision::F32),
        cost: |_, _| Some(1.0),
        form: octets_form,
    },
    Way {
        name: "plain",
        kernel: &KERNEL,
        is_fallback: true,
        takes: |_, call| call.is_for_threads(),
        cost: |_, _| Some(2.0),
        form: plain_form,
    },
];

impl Call {
    /// Cosines of `tokens` unit rows of `head4` vec4s for each of `images` images; the rows are stored in `input`. Only
    /// the way by cooperative matrices takes f16 rows. So an f16 network looks for a way to take them first, and stores
    /// f32 rows if there is none.
    pub fn cosines([images, tokens, head4]: [u32; 3], input: Precision) -> Self {
        let params =
            Params { tokens, heads: 1, images, row4: head4, key_offset4: 0, head4, stride: tokens, scale: 1.0 };
        Self { params, types: Types::new(input, Precision::F32), products: Products::Cosines }
    }

    /// Whether this call equals [`Call::cosines`] of rows stored in `input`.
    fn is_of_rows(&self, input: Precision) -> bool {
        let Params { images, tokens, head4, .. } = self.params;
        *self == Self::cosines([images, tokens, head4], input)
    }

    fn is_of_cosines(&self) -> bool {
        self.products == Products::Cosines
    }

    /// Whether the kernels without cooperative matrices take this call.
    fn is_for_threads(&self) -> bool {
        !self.is_of_cosines() || self.types.input == Precision::F32
    }

    /// A form of a kernel without cooperative matrices, with `count` workgroups for each head and image.
    fn form(&self, count: u32) -> Form {
        Form::plain([count, self.params.heads, self.params.images]).of(self.types).with([
            ("PROPORTIONAL", u32::from(self.products == Products::ProportionalLogits)),
            ("SYMMETRIC", u32::from(self.is_of_cosines())),
        ])
    }
}

/// One thread for each 4 queries by 4 keys.
fn plain_form(_: &Traits, call: &Call) -> Form {
    call.form(call.params.tokens.div_ceil(4).pow(2).div_ceil(64))
}

/// One octet for each 8, 16 or 24 queries by 32 keys.
fn octets_form(_: &Traits, call: &Call) -> Form {
    let tokens = call.params.tokens;
    let groups = octet::groups(tokens as usize) as u32;
    let tiles = tokens.div_ceil(8 * groups) * tokens.div_ceil(32);
    Form::plain([tiles.div_ceil(8), 1, call.params.images]).of(call.types).with([("GROUPS", groups)])
}

/// The buffers, named as in the shaders.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, T, row4 * 4], in the input type
    pub x: &'a wgpu::Buffer,
    /// [B, T], read with [`Products::ProportionalLogits`] only
    pub sizes: &'a wgpu::Buffer,
    /// [B, H, T, stride]
    pub y: &'a wgpu::Buffer,
}

/// Records one dispatch.
///
/// # Errors
/// [`Error::Config`] if `way` does not take the call; otherwise the errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, way: &Way<Call>, call: Call, bindings: Bindings<'_>) -> Result<()> {
    let Call { params, types, products } = call;
    if !(way.takes)(recorder.traits(), &call) {
        let expected = "logits, or cosines of f32 rows, or by cooperative matrices cosines of f16 rows that are an \
                        even number of matrices long, and enough workgroup memory";
        let got = format!("{products:?} of {types}, {} dimensions, by {way:?}", params.head4 * 4);
        return Err(Error::config(Call::NAME, expected, got));
    }
    let (images, tokens, width) = (params.images as usize, params.tokens as usize, params.row4 as usize * 4);
    let elements = images * tokens * params.heads as usize * params.stride as usize;
    let form = (way.form)(recorder.traits(), &call);
    let operands = [
        ("x", Operand::buffer(bindings.x, types.input.words(images * tokens * width))),
        ("sizes", Operand::buffer(bindings.sizes, images * tokens)),
        ("y", Operand::buffer(bindings.y, elements)),
    ];
    recorder.dispatch(way.kernel, &form, &params, &operands)
}
