//! Rows without their padding.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder, grid};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "trim",
    shader: "head/trim.wgsl",
    bindings: &[Binding::read("padded"), Binding::write("rows")],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// Rows.
    pub rows: u32,
    /// Columns that stay.
    pub columns: u32,
    /// Elements of a padded row, at least `columns`.
    pub stride: u32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [rows, stride]
    pub padded: &'a wgpu::Buffer,
    /// [rows, columns]
    pub rows: &'a wgpu::Buffer,
}

/// One thread for each element that stays.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid((params.rows as usize * params.columns as usize).div_ceil(64))
}

/// Records one dispatch.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, bindings: Bindings<'_>) -> Result<()> {
    recorder.dispatch(
        &KERNEL,
        &[],
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.padded, params.rows as usize * params.stride as usize),
            Operand::buffer(bindings.rows, params.rows as usize * params.columns as usize),
        ],
        workgroups(&params),
    )
}
