//! The scores of ToMe: how far each token of one set is from the nearest token of the other set.

use crate::error::Result;
use crate::gpu::{Form, Operand, Recorder, grid, kernel};

kernel! {
    /// A thread scores a patch token.
    pub static KERNEL = "bipartite" in "condense/bipartite.wgsl";
    params {
        /// B
        images: u32,
        /// N
        patches: u32,
        /// 0 or 1: the parity of the indices of the patch tokens that may be dropped.
        first: u32,
    }
    bindings { cosine: read, score: write }
    overrides {}
    workgroup [64, 1, 1];
}

/// The score of tokens that may not be dropped: more than any negated cosine.
pub const STAYS: f32 = 2.0;

/// The buffers, named as in the shader.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// Cosines of unit keys [B, N, N]
    pub cosine: &'a wgpu::Buffer,
    /// S [B, N]
    pub score: &'a wgpu::Buffer,
}

impl Params {
    fn rows(&self) -> usize {
        self.images as usize * self.patches as usize
    }
}

/// One thread for each patch token.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid(params.rows().div_ceil(64))
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
            ("cosine", Operand::buffer(bindings.cosine, params.rows() * params.patches as usize)),
            ("score", Operand::buffer(bindings.score, params.rows())),
        ],
    )
}
