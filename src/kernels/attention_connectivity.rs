//! The `attention` metric: W from the attention probabilities, with what else they say of the patch tokens.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "attention_connectivity",
    shader: "condense/attention_connectivity.wgsl",
    bindings: &[
        Binding::read("probs"),
        Binding::write("w"),
        Binding::write("column_sums"),
        Binding::write("dominance"),
    ],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// Rows of W whose columns are summed into one row of the column sums.
pub const STRIP: usize = 8;

/// Rows of an image's column sums.
pub const fn strips(patches: usize) -> usize {
    patches.div_ceil(STRIP)
}

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// T
    pub tokens: u32,
    /// E
    pub prefix: u32,
    /// H
    pub heads: u32,
    /// vec4s of a row of probs.
    pub stride4: u32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, H, T, stride4 * 4]
    pub probs: &'a wgpu::Buffer,
    /// [B, N, N]
    pub w: &'a wgpu::Buffer,
    /// Sums of columns over [`STRIP`] rows of W each [B, strips, N]
    pub column_sums: &'a wgpu::Buffer,
    /// D [B, N]
    pub dominance: &'a wgpu::Buffer,
}

impl Params {
    fn patches(&self) -> usize {
        (self.tokens - self.prefix) as usize
    }
}

/// One thread for each strip of four columns, for each image.
pub fn workgroups(params: &Params, images: u32) -> [u32; 3] {
    [(strips(params.patches()) as u32 * params.stride4).div_ceil(64), images, 1]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, images: u32, bindings: Bindings<'_>) -> Result<()> {
    let (count, patches) = (images as usize, params.patches());
    recorder.dispatch(
        &KERNEL,
        &[],
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(
                bindings.probs,
                count * params.heads as usize * params.tokens as usize * params.stride4 as usize * 4,
            ),
            Operand::buffer(bindings.w, count * patches * patches),
            Operand::buffer(bindings.column_sums, count * strips(patches) * patches),
            Operand::buffer(bindings.dominance, count * patches),
        ],
        workgroups(&params, images),
    )
}
