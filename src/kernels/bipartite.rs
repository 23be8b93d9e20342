//! ToMe's scores: how far each token of one set is from the nearest of the other.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder, grid};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "bipartite",
    shader: "condense/bipartite.wgsl",
    bindings: &[Binding::read("cosine"), Binding::write("score")],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// What tokens of the set that stays score: more than any negated cosine.
pub const STAYS: f32 = 2.0;

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// B
    pub images: u32,
    /// N
    pub patches: u32,
    /// Parity of the patch indices of the set that may go.
    pub first: u32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// Cosines of unit keys [B, N, N]
    pub cosine: &'a wgpu::Buffer,
    /// S [B, N]
    pub score: &'a wgpu::Buffer,
}

impl Params {
    fn rows(&self) -> usize {
        self.images as usize * self.patches as usize
    }
}

/// One thread for each patch token.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid(params.rows().div_ceil(64))
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
            Operand::buffer(bindings.cosine, params.rows() * params.patches as usize),
            Operand::buffer(bindings.score, params.rows()),
        ],
        workgroups(&params),
    )
}
