//! The score, eq. 11: connectivity against dominance, and the selection of the tokens to keep by it.

use super::attention_connectivity::strips;
use super::layout::Layout;
use super::top_k::MOST_PATCHES;
use crate::condensation::Chain;
use crate::error::{Error, Result};
use crate::gpu::{Form, Operand, Operation, Recorder, Way, kernel, octet};

kernel! {
    /// The plain kernel, which runs on every device.
    pub static KERNEL = "score" in "condense/score.wgsl";
    params {
        /// N, at most [`MOST_PATCHES`].
        patches: u32,
        /// N - R
        kept: u32,
        /// Rows of column sums of an image; N if W itself is passed as its column sums.
        strips: u32,
        /// b
        beta: f32,
        /// Factor that restores the true c; without effect if c is normalised.
        scale: f32,
        /// a / s, s = max(a, 1).
        ratio: f32,
        /// 1 / s.
        inverse: f32,
        /// Elements from one row of W, or of the column sums, to the next.
        stride: u32,
        /// Elements before a row's first column.
        shift: u32,
    }
    bindings { w: read, column_sums: read, dominance: read, score: write, order: write, slot: write }
    overrides { FIRST: [2], ORDER: [0, 1, 2], NORMALISE: [0, 1], CONNECTIVITY: [0, 1], DOMINANCE: [0, 1] }
    workgroup [256, 1, 1];
    way of "score";
}

kernel! {
    /// W is read by octets; a lane has four columns.
    pub static SUBGROUP = "score_subgroup" in "condense/score_subgroup.wgsl";
    params Params;
    bindings { w: read, column_sums: read, dominance: read, score: write, order: write, slot: write }
    overrides {
        FIRST: [2], ORDER: [0, 1, 2], NORMALISE: [0, 1], CONNECTIVITY: [0, 1], DOMINANCE: [0, 1], ALIGNED: [0, 1],
        WHOLE: [0, 1], THREADS: [64, 128, 192, 256], SHORTEST: [1, 4],
    }
    workgroup octet::WORKGROUP;
    features wgpu::Features::SUBGROUP;
    way of "score";
}

/// The scores of a batch, and the selection by them.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Sizes and factors.
    pub params: Params,
    /// B
    pub images: u32,
    /// The terms of the score.
    pub terms: Terms,
    /// The number of factors of W in c, or 0 if c is given; equal to [`Connectivity::order`].
    pub order: u32,
}

impl Operation for Call {
    const NAME: &'static str = "score";

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
        form: |traits, call| {
            let aligned = u32::from(call.params.stride.is_multiple_of(4));
            call.form().with(octet::threads_of_an_image(traits)).with([("ALIGNED", aligned), ("WHOLE", aligned)])
        },
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
    /// One workgroup for each image, with the constants that both ways have.
    fn form(&self) -> Form {
        let Terms { normalise, connectivity, dominance } = self.terms;
        let terms = [("NORMALISE", normalise), ("CONNECTIVITY", connectivity), ("DOMINANCE", dominance)];
        Form::plain([self.images, 1, 1])
            // Tokens are listed in ascending order.
            .with([("FIRST", 2), ("ORDER", self.order)])
            .with(terms.map(|(name, counts)| (name, u32::from(counts))))
    }
}

/// The buffers, named as in the shaders.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// The source of c.
    pub connectivity: Connectivity<'a>,
    /// D [B, N]
    pub dominance: &'a wgpu::Buffer,
    /// S [B, N]
    pub score: &'a wgpu::Buffer,
    /// [B, N]: kept tokens, then dropped ones, each in ascending order
    pub order: &'a wgpu::Buffer,
    /// [B, N]: place among the kept, or [`DROPPED`](super::top_k::DROPPED)
    pub slot: &'a wgpu::Buffer,
}

/// The source of c, the mean over rows of C.
#[derive(Clone, Copy)]
pub enum Connectivity<'a> {
    /// c itself, [B, N]; not read if c is not a term of the score.
    Mean(&'a wgpu::Buffer),
    /// C = W: c follows from the column sums of W.
    First {
        /// [B, strips, N] in the layout given to [`Params::laid_out`], from `attention_connectivity`; or W itself
        column_sums: &'a wgpu::Buffer,
    },
    /// C = W + a W^2: c follows from W and its column sums.
    Second {
        /// [B, strips, N], in the same layout
        column_sums: &'a wgpu::Buffer,
        /// W [B, N, N], in the same layout
        w: &'a wgpu::Buffer,
    },
}

impl Connectivity<'_> {
    /// The number of factors of W in c, or 0 if c is given.
    pub fn order(self) -> u32 {
        match self {
            Self::Mean(_) => 0,
            Self::First { .. } => 1,
            Self::Second { .. } => 2,
        }
    }
}

/// The terms of the score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whether c is divided by its own sum.
    pub normalise: bool,
    /// Whether -c is a term.
    pub connectivity: bool,
    /// Whether D is a term; it is multiplied by b if c is a term too.
    pub dominance: bool,
}

impl Params {
    /// Sizes and factors for keeping `kept` of `patches` tokens, where `chain` says how C follows from W. W is packed.
    pub fn new(patches: usize, kept: usize, beta: f32, chain: Chain) -> Self {
        let scale = chain.alpha.max(1.0);
        Self {
            patches: patches as u32,
            kept: kept as u32,
            strips: strips(patches) as u32,
            beta,
            scale: chain.scale(),
            ratio: chain.alpha / scale,
            inverse: 1.0 / scale,
            stride: patches as u32,
            shift: 0,
        }
    }

    /// The same for a W, and column sums, in the given layout.
    pub fn laid_out(self, layout: Layout) -> Self {
        Self { stride: layout.stride, shift: layout.shift, ..self }
    }
}

/// Records one dispatch.
///
/// # Errors
/// [`Error::Limit`] for more than [`MOST_PATCHES`] patch tokens, [`Error::Config`] if `call` and `bindings` differ in
/// the source of c; otherwise the errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, way: &Way<Call>, call: Call, bindings: Bindings<'_>) -> Result<()> {
    let (params, source) = (call.params, bindings.connectivity);
    let [patches, images, stride] = [params.patches, call.images, params.stride].map(|count| count as usize);
    if patches > MOST_PATCHES {
        return Err(Error::limit(KERNEL.name, format!("at most {MOST_PATCHES} patch tokens"), patches.to_string()));
    }
    if call.order != source.order() {
        let expected = format!("connectivity of order {}", call.order);
        return Err(Error::config(KERNEL.name, expected, source.order().to_string()));
    }
    let elements = images * patches;
    let sums = |buffer| Operand::buffer(buffer, images * params.strips as usize * stride);
    // A binding that is not read must be bound to some buffer of at least a vec4.
    let (column_sums, w) = match source {
        Connectivity::Mean(c) => (Operand::buffer(c, elements), Operand::buffer(c, 4)),
        Connectivity::First { column_sums } => (sums(column_sums), Operand::buffer(column_sums, 4)),
        Connectivity::Second { column_sums, w } => (sums(column_sums), Operand::buffer(w, images * patches * stride)),
    };
    let operands = [
        ("w", w),
        ("column_sums", column_sums),
        ("dominance", Operand::buffer(bindings.dominance, elements)),
        ("score", Operand::buffer(bindings.score, elements)),
        ("order", Operand::buffer(bindings.order, elements)),
        ("slot", Operand::buffer(bindings.slot, elements)),
    ];
    recorder.dispatch(way.kernel, &(way.form)(recorder.traits(), &call), &params, &operands)
}
