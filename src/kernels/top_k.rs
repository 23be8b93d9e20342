//! Which tokens stay: a stable selection of the highest scores.

use bytemuck::{Pod, Zeroable};

use crate::error::{Error, Result};
use crate::gpu::{Binding, Kernel, Operand, Recorder, Variant, octet};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "top_k",
    shader: "condense/top_k.wgsl",
    bindings: &[Binding::read("score"), Binding::write("order"), Binding::write("slot")],
    params_size: size_of::<Params>(),
    workgroup_size: [256, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The same in octets.
pub const SUBGROUP: Kernel = Kernel {
    name: "top_k_subgroup",
    shader: "condense/top_k_subgroup.wgsl",
    features: wgpu::Features::SUBGROUP,
    variant_of: Some("top_k"),
    workgroup_size: octet::WORKGROUP,
    ..KERNEL
};

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// N, at most [`MOST_PATCHES`].
    pub patches: u32,
    /// N - R
    pub kept: u32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, N]
    pub score: &'a wgpu::Buffer,
    /// [B, N]: kept tokens, then dropped ones, each as listed
    pub order: &'a wgpu::Buffer,
    /// [B, N]: place among the kept, or [`DROPPED`]
    pub slot: &'a wgpu::Buffer,
}

/// The order in which kept tokens, and dropped ones, are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// By index.
    Ascending,
    /// Those whose index has this parity, 0 or 1, before the others.
    ParityFirst(u32),
}

/// The most patch tokens that one workgroup's memory can sort.
pub const MOST_PATCHES: usize = 2048;

/// The slot of a token that goes.
pub const DROPPED: u32 = u32::MAX;

impl Params {
    /// Sizes for keeping `kept` of `patches`.
    pub fn new(patches: usize, kept: usize) -> Self {
        Self { patches: patches as u32, kept: kept as u32 }
    }
}

/// One workgroup for each image.
pub fn workgroups(images: u32) -> [u32; 3] {
    [images, 1, 1]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// [`Error::Limit`] past [`MOST_PATCHES`], else as [`Recorder::dispatch`].
pub fn record(
    recorder: &mut Recorder<'_>,
    variant: Variant,
    params: Params,
    images: u32,
    listing: Listing,
    bindings: Bindings<'_>,
) -> Result<()> {
    if params.patches as usize > MOST_PATCHES {
        return Err(Error::limit("top_k", format!("at most {MOST_PATCHES} patch tokens"), params.patches.to_string()));
    }
    let elements = images as usize * params.patches as usize;
    let first = match listing {
        Listing::Ascending => 2,
        Listing::ParityFirst(parity) => parity % 2,
    };
    let (kernel, mut constants) = match variant {
        Variant::Plain => (&KERNEL, Vec::new()),
        Variant::Subgroup => (&SUBGROUP, octet::threads_of_an_image(recorder.context()).to_vec()),
    };
    constants.push(("FIRST", f64::from(first)));
    recorder.dispatch(
        kernel,
        &constants,
        bytemuck::bytes_of(&params),
        &[bindings.score, bindings.order, bindings.slot].map(|buffer| Operand::buffer(buffer, elements)),
        workgroups(images),
    )
}
