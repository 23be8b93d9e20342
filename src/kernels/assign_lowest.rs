//! Assigns every dropped token to the kept token with the lowest score, which makes it the fused token of EViT.

use crate::error::Result;
use crate::gpu::{Form, Operand, Recorder, kernel};

kernel! {
    /// A workgroup assigns the dropped tokens of an image.
    pub static KERNEL = "assign_lowest" in "condense/assign_lowest.wgsl";
    params {
        /// N
        patches: u32,
        /// R
        dropped: u32,
    }
    bindings { score: read, order: read, assigned: write, connection: write, diagonal: write }
    overrides {}
    workgroup [64, 1, 1];
}

/// The buffers, named as in the shader.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// S [B, N]
    pub score: &'a wgpu::Buffer,
    /// [B, N], from `top_k`
    pub order: &'a wgpu::Buffer,
    /// [B, R]: index of the assigned kept token among the patch tokens
    pub assigned: &'a wgpu::Buffer,
    /// [B, R]: the dropped token's score
    pub connection: &'a wgpu::Buffer,
    /// [B, R]: the assigned token's score
    pub diagonal: &'a wgpu::Buffer,
}

/// One workgroup for each image.
pub fn workgroups(images: u32) -> [u32; 3] {
    [images, 1, 1]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// The errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, images: u32, bindings: Bindings<'_>) -> Result<()> {
    let (all, dropped) = ((images * params.patches) as usize, (images * params.dropped) as usize);
    recorder.dispatch(
        &KERNEL,
        &Form::plain(workgroups(images)),
        &params,
        &[
            ("score", Operand::buffer(bindings.score, all)),
            ("order", Operand::buffer(bindings.order, all)),
            ("assigned", Operand::buffer(bindings.assigned, dropped)),
            ("connection", Operand::buffer(bindings.connection, dropped)),
            ("diagonal", Operand::buffer(bindings.diagonal, dropped)),
        ],
    )
}
