//! Layer norm over rows.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Precision, Recorder, Types, Variant, grid};

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

/// Eight rows to a workgroup, of either variant.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid((params.rows as usize).div_ceil(8))
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
    recorder.dispatch_typed(
        kernel,
        Types::new(Precision::F32, output),
        &[("GATHER", f64::from(u8::from(bindings.rows.is_some())))],
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.x, x),
            Operand::buffer(bindings.weight, params.width()),
            Operand::buffer(bindings.bias, params.width()),
            Operand::buffer(bindings.y, output.words(elements)),
            rows,
        ],
        workgroups(&params),
    )
}
