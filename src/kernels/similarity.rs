//! Dot products or distances of patch tokens, for the other connectivity metrics of the paper.

use crate::error::Result;
use crate::gpu::{Form, Operand, Recorder, kernel};

kernel! {
    /// A thread compares four tokens with four tokens.
    pub static KERNEL = "similarity" in "condense/similarity.wgsl";
    params {
        /// E
        prefix: u32,
        /// N
        patches: u32,
        /// D / 4
        width4: u32,
    }
    bindings { x: read, y: write }
    overrides { DISTANCE: [0, 1] }
    workgroup [64, 1, 1];
}

/// How two tokens are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Their dot product.
    Dot,
    /// The negated length of their difference.
    Distance,
}

/// The buffers, named as in the shader.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, E + N, D]
    pub x: &'a wgpu::Buffer,
    /// [B, N, N]
    pub y: &'a wgpu::Buffer,
}

/// One thread for each 4 by 4 tokens, for each image.
pub fn workgroups(params: &Params, images: u32) -> [u32; 3] {
    [params.patches.div_ceil(4).pow(2).div_ceil(64), images, 1]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// The errors of [`Recorder::dispatch`].
pub fn record(
    recorder: &mut Recorder<'_>,
    params: Params,
    images: u32,
    kind: Kind,
    bindings: Bindings<'_>,
) -> Result<()> {
    let (images_count, patches) = (images as usize, params.patches as usize);
    let tokens = images_count * (params.prefix as usize + patches);
    recorder.dispatch(
        &KERNEL,
        &Form::plain(workgroups(&params, images)).with([("DISTANCE", u32::from(kind == Kind::Distance))]),
        &params,
        &[
            ("x", Operand::buffer(bindings.x, tokens * params.width4 as usize * 4)),
            ("y", Operand::buffer(bindings.y, images_count * patches * patches)),
        ],
    )
}
