//! Cuts images into rows of patch pixels.

use crate::error::Result;
use crate::gpu::{Form, Operand, Precision, Recorder, Types, grid, kernel};

kernel! {
    /// A thread copies a vec4 of a patch.
    pub static KERNEL = "patchify" in "embed/patchify.wgsl";
    params {
        /// B
        images: u32,
        /// C
        channels: u32,
        /// Pixels down an image.
        height: u32,
        /// Pixels across an image.
        width: u32,
        /// Pixels along a patch's side; must divide height and width.
        patch_side: u32,
        /// vec4s of a patch row, at least C * patch_side^2 / 4.
        stride4: u32,
    }
    bindings { pixels: read, patches: write }
    overrides {}
    workgroup [64, 1, 1];
}

/// The buffers, named as in the shader.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, C, height, width]
    pub pixels: &'a wgpu::Buffer,
    /// [B, N, stride]
    pub patches: &'a wgpu::Buffer,
}

impl Params {
    fn rows(&self) -> usize {
        let [down, across] = [self.height, self.width].map(|side| (side / self.patch_side) as usize);
        self.images as usize * down * across
    }
}

/// One thread for each vec4.
fn workgroups(params: &Params) -> [u32; 3] {
    grid((params.rows() * params.stride4 as usize).div_ceil(64))
}

/// Records one dispatch; patches are stored in `output`.
///
/// # Errors
/// The errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, output: Precision, params: Params, bindings: Bindings<'_>) -> Result<()> {
    let pixels = (params.images * params.channels) as usize * (params.height * params.width) as usize;
    let patches = output.words(params.rows() * params.stride4 as usize * 4);
    let form = Form::plain(workgroups(&params)).of(Types::new(Precision::F32, output));
    let operands =
        [("pixels", Operand::buffer(bindings.pixels, pixels)), ("patches", Operand::buffer(bindings.patches, patches))];
    recorder.dispatch(&KERNEL, &form, &params, &operands)
}
