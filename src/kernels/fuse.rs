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

/// How threads share the tokens that change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Eight to a token: what suits a CPU, where every thread of a subgroup costs.
    Octets,
    /// A workgroup to a token, which looks its image's matches up once: what suits a GPU, where all of them wait for memory
    /// together.
    Workgroups,
}

impl Sharing {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Octets, Self::Workgroups];

    fn of(context: &Context) -> Self {
        if context.info().device_type == wgpu::DeviceType::Cpu { Self::Octets } else { Self::Workgroups }
    }

    fn lanes(self) -> u32 {
        match self {
            Self::Octets => 8,
            Self::Workgroups => 64,
        }
    }
}

/// Several threads for each dropped token, and one for each that goes on, of each image.
fn workgroups(sharing: Sharing, params: &Params) -> [u32; 3] {
    let remaining = params.prefix + params.patches - params.dropped;
    [(params.dropped * sharing.lanes() + remaining).div_ceil(64), params.images, 1]
}

/// Records one dispatch, threads shared as suits the device.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, fusion: Fusion, bindings: Bindings<'_>) -> Result<()> {
    let sharing = Sharing::of(recorder.context());
    record_shared(recorder, sharing, params, fusion, bindings)
}

/// Records one dispatch, threads shared as `sharing` says.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record_shared(
    recorder: &mut Recorder<'_>,
    sharing: Sharing,
    params: Params,
    fusion: Fusion,
    bindings: Bindings<'_>,
) -> Result<()> {
    let width = params.width4 as usize * 4;
    let dropped = params.images as usize * params.dropped as usize;
    let variant = match fusion {
        Fusion::None => 0.0,
        Fusion::Connectivity => 1.0,
        Fusion::Size => 2.0,
        Fusion::Sum => 3.0,
    };
    recorder.dispatch(
        &KERNEL,
        &[
            ("WEIGHTS", variant),
            ("LANES", f64::from(sharing.lanes())),
            ("SHARES", f64::from(u8::from(sharing == Sharing::Workgroups))),
        ],
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
        workgroups(sharing, &params),
    )
}
