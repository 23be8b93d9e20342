//! p X Z + q A + r I on square matrices: the steps of the dense connectivity.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "matrix_product",
    shader: "condense/matrix_product.wgsl",
    bindings: &[Binding::read("x"), Binding::read("z"), Binding::read("addend"), Binding::write("y")],
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
    /// p; 0 skips the product.
    pub product: f32,
    /// q
    pub addend: f32,
    /// r
    pub identity: f32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, N, N]
    pub x: &'a wgpu::Buffer,
    /// [B, N, N]
    pub z: &'a wgpu::Buffer,
    /// [B, N, N]
    pub addend: &'a wgpu::Buffer,
    /// [B, N, N], none of the others
    pub y: &'a wgpu::Buffer,
}

/// One thread for 4 by 4 elements, for each image.
pub fn workgroups(params: &Params, images: u32) -> [u32; 3] {
    [params.patches.div_ceil(4).pow(2).div_ceil(64), images, 1]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, images: u32, bindings: Bindings<'_>) -> Result<()> {
    let elements = images as usize * (params.patches as usize).pow(2);
    recorder.dispatch(
        &KERNEL,
        &[],
        bytemuck::bytes_of(&params),
        &[bindings.x, bindings.z, bindings.addend, bindings.y].map(|buffer| Operand::buffer(buffer, elements)),
        workgroups(&params, images),
    )
}
