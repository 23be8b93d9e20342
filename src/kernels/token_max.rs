//! The largest logit that any patch token gives each class, added to the image's logits.

use crate::error::Result;
use crate::gpu::{Form, Operand, Recorder, grid, kernel};

kernel! {
    /// A thread looks through the tokens for one class.
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
        /// What the maximum is multiplied by.
        share: f32,
    }
    bindings { x: read, y: write }
    overrides {}
    workgroup [64, 1, 1];
}

/// The buffers, by the names that the shader has for them.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, T, classes]
    pub x: &'a wgpu::Buffer,
    /// [B, classes], added to
    pub y: &'a wgpu::Buffer,
}

/// One thread for each logit.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid((params.images as usize * params.classes as usize).div_ceil(64))
}

/// Records one dispatch.
///
/// # Errors
/// As [`Recorder::dispatch`].
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
