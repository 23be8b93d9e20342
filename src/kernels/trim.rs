//! Copies rows without their padding.

use crate::error::Result;
use crate::gpu::{Form, Operand, Recorder, grid, kernel};

kernel! {
    /// A thread copies an element.
    pub static KERNEL = "trim" in "head/trim.wgsl";
    params {
        /// Rows.
        rows: u32,
        /// Columns to copy from each row.
        columns: u32,
        /// Elements of a padded row, at least `columns`.
        stride: u32,
    }
    bindings { padded: read, rows: write }
    overrides {}
    workgroup [64, 1, 1];
}

/// The buffers, named as in the shader.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [rows, stride]
    pub padded: &'a wgpu::Buffer,
    /// [rows, columns]
    pub rows: &'a wgpu::Buffer,
}

/// One thread for each element of the result.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid((params.rows as usize * params.columns as usize).div_ceil(64))
}

/// Records one dispatch.
///
/// # Errors
/// The errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, bindings: Bindings<'_>) -> Result<()> {
    recorder.dispatch(
        &KERNEL,
        &Form::plain(workgroups(&params)),
        &params,
        &[
            ("padded", Operand::buffer(bindings.padded, params.rows as usize * params.stride as usize)),
            ("rows", Operand::buffer(bindings.rows, params.rows as usize * params.columns as usize)),
        ],
    )
}
