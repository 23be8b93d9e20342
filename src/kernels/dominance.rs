//! How much the class token attends to each patch token.

use crate::error::Result;
use crate::gpu::{Form, Operand, Recorder, kernel};

kernel! {
    /// A thread averages over the heads for a patch token.
    pub static KERNEL = "dominance" in "condense/dominance.wgsl";
    params {
        /// T
        tokens: u32,
        /// E
        prefix: u32,
        /// H
        heads: u32,
        /// Elements of a row of probs.
        stride: u32,
    }
    bindings { probs: read, dominance: write }
    overrides {}
    workgroup [64, 1, 1];
}

/// The buffers, named as in the shader.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, H, T, stride]
    pub probs: &'a wgpu::Buffer,
    /// [B, N]
    pub dominance: &'a wgpu::Buffer,
}

/// One thread for each patch token.
pub fn workgroups(params: &Params, images: u32) -> [u32; 3] {
    [(params.tokens - params.prefix).div_ceil(64), images, 1]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// The errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, images: u32, bindings: Bindings<'_>) -> Result<()> {
    let probs = (images * params.heads) as usize * params.tokens as usize * params.stride as usize;
    let patches = (params.tokens - params.prefix) as usize;
    recorder.dispatch(
        &KERNEL,
        &Form::plain(workgroups(&params, images)),
        &params,
        &[
            ("probs", Operand::buffer(bindings.probs, probs)),
            ("dominance", Operand::buffer(bindings.dominance, images as usize * patches)),
        ],
    )
}
