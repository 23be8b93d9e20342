//! Dot products or distances of patch tokens, for the paper's other metrics.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "similarity",
    shader: "condense/similarity.wgsl",
    bindings: &[Binding::read("x"), Binding::write("y")],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// E
    pub prefix: u32,
    /// N
    pub patches: u32,
    /// D / 4
    pub width4: u32,
}

/// What two tokens are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Their dot product.
    Dot,
    /// The negated length of their difference.
    Distance,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, E + N, D]
    pub x: &'a wgpu::Buffer,
    /// [B, N, N]
    pub y: &'a wgpu::Buffer,
}

/// One thread for 4 by 4 tokens, for each image.
pub fn workgroups(params: &Params, images: u32) -> [u32; 3] {
    [params.patches.div_ceil(4).pow(2).div_ceil(64), images, 1]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// As [`Recorder::dispatch`].
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
        &[("DISTANCE", f64::from(u8::from(kind == Kind::Distance)))],
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.x, tokens * params.width4 as usize * 4),
            Operand::buffer(bindings.y, images_count * patches * patches),
        ],
        workgroups(&params, images),
    )
}
