//! The start of Newton's iteration: A = I - a W and X0 = diag(A)^-1.

use crate::error::Result;
use crate::gpu::{Form, Operand, Recorder, grid, kernel};

kernel! {
    /// A thread computes one element of both matrices.
    pub static KERNEL = "newton_start" in "condense/newton_start.wgsl";
    params {
        /// B
        images: u32,
        /// N
        patches: u32,
        /// a
        alpha: f32,
    }
    bindings { w: read, a: write, start: write }
    overrides {}
    workgroup [64, 1, 1];
}

/// The buffers, named as in the shader.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, N, N]
    pub w: &'a wgpu::Buffer,
    /// [B, N, N]
    pub a: &'a wgpu::Buffer,
    /// [B, N, N]
    pub start: &'a wgpu::Buffer,
}

impl Params {
    fn elements(&self) -> usize {
        self.images as usize * (self.patches as usize).pow(2)
    }
}

/// One thread for each element.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid(params.elements().div_ceil(64))
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
            ("w", Operand::buffer(bindings.w, params.elements())),
            ("a", Operand::buffer(bindings.a, params.elements())),
            ("start", Operand::buffer(bindings.start, params.elements())),
        ],
    )
}
