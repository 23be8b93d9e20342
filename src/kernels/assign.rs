//! Matches each dropped token with the kept token it is best connected to.

use super::layout::Layout;
use crate::condensation::Chain;
use crate::error::{Error, Result};
use crate::gpu::{Form, Operand, Operation, Recorder, Way, kernel};

kernel! {
    /// Runs everywhere.
    pub static KERNEL = "assign" in "condense/assign.wgsl";
    params {
        /// N
        patches: u32,
        /// R
        dropped: u32,
        /// a / s, s = max(a, 1).
        ratio: f32,
        /// 1 / s.
        inverse: f32,
        /// Elements from one row to the next.
        stride: u32,
        /// Elements before a row's first column.
        shift: u32,
    }
    bindings { w: read, order: read, slot: read, assigned: write, connection: write, diagonal: write }
    overrides { ORDER: [0, 1, 2], PARITY: [0, 1, 2], DIAGONAL: [0, 1] }
    // Four slices of 64 threads.
    workgroup [256, 1, 1];
    way of "assign";
}

/// The matching of one step of condensation.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Sizes and factors.
    pub params: Params,
    /// B
    pub images: u32,
    /// Which kept tokens can be matched.
    pub candidates: Candidates,
    /// Whether C[p, p] is asked for, which [`Rows::Made`] has not.
    pub diagonal: bool,
    /// How many factors of W the rows of C are made of; 0 where they are given. [`Rows::order`] tells.
    pub order: u32,
}

impl Operation for Call {
    const NAME: &'static str = "assign";

    fn ways() -> &'static [Way<Self>] {
        WAYS
    }
}

static WAYS: &[Way<Call>] = &[
    #[cfg(feature = "software")]
    super::cpu::assign::WAY,
    Way {
        name: "plain",
        kernel: &KERNEL,
        is_fallback: true,
        takes: |_, _| true,
        cost: |_, _| Some(2.0),
        form: |_, call| call.form(1),
    },
];

impl Call {
    /// One workgroup for so many groups of eight dropped tokens, for each image, with the constants that both ways
    /// have.
    pub(super) fn form(&self, groups: u32) -> Form {
        let parity = match self.candidates {
            Candidates::Any => 2,
            Candidates::Parity(parity) => parity % 2,
        };
        let diagonal = u32::from(self.diagonal && self.order > 0);
        Form::plain([self.params.dropped.div_ceil(8 * groups), self.images, 1]).with([
            ("ORDER", self.order),
            ("PARITY", parity),
            ("DIAGONAL", diagonal),
        ])
    }
}

/// The buffers, by the names that the shaders have for them.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// Where rows of C come from.
    pub rows: Rows<'a>,
    /// [B, N], from `top_k`
    pub order: &'a wgpu::Buffer,
    /// [B, N], from `top_k`
    pub slot: &'a wgpu::Buffer,
    /// [B, R]: index of the match among incoming tokens
    pub assigned: &'a wgpu::Buffer,
    /// [B, R]: C[q, p]
    pub connection: &'a wgpu::Buffer,
    /// [B, R]: C[p, p], written when asked for
    pub diagonal: &'a wgpu::Buffer,
}

/// Where the dropped tokens' rows of C come from.
#[derive(Clone, Copy)]
pub enum Rows<'a> {
    /// They are there: C[q, :] for the dropped [B, R, N].
    Made(&'a wgpu::Buffer),
    /// Those of a matrix [B, N, N] that is C itself.
    First(&'a wgpu::Buffer),
    /// Those of W + a W^2, W a matrix [B, N, N], at the scale of `connectivity`.
    Second(&'a wgpu::Buffer),
}

impl Rows<'_> {
    /// How many factors of W they are made of; 0 where they are given.
    pub fn order(self) -> u32 {
        match self {
            Self::Made(_) => 0,
            Self::First(_) => 1,
            Self::Second(_) => 2,
        }
    }
}

/// Which kept tokens can be matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidates {
    /// All of them.
    Any,
    /// Those whose index has this parity, 0 or 1; at least one is kept.
    Parity(u32),
}

impl Params {
    /// For `dropped` of `patches` tokens by a C that follows from W by `chain`. Rows are packed.
    pub fn new(patches: usize, dropped: usize, chain: Chain) -> Self {
        let scale = chain.alpha.max(1.0);
        let Layout { stride, shift } = Layout::packed(patches);
        let (patches, dropped) = (patches as u32, dropped as u32);
        Self { patches, dropped, ratio: chain.alpha / scale, inverse: 1.0 / scale, stride, shift }
    }

    /// The same for rows that lie as `layout` says.
    pub fn laid_out(self, layout: Layout) -> Self {
        Self { stride: layout.stride, shift: layout.shift, ..self }
    }
}

/// Records one dispatch.
///
/// # Errors
/// [`Error::Config`] where `call` and `bindings` differ in where rows come from, else as [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, way: &Way<Call>, call: Call, bindings: Bindings<'_>) -> Result<()> {
    let (params, rows) = (call.params, bindings.rows);
    if call.order != rows.order() {
        return Err(Error::config(KERNEL.name, format!("rows of order {}", call.order), rows.order().to_string()));
    }
    let [patches, images, stride] = [params.patches, call.images, params.stride].map(|count| count as usize);
    let (listed, dropped) = (images * patches, images * params.dropped as usize);
    let w = match rows {
        Rows::Made(rows) => Operand::buffer(rows, dropped * stride),
        Rows::First(matrix) | Rows::Second(matrix) => Operand::buffer(matrix, images * patches * stride),
    };
    let operands = [
        ("w", w),
        ("order", Operand::buffer(bindings.order, listed)),
        ("slot", Operand::buffer(bindings.slot, listed)),
        ("assigned", Operand::buffer(bindings.assigned, dropped)),
        ("connection", Operand::buffer(bindings.connection, dropped)),
        ("diagonal", Operand::buffer(bindings.diagonal, dropped)),
    ];
    recorder.dispatch(way.kernel, &(way.form)(recorder.traits(), &call), &params, &operands)
}
