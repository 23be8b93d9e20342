//! Eq. 11, connectivity against dominance, and which tokens stay by it.

use super::attention_connectivity::strips;
use super::layout::Layout;
use super::top_k::MOST_PATCHES;
use crate::condensation::Chain;
use crate::error::{Error, Result};
use crate::gpu::{Form, Operand, Operation, Recorder, Way, kernel, octet};

kernel! {
    /// Runs everywhere.
    pub static KERNEL = "score" in "condense/score.wgsl";
    params {
        /// N, at most [`MOST_PATCHES`].
        patches: u32,
        /// N - R
        kept: u32,
        /// Rows of column sums of an image; N where the matrix itself stands in for its sums.
        strips: u32,
        /// b
        beta: f32,
        /// Factor that restores the true c; immaterial when it is normalised.
        scale: f32,
        /// a / s, s = max(a, 1).
        ratio: f32,
        /// 1 / s.
        inverse: f32,
        /// Elements from one row of W, or of its columns' sums, to the next.
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
    /// W is read by octets, four columns to a lane.
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

/// One score.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Sizes and factors.
    pub params: Params,
    /// B
    pub images: u32,
    /// What counts.
    pub terms: Terms,
    /// How many factors of W c is made of; 0 where c is given. [`Connectivity::order`] tells.
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

/// The buffers, by the names that the shaders have for them.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// Where c comes from.
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

/// Where c, the mean over rows of C, comes from.
#[derive(Clone, Copy)]
pub enum Connectivity<'a> {
    /// c itself [B, N]; not read where it does not count.
    Mean(&'a wgpu::Buffer),
    /// For C = W, from sums of W's columns.
    First {
        /// [B, strips, N] in the layout of [`Params::laid_out`], from `attention_connectivity`, or W
        column_sums: &'a wgpu::Buffer,
    },
    /// For C = W + a W^2, from sums of W's columns and W.
    Second {
        /// [B, strips, N], likewise
        column_sums: &'a wgpu::Buffer,
        /// W [B, N, N], likewise
        w: &'a wgpu::Buffer,
    },
}

impl Connectivity<'_> {
    /// How many factors of W c is made of; 0 where it is given.
    pub fn order(self) -> u32 {
        match self {
            Self::Mean(_) => 0,
            Self::First { .. } => 1,
            Self::Second { .. } => 2,
        }
    }
}

/// Which terms count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whether c is divided by its own sum.
    pub normalise: bool,
    /// Whether -c counts.
    pub connectivity: bool,
    /// Whether D counts, times b where c counts too.
    pub dominance: bool,
}

impl Params {
    /// For keeping `kept` of `patches` by a C that follows from W by `chain`. W is packed.
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

    /// The same for a W, and for sums of its columns, that lie as `layout` says.
    pub fn laid_out(self, layout: Layout) -> Self {
        Self { stride: layout.stride, shift: layout.shift, ..self }
    }
}

/// Records one dispatch.
///
/// # Errors
/// [`Error::Limit`] past [`MOST_PATCHES`], [`Error::Config`] where `call` and `bindings` differ in where c comes from,
/// else as [`Recorder::dispatch`].
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
    // A binding that is not read is bound all the same, to a vec4 of something.
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
