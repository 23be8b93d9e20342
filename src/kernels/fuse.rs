//! Kept tokens become weighted means of themselves and what was assigned to them, where they lie.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Context, Kernel, Operand, Recorder};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "fuse",
    shader: "condense/fuse.wgsl",
    bindings: &[
        Binding::write("tokens"),
        Binding::read("sizes"),
        Binding::read("order"),
        Binding::read("assigned"),
        Binding::read("connection"),
        Binding::read("diagonal"),
        Binding::write("fused_sizes"),
        Binding::write("rows"),
    ],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// How members of a group count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fusion {
    /// Dropped tokens vanish.
    None,
    /// A mean by C[p, p] and C[q, p].
    Connectivity,
    /// A mean by how many patches each stands for.
    Size,
    /// A sum by C[p, p] and C[q, p], not divided by their total.
    Sum,
}

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// B
    pub images: u32,
    /// E
    pub prefix: u32,
    /// N
    pub patches: u32,
    /// R
    pub dropped: u32,
    /// D / 4
    pub width4: u32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, E + N, D]; what tokens that go on have become, in place
    pub tokens: &'a wgpu::Buffer,
    /// [B, E + N]
    pub sizes: &'a wgpu::Buffer,
    /// [B, N], from `top_k`
    pub order: &'a wgpu::Buffer,
    /// [B, R], from `assign`
    pub assigned: &'a wgpu::Buffer,
    /// C[q, p] [B, R]
    pub connection: &'a wgpu::Buffer,
    /// C[p, p] [B, R]
    pub diagonal: &'a wgpu::Buffer,
    /// [B, E + N - R]
    pub fused_sizes: &'a wgpu::Buffer,
    /// [B, E + N - R]: the row of `tokens`, counted through all images, at which each token that goes on lies
    pub rows: &'a wgpu::Buffer,
}

impl Params {
    fn incoming(&self) -> usize {
        self.images as usize * (self.prefix + self.patches) as usize
    }

    fn outgoing(&self) -> usize {
        self.images as usize * (self.prefix + self.patches - self.dropped) as usize
    }
}

/// Threads that share a token, on a GPU one for each of its vec4s, up to 256; and how many members they load at once.
fn lanes(context: &Context, params: &Params) -> [u32; 2] {
    match context.is_emulated() {
        true => [8, 1],
        false => [params.width4.div_ceil(64).clamp(1, 4) * 64, 4],
    }
}

/// Several threads for each dropped token, and one for each that goes on, of each image.
pub fn workgroups(context: &Context, params: &Params) -> [u32; 3] {
    let remaining = params.prefix + params.patches - params.dropped;
    [(params.dropped * lanes(context, params)[0] + remaining).div_ceil(64), params.images, 1]
}

/// Records one dispatch.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, fusion: Fusion, bindings: Bindings<'_>) -> Result<()> {
    let width = params.width4 as usize * 4;
    let dropped = params.images as usize * params.dropped as usize;
    let variant = match fusion {
        Fusion::None => 0.0,
        Fusion::Connectivity => 1.0,
        Fusion::Size => 2.0,
        Fusion::Sum => 3.0,
    };
    let ([lanes, ahead], workgroups) = (lanes(recorder.context(), &params), workgroups(recorder.context(), &params));
    recorder.dispatch(
        &KERNEL,
        &[("WEIGHTS", variant), ("LANES", f64::from(lanes)), ("AHEAD", f64::from(ahead))],
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.tokens, params.incoming() * width),
            Operand::buffer(bindings.sizes, params.incoming()),
            Operand::buffer(bindings.order, (params.images * params.patches) as usize),
            Operand::buffer(bindings.assigned, dropped),
            Operand::buffer(bindings.connection, dropped),
            Operand::buffer(bindings.diagonal, dropped),
            Operand::buffer(bindings.fused_sizes, params.outgoing()),
            Operand::buffer(bindings.rows, params.outgoing()),
        ],
        workgroups,
    )
}
