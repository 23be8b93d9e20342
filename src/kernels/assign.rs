//! Matches each dropped token with the kept token it is best connected to.

use bytemuck::{Pod, Zeroable};

use super::attention_powers::Layout;
use crate::condensation::Chain;
use crate::error::Result;
use crate::gpu::{Binding, Kernel, Matrix, Operand, Recorder, Types, Variant};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "assign",
    shader: "condense/assign.wgsl",
    bindings: &[
        Binding::read("w"),
        Binding::read("order"),
        Binding::read("slot"),
        Binding::write("assigned"),
        Binding::write("connection"),
        Binding::write("diagonal"),
    ],
    params_size: size_of::<Params>(),
    // Four slices of 64.
    workgroup_size: [256, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The same in octets.
pub const SUBGROUP: Kernel = Kernel {
    name: "assign_subgroup",
    shader: "condense/assign_subgroup.wgsl",
    bindings: &[
        Binding::matrix("w"),
        Binding::read("order"),
        Binding::read("slot"),
        Binding::write("assigned"),
        Binding::write("connection"),
        Binding::write("diagonal"),
    ],
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::SUBGROUP,
    variant_of: Some("assign"),
    ..KERNEL
};

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// N
    pub patches: u32,
    /// R
    pub dropped: u32,
    /// a / s, s = max(a, 1).
    pub ratio: f32,
    /// 1 / s.
    pub inverse: f32,
    /// Elements from one row to the next.
    pub stride: u32,
    /// Elements before a row's first column.
    pub shift: u32,
}

/// The buffers, in the shader's order.
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
    /// Those of a matrix [B, N, N] that is C itself. In a texture for octets only, as below.
    First(Matrix<'a>),
    /// Those of W + a W^2, W a matrix [B, N, N], at the scale of `connectivity`.
    Second(Matrix<'a>),
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

/// Groups of eight dropped tokens that one workgroup matches.
fn groups(dropped: u32, variant: Variant) -> u32 {
    match variant {
        Variant::Plain => 1,
        Variant::Subgroup => {
            if dropped > 8 {
                2
            } else {
                1
            }
        }
    }
}

/// One workgroup for eight dropped tokens, or for sixteen in octets, for each image.
pub fn workgroups(params: &Params, images: u32, variant: Variant) -> [u32; 3] {
    [params.dropped.div_ceil(8 * groups(params.dropped, variant)), images, 1]
}

/// Records one dispatch for `images` images. `diagonal` asks for C[p, p] too, which [`Rows::Made`] has not.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(
    recorder: &mut Recorder<'_>,
    variant: Variant,
    params: Params,
    images: u32,
    candidates: Candidates,
    diagonal: bool,
    bindings: Bindings<'_>,
) -> Result<()> {
    let parity = match candidates {
        Candidates::Any => 2,
        Candidates::Parity(parity) => parity % 2,
    };
    let (patches, dropped) = (params.patches as usize, images as usize * params.dropped as usize);
    let (listed, stride) = (images as usize * patches, params.stride as usize);
    let whole = [images as usize, patches, stride];
    let (order, rows) = match bindings.rows {
        Rows::Made(rows) => (0, (Matrix::Buffer(rows), [1, dropped, stride])),
        Rows::First(matrix) => (1, (matrix, whole)),
        Rows::Second(matrix) => (2, (matrix, whole)),
    };
    let (rows, size) = rows;
    let mut constants = vec![
        ("ORDER", f64::from(order)),
        ("PARITY", f64::from(parity)),
        ("DIAGONAL", f64::from(u8::from(diagonal && order > 0))),
    ];
    let kernel = match variant {
        Variant::Plain => &KERNEL,
        Variant::Subgroup => {
            constants.push(("GROUPS", f64::from(groups(params.dropped, variant))));
            constants.push(("ALIGNED", f64::from(u8::from(stride.is_multiple_of(4)))));
            &SUBGROUP
        }
    };
    recorder.dispatch_typed(
        kernel,
        Types::default().at(rows.home()),
        &constants,
        bytemuck::bytes_of(&params),
        &[
            rows.operand(KERNEL.name, size)?,
            Operand::buffer(bindings.order, listed),
            Operand::buffer(bindings.slot, listed),
            Operand::buffer(bindings.assigned, dropped),
            Operand::buffer(bindings.connection, dropped),
            Operand::buffer(bindings.diagonal, dropped),
        ],
        workgroups(&params, images, variant),
    )
}
