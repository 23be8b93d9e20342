//! A = I - a W and X0 = diag(A)^-1.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder, grid};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "newton_start",
    shader: "condense/newton_start.wgsl",
    bindings: &[Binding::read("w"), Binding::write("a"), Binding::write("start")],
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
    /// N
    pub patches: u32,
    /// a
    pub alpha: f32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, N, N]
    pub w: &'a wgpu::Buffer,
    /// [B, N, N]
    pub a: &'a wgpu::Buffer,
    /// [B, N, N]
    pub start: &'a wgpu::Buffer,
}

impl Params {
    fn elements(&self) -> usize {
        self.images as usize * (self.patches as usize).pow(2)
    }
}

/// One thread for each element.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid(params.elements().div_ceil(64))
}

/// Records one dispatch.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, bindings: Bindings<'_>) -> Result<()> {
    recorder.dispatch(
        &KERNEL,
        &[],
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.w, params.elements()),
            Operand::buffer(bindings.a, params.elements()),
            Operand::buffer(bindings.start, params.elements()),
        ],
        workgroups(&params),
    )
}
