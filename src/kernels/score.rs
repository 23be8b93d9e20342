//! Eq. 11: connectivity against dominance.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "score",
    shader: "condense/score.wgsl",
    bindings: &[Binding::read("connectivity"), Binding::read("dominance"), Binding::write("score")],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// N
    pub patches: u32,
    /// b
    pub beta: f32,
    /// Factor that restores the true c; immaterial when it is normalised.
    pub scale: f32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// c [B, N]
    pub connectivity: &'a wgpu::Buffer,
    /// D [B, N]
    pub dominance: &'a wgpu::Buffer,
    /// S [B, N]
    pub score: &'a wgpu::Buffer,
}

/// Which terms count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whether c is divided by its own sum.
    pub normalise: bool,
    /// Whether -c counts.
    pub connectivity: bool,
    /// Whether D counts, times b where c counts too.
    pub dominance: bool,
}

/// One workgroup for each image.
pub fn workgroups(images: u32) -> [u32; 3] {
    [images, 1, 1]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(
    recorder: &mut Recorder<'_>,
    params: Params,
    images: u32,
    terms: Terms,
    bindings: Bindings<'_>,
) -> Result<()> {
    let elements = images as usize * params.patches as usize;
    let flag = |on: bool| f64::from(u8::from(on));
    recorder.dispatch(
        &KERNEL,
        &[
            ("NORMALISE", flag(terms.normalise)),
            ("CONNECTIVITY", flag(terms.connectivity)),
            ("DOMINANCE", flag(terms.dominance)),
        ],
        bytemuck::bytes_of(&params),
        &[bindings.connectivity, bindings.dominance, bindings.score].map(|buffer| Operand::buffer(buffer, elements)),
        workgroups(images),
    )
}
