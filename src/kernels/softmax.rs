//! Softmax along rows, in place.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder, Variant, grid};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "softmax",
    shader: "block/softmax.wgsl",
    bindings: &[Binding::write("x")],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The same in octets.
pub const SUBGROUP: Kernel = Kernel {
    name: "softmax_subgroup",
    shader: "block/softmax_subgroup.wgsl",
    features: wgpu::Features::SUBGROUP,
    variant_of: Some("softmax"),
    ..KERNEL
};

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// Rows.
    pub rows: u32,
    /// Elements that take part.
    pub columns: u32,
    /// Elements from one row to the next; those past `columns` become 0.
    pub stride: u32,
    /// Factor before the exponential.
    pub scale: f32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [rows, stride]
    pub x: &'a wgpu::Buffer,
}

/// Eight rows to a workgroup, of either variant.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid((params.rows as usize).div_ceil(8))
}

/// Records one dispatch.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, variant: Variant, params: Params, bindings: Bindings<'_>) -> Result<()> {
    let kernel = match variant {
        Variant::Plain => &KERNEL,
        Variant::Subgroup => &SUBGROUP,
    };
    recorder.dispatch(
        kernel,
        &[],
        bytemuck::bytes_of(&params),
        &[Operand::buffer(bindings.x, params.rows as usize * params.stride as usize)],
        workgroups(&params),
    )
}
