//! Attention probabilities times values.

use crate::error::Result;
use crate::gpu::{Form, Operand, Recorder, Types, kernel};

kernel! {
    /// A thread computes 8 queries by 4 dimensions.
    pub static KERNEL = "attention_mix" in "block/attention_mix.wgsl";
    params {
        /// T
        tokens: u32,
        /// H
        heads: u32,
        /// vec4s of a row of probs.
        stride4: u32,
        /// vec4s from one token of qkv to the next.
        row4: u32,
        /// vec4s from a token's queries to its values.
        value_offset4: u32,
        /// Dh / 4
        head4: u32,
    }
    bindings { probs: read, qkv: read, y: write }
    overrides {}
    workgroup [64, 1, 1];
}

/// One thread for each 8 queries by 4 dimensions, for each head and image.
fn workgroups(params: &Params, images: u32) -> [u32; 3] {
    [(params.tokens.div_ceil(8) * params.head4).div_ceil(64), params.heads, images]
}

/// The buffers, named as in the shader.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, H, T, stride4 * 4], 0 past T
    pub probs: &'a wgpu::Buffer,
    /// [B, T, row4 * 4], in the input type.
    pub qkv: &'a wgpu::Buffer,
    /// [B, T, H * Dh], in the output type.
    pub y: &'a wgpu::Buffer,
}

/// Records one dispatch for `images` images; qkv has the input type, y the output type, probs are f32.
///
/// # Errors
/// The errors of [`Recorder::dispatch`].
pub fn record(
    recorder: &mut Recorder<'_>,
    types: Types,
    params: Params,
    images: u32,
    bindings: Bindings<'_>,
) -> Result<()> {
    let rows = images as usize * params.tokens as usize;
    let form = Form::plain(workgroups(&params, images)).of(types);
    let operands = [
        ("probs", Operand::buffer(bindings.probs, rows * params.heads as usize * params.stride4 as usize * 4)),
        ("qkv", Operand::buffer(bindings.qkv, types.input.words(rows * params.row4 as usize * 4))),
        ("y", Operand::buffer(bindings.y, types.output.words(rows * (params.heads * params.head4) as usize * 4))),
    ];
    recorder.dispatch(&KERNEL, &form, &params, &operands)
}
