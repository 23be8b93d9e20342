//! The `attention` metric: W from the attention probabilities.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder, grid};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "attention_connectivity",
    shader: "condense/attention_connectivity.wgsl",
    bindings: &[Binding::read("probs"), Binding::write("w")],
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
    /// T
    pub tokens: u32,
    /// E
    pub prefix: u32,
    /// H
    pub heads: u32,
    /// Elements of a row of probs.
    pub stride: u32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, H, T, stride]
    pub probs: &'a wgpu::Buffer,
    /// [B, N, N]
    pub w: &'a wgpu::Buffer,
}

impl Params {
    fn elements(&self) -> usize {
        self.images as usize * ((self.tokens - self.prefix) as usize).pow(2)
    }
}

/// One thread for each element of W.
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
            Operand::buffer(
                bindings.probs,
                (params.images * params.heads) as usize * params.tokens as usize * params.stride as usize,
            ),
            Operand::buffer(bindings.w, params.elements()),
        ],
        workgroups(&params),
    )
}
