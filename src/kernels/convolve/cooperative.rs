//! [`convolve`](super) by cooperative matrices: numbers rounded to f16, summed in f32.

use super::{Bindings, Params};
use crate::error::{Error, Result};
use crate::gpu::{COOPERATIVE, Context, Kernel, Precision, Recorder, Tile, Types, grid};

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
struct Shape {
    tile: Tile,
    /// Subgroups down.
    down: u32,
    /// SUBGROUPS times the most threads of a subgroup.
    threads: u32,
}

impl Shape {
    /// The largest that `context` has room for.
    fn on(context: &Context) -> Option<Self> {
        let tile = context.cooperative_tile()?;
        let (limits, subgroup) = (context.limits(), context.info().subgroup_max_size);
        let most = limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x);
        let fits = |shape: &Self| {
            shape.threads <= most
                && shape.workgroup_memory() <= limits.max_compute_workgroup_storage_size
                && shape.threads.is_multiple_of(shape.rows())
                && [4, 8, 16].contains(&(depth(tile) * shape.rows() / shape.threads.max(1)))
        };
        [4, 2].map(|down| Self { tile, down, threads: 2 * down * subgroup }).into_iter().find(fits)
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
    context.supports(&KERNEL) && Shape::on(context).is_some()
}

/// Whether `inputs` channels are whole slabs, so that each is of channels under one place of the kernel.
pub(crate) fn is_whole(context: &Context, inputs: u32) -> bool {
    context.cooperative_tile().is_some_and(|tile| inputs.is_multiple_of(depth(tile)))
}

/// Records one dispatch: a workgroup for so many pixels by four matrices of output channels.
///
/// # Errors
/// As [`super::record`], and [`Error::Device`] where it is not [available].
pub fn record(recorder: &mut Recorder<'_>, params: Params, relu: bool, bindings: Bindings<'_>) -> Result<()> {
    let context = recorder.context();
    let Some(shape) = Shape::on(context).filter(|_| context.supports(&KERNEL)) else {
        let expected = "cooperative matrices, subgroups that fill slabs of them, and room for these";
        return Err(Error::device(KERNEL.name, expected, context.describe()));
    };
    params.check()?;
    let info = context.info();
    let constants = [
        ("RELU", f64::from(u8::from(relu))),
        ("KERNEL", f64::from(params.kernel)),
        ("WHOLE", f64::from(u8::from(is_whole(context, params.inputs)))),
        ("DOWN", f64::from(shape.down)),
        ("THREADS", f64::from(shape.threads)),
        ("OTHERS", f64::from(u8::from(info.subgroup_min_size != info.subgroup_max_size))),
    ];
    let pixels = params.images as usize * (params.out_side as usize).pow(2);
    let across = params.outputs4.div_ceil(shape.tile.side()) as usize;
    recorder.dispatch_typed(
        &KERNEL,
        Types::new(Precision::F16, Precision::F32).tiled(shape.tile),
        &constants,
        bytemuck::bytes_of(&params),
        &params.operands(bindings),
        grid(pixels.div_ceil(shape.rows() as usize) * across),
    )
}
