//! Layer norm over rows.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Context, Kernel, Operand, Precision, Recorder, Types, Variant, grid, octet};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "layer_norm",
    shader: "block/layer_norm.wgsl",
    bindings: &[
        Binding::read("x"),
        Binding::read("weight"),
        Binding::read("bias"),
        Binding::write("y"),
        Binding::read("rows"),
    ],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The same in octets.
pub const SUBGROUP: Kernel = Kernel {
    name: "layer_norm_subgroup",
    shader: "block/layer_norm_subgroup.wgsl",
    features: wgpu::Features::SUBGROUP,
    variant_of: Some("layer_norm"),
    ..KERNEL
};

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// Rows.
    pub rows: u32,
    /// D / 4
    pub width4: u32,
    /// Added to the variance.
    pub epsilon: f32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [rows, D]; as many as `rows` names where it does
    pub x: &'a wgpu::Buffer,
    /// `[D]`
    pub weight: &'a wgpu::Buffer,
    /// `[D]`
    pub bias: &'a wgpu::Buffer,
    /// [rows, D]
    pub y: &'a wgpu::Buffer,
    /// `[rows]`: the row of x that each row of y is made of; `None` where they are the same
    pub rows: Option<&'a wgpu::Buffer>,
}

/// How octets make rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Keeping {
    /// vec4s of a row that a lane keeps; 0 where rows are read again.
    chunks: u32,
    /// Rows that an octet makes with the weights that it has loaded.
    each: u32,
}

/// Rows from which on an octet makes several: fewer would leave cores of a CPU idle.
pub(crate) const MANY: u32 = 256;

impl Keeping {
    /// The most that fits a lane's registers.
    const MOST: u32 = 24;

    /// On a CPU that emulates a GPU loads are what a norm costs. (Elsewhere nobody has measured it.)
    fn of(context: &Context, params: &Params) -> Self {
        let chunks = params.width4.div_ceil(octet::OCTETS as u32);
        match context.info().device_type == wgpu::DeviceType::Cpu && chunks <= Self::MOST {
            true => Self { chunks, each: if params.rows >= MANY { 8 } else { 2 } },
            false => Self { chunks: 0, each: 1 },
        }
    }
}

/// Eight rows to a workgroup, of either variant; in octets that keep them, 16 or 64.
pub fn workgroups(context: &Context, params: &Params, variant: Variant) -> [u32; 3] {
    let each = if variant == Variant::Subgroup { Keeping::of(context, params).each } else { 1 };
    grid((params.rows as usize).div_ceil(octet::OCTETS * each as usize))
}

impl Params {
    fn width(&self) -> usize {
        self.width4 as usize * 4
    }
}

/// Records one dispatch; y is stored in `output`.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(
    recorder: &mut Recorder<'_>,
    variant: Variant,
    output: Precision,
    params: Params,
    bindings: Bindings<'_>,
) -> Result<()> {
    let kernel = match variant {
        Variant::Plain => &KERNEL,
        Variant::Subgroup => &SUBGROUP,
    };
    let elements = params.rows as usize * params.width();
    let (x, rows) = match bindings.rows {
        // All of x: rows may lie anywhere.
        Some(rows) => ((bindings.x.size() / 4) as usize, Operand::buffer(rows, params.rows as usize)),
        // Not read, but bound: something.
        None => (elements, Operand::buffer(bindings.weight, 1)),
    };
    let mut constants = vec![("GATHER", f64::from(u8::from(bindings.rows.is_some())))];
    if variant == Variant::Subgroup {
        let Keeping { chunks, each } = Keeping::of(recorder.context(), &params);
        constants.extend([("CHUNKS", f64::from(chunks)), ("EACH", f64::from(each))]);
    }
    let workgroups = workgroups(recorder.context(), &params, variant);
    recorder.dispatch_typed(
        kernel,
        Types::new(Precision::F32, output),
        &constants,
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.x, x),
            Operand::buffer(bindings.weight, params.width()),
            Operand::buffer(bindings.bias, params.width()),
            Operand::buffer(bindings.y, output.words(elements)),
            rows,
        ],
        workgroups,
    )
}
