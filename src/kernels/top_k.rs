//! Which tokens are kept: a stable selection of the highest scores.

use crate::error::{Error, Result};
use crate::gpu::{Form, Operand, Operation, Recorder, Way, kernel, octet};

kernel! {
    /// The plain kernel, which runs on every device.
    pub static KERNEL = "top_k" in "condense/top_k.wgsl";
    params {
        /// N, at most [`MOST_PATCHES`].
        patches: u32,
        /// N - R
        kept: u32,
    }
    bindings { score: read, order: write, slot: write }
    overrides { FIRST: [0, 1, 2] }
    workgroup [256, 1, 1];
    way of "top_k";
}

kernel! {
    /// The lanes of an octet exchange the scores that they compare.
    pub static SUBGROUP = "top_k_subgroup" in "condense/top_k_subgroup.wgsl";
    params Params;
    bindings KERNEL;
    overrides { FIRST: [0, 1, 2], THREADS: [64, 128, 192, 256], SHORTEST: [1, 4] }
    workgroup octet::WORKGROUP;
    features wgpu::Features::SUBGROUP;
    way of "top_k";
}

/// One selection for each image of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Sizes.
    pub params: Params,
    /// B
    pub images: u32,
    /// The order in which tokens are listed.
    pub listing: Listing,
}

impl Operation for Call {
    const NAME: &'static str = "top_k";

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
        form: |traits, call| call.form().with(octet::threads_of_an_image(traits)),
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
    /// One workgroup for each image.
    fn form(&self) -> Form {
        Form::plain([self.images, 1, 1]).with([self.listing.constant()])
    }
}

/// The buffers, named as in the shaders.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, N]
    pub score: &'a wgpu::Buffer,
    /// [B, N]: kept tokens, then dropped ones, each in listing order
    pub order: &'a wgpu::Buffer,
    /// [B, N]: place among the kept, or [`DROPPED`]
    pub slot: &'a wgpu::Buffer,
}

/// The order in which kept tokens, and dropped ones, are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Ascending by index.
    Ascending,
    /// Tokens whose index has this parity, 0 or 1, come before the others.
    ParityFirst(u32),
}

impl Listing {
    /// The constant that stands for it in the shaders.
    fn constant(self) -> (&'static str, u32) {
        let first = match self {
            Self::Ascending => 2,
            Self::ParityFirst(parity) => parity % 2,
        };
        ("FIRST", first)
    }
}

/// The most patch tokens whose keys fit in a workgroup's memory.
pub const MOST_PATCHES: usize = 2048;

/// The slot of a dropped token.
pub const DROPPED: u32 = u32::MAX;

impl Params {
    /// Sizes for keeping `kept` of `patches` tokens.
    pub fn new(patches: usize, kept: usize) -> Self {
        Self { patches: patches as u32, kept: kept as u32 }
    }
}

/// Records one dispatch.
///
/// # Errors
/// [`Error::Limit`] for more than [`MOST_PATCHES`] patch tokens; otherwise the errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, way: &Way<Call>, call: Call, bindings: Bindings<'_>) -> Result<()> {
    let Call { params, images, .. } = call;
    if params.patches as usize > MOST_PATCHES {
        return Err(Error::limit("top_k", format!("at most {MOST_PATCHES} patch tokens"), params.patches.to_string()));
    }
    let elements = images as usize * params.patches as usize;
    let form = (way.form)(recorder.traits(), &call);
    let operands = [("score", bindings.score), ("order", bindings.order), ("slot", bindings.slot)]
        .map(|(name, buffer)| (name, Operand::buffer(buffer, elements)));
    recorder.dispatch(way.kernel, &form, &params, &operands)
}
