//! The input of the classifier: the first tokens, the mean of the patch tokens, or both side by side.

use crate::error::Result;
use crate::gpu::{Form, Operand, Recorder, kernel};

kernel! {
    /// A thread computes a vec4 of the result.
    pub static KERNEL = "pool" in "head/pool.wgsl";
    params {
        /// T
        tokens: u32,
        /// E
        prefix: u32,
        /// D / 4
        width4: u32,
        /// Tokens to lay side by side, from the front.
        first: u32,
        /// 1 to add the size-weighted mean of the patch tokens after them. `first` and `mean` must not both be 0.
        mean: u32,
    }
    bindings { x: read, sizes: read, pooled: write }
    overrides {}
    workgroup [64, 1, 1];
}

impl Params {
    /// vec4s of an image's result.
    fn pooled4(&self) -> u32 {
        (self.first + self.mean) * self.width4
    }
}

/// The buffers, named as in the shader.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, T, D]
    pub x: &'a wgpu::Buffer,
    /// [B, T]
    pub sizes: &'a wgpu::Buffer,
    /// [B, (first + mean) * D]
    pub pooled: &'a wgpu::Buffer,
}

/// One thread for each vec4 of the result.
pub fn workgroups(params: &Params, images: u32) -> [u32; 3] {
    [params.pooled4().div_ceil(64), images, 1]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// The errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, images: u32, bindings: Bindings<'_>) -> Result<()> {
    let rows = images as usize * params.tokens as usize;
    let width = params.width4 as usize * 4;
    recorder.dispatch(
        &KERNEL,
        &Form::plain(workgroups(&params, images)),
        &params,
        &[
            ("x", Operand::buffer(bindings.x, rows * width)),
            ("sizes", Operand::buffer(bindings.sizes, rows)),
            ("pooled", Operand::buffer(bindings.pooled, images as usize * params.pooled4() as usize * 4)),
        ],
    )
}
