//! The `attention` metric: W from the attention probabilities, with its column sums and dominance.

use crate::error::Result;
use crate::gpu::{Form, Operand, Recorder, kernel};

kernel! {
    /// A thread computes four columns of one strip of rows.
    pub static KERNEL = "attention_connectivity" in "condense/attention_connectivity.wgsl";
    params {
        /// T
        tokens: u32,
        /// E
        prefix: u32,
        /// H
        heads: u32,
        /// vec4s of a row of probs.
        stride4: u32,
    }
    bindings { probs: read, w: write, column_sums: write, dominance: write }
    overrides {}
    workgroup [64, 1, 1];
}

/// Rows of W that are added up into one row of the column sums.
pub const STRIP: usize = 8;

/// Rows of an image's column sums.
pub const fn strips(patches: usize) -> usize {
    patches.div_ceil(STRIP)
}

/// The buffers, named as in the shader.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, H, T, stride4 * 4]
    pub probs: &'a wgpu::Buffer,
    /// [B, N, N]
    pub w: &'a wgpu::Buffer,
    /// [B, strips, N]: sums of W's columns over [`STRIP`] rows each
    pub column_sums: &'a wgpu::Buffer,
    /// D [B, N]
    pub dominance: &'a wgpu::Buffer,
}

impl Params {
    fn patches(&self) -> usize {
        (self.tokens - self.prefix) as usize
    }
}

/// One thread for each four columns of a strip, for each image.
pub fn workgroups(params: &Params, images: u32) -> [u32; 3] {
    [(strips(params.patches()) as u32 * params.stride4).div_ceil(64), images, 1]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// The errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, images: u32, bindings: Bindings<'_>) -> Result<()> {
    let (count, patches) = (images as usize, params.patches());
    let (heads, stride) = (params.heads as usize, params.stride4 as usize * 4);
    recorder.dispatch(
        &KERNEL,
        &Form::plain(workgroups(&params, images)),
        &params,
        &[
            ("probs", Operand::buffer(bindings.probs, count * heads * params.tokens as usize * stride)),
            ("w", Operand::buffer(bindings.w, count * patches * patches)),
            ("column_sums", Operand::buffer(bindings.column_sums, count * strips(patches) * patches)),
            ("dominance", Operand::buffer(bindings.dominance, count * patches)),
        ],
    )
}
