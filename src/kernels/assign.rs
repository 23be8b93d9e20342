//! Matches each dropped token with the kept token it is best connected to.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "assign",
    shader: "condense/assign.wgsl",
    bindings: &[Binding::read("rows"), Binding::read("slot"), Binding::write("assigned"), Binding::write("connection")],
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
    /// R
    pub dropped: u32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// C[q, :] for the dropped [B, R, N]
    pub rows: &'a wgpu::Buffer,
    /// [B, N], from `top_k`
    pub slot: &'a wgpu::Buffer,
    /// [B, R]: index of the match among incoming tokens
    pub assigned: &'a wgpu::Buffer,
    /// [B, R]: C[q, p]
    pub connection: &'a wgpu::Buffer,
}

/// Which kept tokens can be matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidates {
    /// All of them.
    Any,
    /// Those whose index has this parity, 0 or 1; at least one is kept.
    Parity(u32),
}

/// One workgroup for each dropped token.
pub fn workgroups(params: &Params, images: u32) -> [u32; 3] {
    [params.dropped, images, 1]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(
    recorder: &mut Recorder<'_>,
    params: Params,
    images: u32,
    candidates: Candidates,
    bindings: Bindings<'_>,
) -> Result<()> {
    let parity = match candidates {
        Candidates::Any => 2,
        Candidates::Parity(parity) => parity % 2,
    };
    let (patches, dropped) = (params.patches as usize, images as usize * params.dropped as usize);
    recorder.dispatch(
        &KERNEL,
        &[("PARITY", f64::from(parity))],
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.rows, dropped * patches),
            Operand::buffer(bindings.slot, images as usize * patches),
            Operand::buffer(bindings.assigned, dropped),
            Operand::buffer(bindings.connection, dropped),
        ],
        workgroups(&params, images),
    )
}
