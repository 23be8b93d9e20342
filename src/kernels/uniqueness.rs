//! The `uniqueness` score, which prefers dominant tokens that are unlike more dominant ones.

use crate::error::Result;
use crate::gpu::{Form, Operand, Operation, Recorder, Way, kernel};

kernel! {
    /// Both ways run on every device.
    pub static KERNEL = "uniqueness" in "condense/uniqueness.wgsl";
    params {
        /// N
        patches: u32,
        /// E
        prefix: u32,
        /// g
        exponent: f32,
        /// h
        size_exponent: f32,
    }
    bindings { cosine: read, dominance: read, sizes: read, score: write }
    overrides { ROWS: [4, 16] }
    // 16 threads for each row of cosines that is read side by side.
    workgroup [64, 1, 1];
    way of "uniqueness";
}

/// The scores of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Sizes and exponents.
    pub params: Params,
    /// B
    pub images: u32,
}

impl Operation for Call {
    const NAME: &'static str = "uniqueness";

    fn ways() -> &'static [Way<Self>] {
        &WAYS
    }
}

static WAYS: [Way<Call>; 2] = [
    Way {
        name: "16 rows",
        kernel: &KERNEL,
        is_fallback: false,
        takes: |_, _| true,
        // On a GPU more rows side by side shorten the waits for memory; on a software adapter they only add threads.
        cost: |traits, _| traits.loads_ahead.then_some(1.0),
        form: |_, call| call.form(16),
    },
    Way {
        name: "4 rows",
        kernel: &KERNEL,
        is_fallback: true,
        takes: |_, _| true,
        cost: |_, _| Some(2.0),
        form: |_, call| call.form(4),
    },
];

impl Call {
    /// A form with a workgroup for every 64 patch tokens of an image, which reads `rows` rows of cosines side by side.
    fn form(&self, rows: u32) -> Form {
        Form::plain([self.params.patches.div_ceil(64), self.images, 1]).with([("ROWS", rows)])
    }
}

/// The buffers, named as in the shader.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, N, N]
    pub cosine: &'a wgpu::Buffer,
    /// [B, N]
    pub dominance: &'a wgpu::Buffer,
    /// [B, E + N], at least 1
    pub sizes: &'a wgpu::Buffer,
    /// [B, N]
    pub score: &'a wgpu::Buffer,
}

/// Records one dispatch.
///
/// # Errors
/// The errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, way: &Way<Call>, call: Call, bindings: Bindings<'_>) -> Result<()> {
    let Call { params, images } = call;
    let rows = images as usize * params.patches as usize;
    let form = (way.form)(recorder.traits(), &call);
    let operands = [
        ("cosine", Operand::buffer(bindings.cosine, rows * params.patches as usize)),
        ("dominance", Operand::buffer(bindings.dominance, rows)),
        ("sizes", Operand::buffer(bindings.sizes, rows + images as usize * params.prefix as usize)),
        ("score", Operand::buffer(bindings.score, rows)),
    ];
    recorder.dispatch(way.kernel, &form, &params, &operands)
}
