//! Images to rows of patch pixels.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Precision, Recorder, Types, grid};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "patchify",
    shader: "embed/patchify.wgsl",
    bindings: &[Binding::read("pixels"), Binding::write("patches")],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// B
    pub images: u32,
    /// C
    pub channels: u32,
    /// Pixels along an image's side.
    pub side: u32,
    /// Pixels along a patch's side; divides `side`.
    pub patch: u32,
    /// vec4s of a patch row, at least C * patch * patch / 4.
    pub stride4: u32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, C, side, side]
    pub pixels: &'a wgpu::Buffer,
    /// [B, N, stride]
    pub patches: &'a wgpu::Buffer,
}

impl Params {
    fn rows(&self) -> usize {
        self.images as usize * (self.side / self.patch).pow(2) as usize
    }
}

/// One thread for each vec4.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid((params.rows() * params.stride4 as usize).div_ceil(64))
}

/// Records one dispatch; patches are stored in `output`.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, output: Precision, params: Params, bindings: Bindings<'_>) -> Result<()> {
    recorder.dispatch_typed(
        &KERNEL,
        Types::new(Precision::F32, output),
        &[],
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.pixels, (params.images * params.channels) as usize * params.side.pow(2) as usize),
            Operand::buffer(bindings.patches, output.words(params.rows() * params.stride4 as usize * 4)),
        ],
        workgroups(&params),
    )
}
