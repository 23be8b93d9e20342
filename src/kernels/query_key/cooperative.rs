//! Cosines of unit keys by cooperative matrices: f16 times f16, summed in f32.

use bytemuck::{Pod, Zeroable};

use crate::error::{Error, Result};
use crate::gpu::{Binding, COOPERATIVE, Context, Kernel, Operand, Precision, Recorder, Tile, Types, grid};
use crate::kernels::linear::cooperative::tile;

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "query_key_cooperative",
    shader: "block/query_key_cooperative.wgsl",
    bindings: &[Binding::read("x"), Binding::write("y")],
    params_size: size_of::<Params>(),
    // By an override: four of the adapter's subgroups.
    workgroup_size: [128, 1, 1],
    features: COOPERATIVE,
    variant_of: Some("query_key"),
};

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// N
    pub tokens: u32,
    /// Dimensions of a key / 8.
    pub inner8: u32,
    /// B
    pub images: u32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, N, inner8 * 8] of f16, unit rows.
    pub x: &'a wgpu::Buffer,
    /// [B, N, N]
    pub y: &'a wgpu::Buffer,
}

/// Whether `context` can run it for keys of `inner` dimensions: whole slabs, each two matrices deep, and room for them.
pub fn takes(context: &Context, inner: usize) -> bool {
    let Some(tile) = context.cooperative_tile() else { return false };
    let (side, limits) = (tile.side() as usize, context.limits());
    let memory = 2 * 2 * 4 * side * (2 * side + 8) + 4 * (Tile::SUBGROUPS as usize + 1) * side * side;
    let threads = threads(context);
    context.supports(&KERNEL)
        && inner > 0
        && inner.is_multiple_of(2 * side)
        && memory <= limits.max_compute_workgroup_storage_size as usize
        && threads <= limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x)
}

fn threads(context: &Context) -> u32 {
    context.info().subgroup_max_size * Tile::SUBGROUPS
}

/// Records one dispatch: a workgroup for each square of four matrices by four on or above the diagonal.
///
/// # Errors
/// [`Error::Device`] without cooperative matrices, [`Error::Limit`] for keys that are not [taken](takes), else as
/// [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, bindings: Bindings<'_>) -> Result<()> {
    let [images, tokens, inner] = [params.images, params.tokens, params.inner8 * 8].map(|n| n as usize);
    let context = recorder.context();
    let tile = tile(context)?;
    if !takes(context, inner) {
        let got = format!("{inner} dimensions on {}", context.describe());
        return Err(Error::limit(KERNEL.name, "keys of an even number of matrices, and room for them", got));
    }
    let constants = [("THREADS", f64::from(threads(context)))];
    let across = tokens.div_ceil(4 * tile.side() as usize);
    recorder.dispatch_typed(
        &KERNEL,
        Types::new(Precision::F16, Precision::F32).tiled(tile),
        &constants,
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.x, Precision::F16.words(images * tokens * inner)),
            Operand::buffer(bindings.y, images * tokens * tokens),
        ],
        grid(across * (across + 1) / 2 * images),
    )
}
