//! Assigns each dropped token to the kept token that it is best connected to.

use super::layout::Layout;
use crate::condensation::Chain;
use crate::error::{Error, Result};
use crate::gpu::{Form, Operand, Operation, Recorder, Way, kernel};

kernel! {
    /// The plain kernel, which runs on every device.
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

/// The assignment of the dropped tokens in one condensation step.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Sizes and factors.
    pub params: Params,
    /// B
    pub images: u32,
    /// Which kept tokens a dropped token can be assigned to.
    pub candidates: Candidates,
    /// Whether C[p, p] is written too. [`Rows::Made`] cannot give it.
    pub diagonal: bool,
    /// The number of factors of W in the rows of C, or 0 if the rows are given; equal to [`Rows::order`].
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
    /// One workgroup for each `groups` groups of eight dropped tokens, for each image, with the constants that both
    /// ways have.
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

/// The buffers, named as in the shaders.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// The source of the rows of C.
    pub rows: Rows<'a>,
    /// [B, N], from `top_k`
    pub order: &'a wgpu::Buffer,
    /// [B, N], from `top_k`
    pub slot: &'a wgpu::Buffer,
    /// [B, R]: index of p, the assigned kept token, among the patch tokens
    pub assigned: &'a wgpu::Buffer,
    /// [B, R]: C[q, p]
    pub connection: &'a wgpu::Buffer,
    /// [B, R]: C[p, p], written if the call asks for it
    pub diagonal: &'a wgpu::Buffer,
}

/// The source of the dropped tokens' rows of C.
#[derive(Clone, Copy)]
pub enum Rows<'a> {
    /// The rows are given: C[q, :] for the dropped tokens, [B, R, N].
    Made(&'a wgpu::Buffer),
    /// C is the given matrix [B, N, N].
    First(&'a wgpu::Buffer),
    /// C = W + a W^2 for the given W [B, N, N], at the scale of `connectivity`.
    Second(&'a wgpu::Buffer),
}

impl Rows<'_> {
    /// The number of factors of W in the rows, or 0 if the rows are given.
    pub fn order(self) -> u32 {
        match self {
            Self::Made(_) => 0,
            Self::First(_) => 1,
            Self::Second(_) => 2,
        }
    }
}

/// Which kept tokens a dropped token can be assigned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidates {
    /// All of them.
    Any,
    /// Tokens whose index has this parity, 0 or 1. At least one such token must be kept.
    Parity(u32),
}

impl Params {
    /// Sizes for dropping `dropped` of `patches` tokens, where `chain` says how C follows from W. Rows are packed.
    pub fn new(patches: usize, dropped: usize, chain: Chain) -> Self {
        let scale = chain.alpha.max(1.0);
        let Layout { stride, shift } = Layout::packed(patches);
        let (patches, dropped) = (patches as u32, dropped as u32);
        Self { patches, dropped, ratio: chain.alpha / scale, inverse: 1.0 / scale, stride, shift }
    }

    /// The same sizes for rows in the given layout.
    pub fn laid_out(self, layout: Layout) -> Self {
        Self { stride: layout.stride, shift: layout.shift, ..self }
    }
}

/// Records one dispatch.
///
/// # Errors
/// [`Error::Config`] if `call` and `bindings` differ in the source of the rows; otherwise the errors of
/// [`Recorder::dispatch`].
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
