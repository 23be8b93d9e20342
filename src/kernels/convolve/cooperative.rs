//! [`Variant::Cooperative`](super::Variant::Cooperative): numbers rounded to f16, summed in f32.

use super::Params;
use crate::error::{Error, Result};
use crate::gpu::{COOPERATIVE, Context, Kernel, Tile, grid};
use crate::kernels::linear::cooperative::tile;

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "convolve_cooperative",
    shader: "embed/convolve_cooperative.wgsl",
    // By an override: as many of the adapter's subgroups as fit.
    workgroup_size: [128, 1, 1],
    features: COOPERATIVE,
    variant_of: Some("convolve"),
    ..super::KERNEL
};

/// What a workgroup makes: 2 by 2 matrices of sums by each of two subgroups across and some down.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    tile: Tile,
    /// Subgroups down.
    down: u32,
    /// SUBGROUPS times the most threads of a subgroup.
    threads: u32,
}

impl Shape {
    /// The largest that `context` has room for.
    pub(super) fn on(context: &Context) -> Result<Self> {
        let tile = tile(context)?;
        let (limits, subgroup) = (context.limits(), context.info().subgroup_max_size);
        let most = limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x);
        let fits = |shape: &Self| {
            shape.threads <= most
                && shape.workgroup_memory() <= limits.max_compute_workgroup_storage_size
                && shape.threads.is_multiple_of(shape.rows())
                && [4, 8, 16].contains(&(depth(tile) * shape.rows() / shape.threads.max(1)))
        };
        let shapes = [4, 2].map(|down| Self { tile, down, threads: 2 * down * subgroup });
        shapes.into_iter().find(fits).filter(|_| context.supports(&KERNEL)).ok_or_else(|| {
            Error::device(KERNEL.name, "subgroups that fill slabs of matrices, and room for these", context.describe())
        })
    }

    /// Of the matrices.
    pub(super) fn tile(self) -> Tile {
        self.tile
    }

    pub(super) fn constants(self, context: &Context, params: &Params) -> Vec<(&'static str, f64)> {
        let info = context.info();
        vec![
            ("KERNEL", f64::from(params.kernel)),
            ("WHOLE", f64::from(u8::from(is_of_slabs(params.inputs, self.tile)))),
            ("DOWN", f64::from(self.down)),
            ("THREADS", f64::from(self.threads)),
            ("OTHERS", f64::from(u8::from(info.subgroup_min_size != info.subgroup_max_size))),
        ]
    }

    pub(super) fn workgroups(self, params: &Params) -> [u32; 3] {
        let pixels = params.images as usize * (params.out_side as usize).pow(2);
        let across = params.outputs4.div_ceil(self.tile.side()) as usize;
        grid(pixels.div_ceil(self.rows() as usize) * across)
    }

    /// Pixels of y.
    fn rows(self) -> u32 {
        2 * self.down * self.tile.side()
    }

    /// Bytes of workgroup memory: two slabs, whose rows are padded, and sums.
    fn workgroup_memory(self) -> u32 {
        let (side, depth) = (self.tile.side(), depth(self.tile));
        2 * (self.rows() * (depth + 8) + depth * (4 * side + 8)) + 4 * (2 * self.down + 1) * side.pow(2)
    }
}

/// Numbers of a slab's row.
fn depth(tile: Tile) -> u32 {
    2 * tile.side()
}

/// Whether `context` can run it: there are matrices, room for slabs of them, and threads that fill these evenly.
pub fn available(context: &Context) -> bool {
    Shape::on(context).is_ok()
}

/// Whether `inputs` channels are whole slabs, so that each is of channels under one place of the kernel.
fn is_of_slabs(inputs: u32, tile: Tile) -> bool {
    inputs.is_multiple_of(depth(tile))
}

/// The same for the matrices of `context`: another form of the kernel.
pub(crate) fn is_whole(context: &Context, inputs: u32) -> bool {
    context.cooperative_tile().is_some_and(|tile| is_of_slabs(inputs, tile))
}
