//! Adds the largest logit that any patch token gives each class to the image's logits.

use crate::error::Result;
use crate::gpu::{Form, Operand, Recorder, grid, kernel};

kernel! {
    /// A thread compares the tokens' logits of one class.
    pub static KERNEL = "token_max" in "head/token_max.wgsl";
    params {
        /// B
        images: u32,
        /// T, more than `prefix`.
        tokens: u32,
        /// E
        prefix: u32,
        /// Classes.
        classes: u32,
        /// The factor of the largest logit.
        share: f32,
    }
    bindings { x: read, y: write }
    overrides {}
    workgroup [64, 1, 1];
}

/// The buffers, named as in the shader.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, T, classes]
    pub x: &'a wgpu::Buffer,
    /// [B, classes]; the result is added to it
    pub y: &'a wgpu::Buffer,
}

/// One thread for each logit.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid((params.images as usize * params.classes as usize).div_ceil(64))
}

/// Records one dispatch.
///
/// # Errors
/// The errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, bindings: Bindings<'_>) -> Result<()> {
    let logits = params.images as usize * params.classes as usize;
    recorder.dispatch(
        &KERNEL,
        &Form::plain(workgroups(&params)),
        &params,
        &[
            ("x", Operand::buffer(bindings.x, logits * params.tokens as usize)),
            ("y", Operand::buffer(bindings.y, logits)),
        ],
    )
}
