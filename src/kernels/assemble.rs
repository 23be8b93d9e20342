//! The network's first tokens: prefix tokens, then patches plus their position.

use crate::error::Result;
use crate::gpu::{Form, Operand, Recorder, grid, kernel};

kernel! {
    /// A thread writes a vec4 of a token.
    pub static KERNEL = "assemble" in "embed/assemble.wgsl";
    params {
        /// B
        images: u32,
        /// E
        prefix: u32,
        /// N
        patches: u32,
        /// D / 4
        width4: u32,
    }
    bindings { projected: read, prefix: read, position: read, tokens: write, sizes: write }
    overrides {}
    workgroup [64, 1, 1];
}

/// The buffers, named as in the shader.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, N, D]
    pub projected: &'a wgpu::Buffer,
    /// [E, D], with their position added
    pub prefix: &'a wgpu::Buffer,
    /// [N, D]
    pub position: &'a wgpu::Buffer,
    /// [B, E + N, D]
    pub tokens: &'a wgpu::Buffer,
    /// [B, E + N], set to 1
    pub sizes: &'a wgpu::Buffer,
}

impl Params {
    fn rows(&self) -> usize {
        self.images as usize * (self.prefix + self.patches) as usize
    }

    fn width(&self) -> usize {
        self.width4 as usize * 4
    }
}

/// One thread for each vec4 of the result.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid((params.rows() * params.width4 as usize).div_ceil(64))
}

/// Records one dispatch.
///
/// # Errors
/// The errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, bindings: Bindings<'_>) -> Result<()> {
    let projected = (params.images * params.patches) as usize * params.width();
    recorder.dispatch(
        &KERNEL,
        &Form::plain(workgroups(&params)),
        &params,
        &[
            ("projected", Operand::buffer(bindings.projected, projected)),
            // A model without prefix tokens binds an element that no thread reads: nothing of no length can be bound.
            ("prefix", Operand::buffer(bindings.prefix, (params.prefix as usize * params.width()).max(1))),
            ("position", Operand::buffer(bindings.position, params.patches as usize * params.width())),
            ("tokens", Operand::buffer(bindings.tokens, params.rows() * params.width())),
            ("sizes", Operand::buffer(bindings.sizes, params.rows())),
        ],
    )
}
