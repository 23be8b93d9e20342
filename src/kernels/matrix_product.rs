//! p X Z + q A + r I on square matrices: the steps of the dense connectivity.

use crate::error::Result;
use crate::gpu::{Form, Operand, Recorder, kernel};

kernel! {
    /// A thread computes 4 by 4 elements.
    pub static KERNEL = "matrix_product" in "condense/matrix_product.wgsl";
    params {
        /// N
        patches: u32,
        /// p; 0 skips the product.
        product: f32,
        /// q
        addend: f32,
        /// r
        identity: f32,
    }
    bindings { x: read, z: read, addend: read, y: write }
    overrides {}
    workgroup [64, 1, 1];
}

/// The buffers, named as in the shader.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, N, N]
    pub x: &'a wgpu::Buffer,
    /// [B, N, N]
    pub z: &'a wgpu::Buffer,
    /// [B, N, N]
    pub addend: &'a wgpu::Buffer,
    /// [B, N, N]; must be a different buffer from the others
    pub y: &'a wgpu::Buffer,
}

/// One thread for 4 by 4 elements, for each image.
pub fn workgroups(params: &Params, images: u32) -> [u32; 3] {
    [params.patches.div_ceil(4).pow(2).div_ceil(64), images, 1]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// The errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, images: u32, bindings: Bindings<'_>) -> Result<()> {
    let elements = images as usize * (params.patches as usize).pow(2);
    let matrix = |buffer| Operand::buffer(buffer, elements);
    let Bindings { x, z, addend, y } = bindings;
    let operands = [("x", matrix(x)), ("z", matrix(z)), ("addend", matrix(addend)), ("y", matrix(y))];
    recorder.dispatch(&KERNEL, &Form::plain(workgroups(&params, images)), &params, &operands)
}
