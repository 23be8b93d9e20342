//! [`Variant::Cooperative`](super::Variant::Cooperative): cooperative matrices, f16 times f16, summed in f32.

use super::{BINDINGS, Params};
use crate::error::{Error, Result};
use crate::gpu::{COOPERATIVE, Context, Kernel, Tile, grid};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "linear_cooperative",
    shader: "block/linear_cooperative.wgsl",
    bindings: BINDINGS,
    params_size: size_of::<Params>(),
    // By an override: four of the adapter's subgroups.
    workgroup_size: [128, 1, 1],
    features: COOPERATIVE,
    variant_of: Some("linear"),
};

/// What one workgroup computes, in tiles of the adapter's cooperative matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// 8 tiles high instead of 4.
    pub tall: bool,
    /// 8 tiles wide instead of 4.
    pub wide: bool,
}

impl Shape {
    /// Every shape, the largest first.
    pub const ALL: [Self; 4] = [
        Self { tall: true, wide: true },
        Self { tall: true, wide: false },
        Self { tall: false, wide: true },
        Self { tall: false, wide: false },
    ];

    /// Rows and columns of y that one workgroup computes.
    pub fn extent(self, tile: Tile) -> [usize; 2] {
        [self.tall, self.wide].map(|large| tile.side() as usize * if large { 8 } else { 4 })
    }
}

pub(super) fn workgroups(shape: Shape, context: &Context, params: &Params) -> [u32; 3] {
    let [rows, columns] = shape.extent(context.cooperative_tile().unwrap_or_default());
    grid((params.rows as usize).div_ceil(rows) * (params.columns4 as usize * 4).div_ceil(columns))
}

pub(super) fn constants(context: &Context, shape: Shape) -> Vec<(&'static str, f64)> {
    let flag = |on: bool| f64::from(u8::from(on));
    let threads = f64::from(context.cooperative_threads());
    vec![("TALL", flag(shape.tall)), ("WIDE", flag(shape.wide)), ("THREADS", threads)]
}

/// The shape of the device's matrices.
pub(super) fn tile(context: &Context) -> Result<Tile> {
    context.cooperative_tile().ok_or_else(|| {
        Error::device(
            KERNEL.name,
            "a device with cooperative matrices of f16 with f32 sums",
            format!("{} without them", context.describe()),
        )
    })
}
