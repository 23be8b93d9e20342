//! Kept tokens become weighted means of themselves and the dropped tokens that are assigned to them, in place.

use crate::error::Result;
use crate::gpu::{Form, Operand, Operation, Recorder, Way, kernel};

kernel! {
    /// Both ways run on every device.
    pub static KERNEL = "fuse" in "condense/fuse.wgsl";
    params {
        /// B
        images: u32,
        /// E
        prefix: u32,
        /// N
        patches: u32,
        /// R
        dropped: u32,
        /// D / 4
        width4: u32,
    }
    bindings {
        tokens: write, sizes: read, order: read, assigned: read, connection: read, diagonal: read, fused_sizes: write,
        rows: write
    }
    overrides { WEIGHTS: [0, 1, 2, 3], LANES: [8, 64, 128, 192, 256], AHEAD: [1, 4] }
    workgroup [64, 1, 1];
    way of "fuse";
}

/// How the members of a fused token are weighted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fusion {
    /// Dropped tokens vanish, and kept tokens do not change.
    None,
    /// A mean weighted by C[p, p] and C[q, p].
    Connectivity,
    /// A mean weighted by the sizes, which are the numbers of patches that tokens stand for.
    Size,
    /// A sum weighted by C[p, p] and C[q, p], not divided by the sum of the weights.
    Sum,
}

impl Fusion {
    /// Every variety.
    pub const ALL: [Self; 4] = [Self::None, Self::Connectivity, Self::Size, Self::Sum];

    /// The constant that stands for it in the shader.
    fn constant(self) -> (&'static str, u32) {
        let weights = match self {
            Self::None => 0,
            Self::Connectivity => 1,
            Self::Size => 2,
            Self::Sum => 3,
        };
        ("WEIGHTS", weights)
    }
}

/// One fusion of the dropped tokens.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Sizes.
    pub params: Params,
    /// How the members of a fused token are weighted.
    pub fusion: Fusion,
}

impl Operation for Call {
    const NAME: &'static str = "fuse";

    fn ways() -> &'static [Way<Self>] {
        &WAYS
    }
}

static WAYS: [Way<Call>; 2] = [
    Way {
        name: "ahead",
        kernel: &KERNEL,
        is_fallback: false,
        takes: |_, _| true,
        cost: |traits, _| traits.loads_ahead.then_some(1.0),
        // One thread for each vec4 of a token, up to 256.
        form: |_, call| call.form(call.params.width4.div_ceil(64).clamp(1, 4) * 64, 4),
    },
    Way {
        name: "plain",
        kernel: &KERNEL,
        is_fallback: true,
        takes: |_, _| true,
        cost: |_, _| Some(2.0),
        form: |_, call| call.form(8, 1),
    },
];

impl Call {
    /// A form with `lanes` threads for each dropped token of an image, which load `ahead` members at once, followed by
    /// one thread for each token that goes on.
    fn form(&self, lanes: u32, ahead: u32) -> Form {
        let Params { images, prefix, patches, dropped, .. } = self.params;
        let remaining = prefix + patches - dropped;
        Form::plain([(dropped * lanes + remaining).div_ceil(64), images, 1]).with([
            self.fusion.constant(),
            ("LANES", lanes),
            ("AHEAD", ahead),
        ])
    }
}

/// The buffers, named as in the shader.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, E + N, D]; the kept tokens are updated in place
    pub tokens: &'a wgpu::Buffer,
    /// [B, E + N]
    pub sizes: &'a wgpu::Buffer,
    /// [B, N], from `top_k`
    pub order: &'a wgpu::Buffer,
    /// [B, R], from `assign`
    pub assigned: &'a wgpu::Buffer,
    /// C[q, p] [B, R]
    pub connection: &'a wgpu::Buffer,
    /// C[p, p] [B, R]
    pub diagonal: &'a wgpu::Buffer,
    /// [B, E + N - R]
    pub fused_sizes: &'a wgpu::Buffer,
    /// [B, E + N - R]: the row of `tokens`, counted over all images, where each token that goes on lies
    pub rows: &'a wgpu::Buffer,
}

impl Params {
    fn incoming(&self) -> usize {
        self.images as usize * (self.prefix + self.patches) as usize
    }

    fn outgoing(&self) -> usize {
        self.images as usize * (self.prefix + self.patches - self.dropped) as usize
    }
}

/// Records one dispatch.
///
/// # Errors
/// The errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, way: &Way<Call>, call: Call, bindings: Bindings<'_>) -> Result<()> {
    let params = call.params;
    let width = params.width4 as usize * 4;
    let dropped = params.images as usize * params.dropped as usize;
    let form = (way.form)(recorder.traits(), &call);
    let operands = [
        ("tokens", Operand::buffer(bindings.tokens, params.incoming() * width)),
        ("sizes", Operand::buffer(bindings.sizes, params.incoming())),
        ("order", Operand::buffer(bindings.order, (params.images * params.patches) as usize)),
        ("assigned", Operand::buffer(bindings.assigned, dropped)),
        ("connection", Operand::buffer(bindings.connection, dropped)),
        ("diagonal", Operand::buffer(bindings.diagonal, dropped)),
        ("fused_sizes", Operand::buffer(bindings.fused_sizes, params.outgoing())),
        ("rows", Operand::buffer(bindings.rows, params.outgoing())),
    ];
    recorder.dispatch(way.kernel, &form, &params, &operands)
}
