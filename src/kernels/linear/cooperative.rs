//! [`Variant::Cooperative`](super::Variant::Cooperative): cooperative matrices, f16 times f16, summed in f32.

use super::{BINDINGS, Params};
use crate::error::{Error, Result};
use crate::gpu::{COOPERATIVE, Context, Kernel, Tile, Types, grid};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "linear_cooperative",
    shader: "block/linear_cooperative.wgsl",
    bindings: BINDINGS,
    params_size: size_of::<Params>(),
    // By an override: as many of the adapter's subgroups as the shape says.
    workgroup_size: [128, 1, 1],
    features: COOPERATIVE,
    variant_of: Some("linear"),
};

/// What one workgroup computes, in subgroups and in tiles of the adapter's cooperative matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Subgroups, down and across.
    pub subgroups: [u32; 2],
    /// Tiles of a subgroup, 2 or 4 down and 2 or 4 across.
    pub tiles: [u32; 2],
    /// Tiles that a slab in workgroup memory is deep.
    pub depth: u32,
    /// Subgroups that share a slab's depth, 1 or 2.
    pub split: u32,
}

impl Shape {
    /// Every shape, the largest first.
    pub const ALL: [Self; 4] = [
        Self { subgroups: [4, 2], tiles: [4, 4], depth: 2, split: 1 },
        Self { subgroups: [2, 2], tiles: [4, 4], depth: 2, split: 1 },
        Self { subgroups: [2, 2], tiles: [2, 2], depth: 4, split: 1 },
        Self { subgroups: [2, 2], tiles: [2, 2], depth: 8, split: 2 },
    ];

    /// The one that needs no measuring: the second where it leaves most of a large GPU something to do, else the smallest,
    /// by as many threads as fit, since each workgroup then waits for memory more than it multiplies. (On an H200 the
    /// largest won at few sizes, and by little.)
    pub(crate) fn for_sizes(context: &Context, params: &Params) -> Self {
        /// Workgroups that do.
        const ENOUGH: usize = 100;
        let [_, middle, smallest, split] = Self::ALL;
        let [rows, columns] = middle.extent(context.cooperative_tile().unwrap_or_default());
        let count = (params.rows as usize).div_ceil(rows) * (params.columns4 as usize * 4).div_ceil(columns);
        if count >= ENOUGH && middle.fits(context) {
            middle
        } else if split.fits(context) {
            split
        } else {
            smallest
        }
    }

    /// As `cooperative 4x2 of 4x4 by 2`: subgroups, their tiles, the depth of a slab, and `in 2` where it is shared.
    pub fn name(self) -> String {
        let ([down, across], [rows, columns], depth) = (self.subgroups, self.tiles, self.depth);
        let split = if self.split > 1 { format!(" in {}", self.split) } else { String::new() };
        format!("cooperative {down}x{across} of {rows}x{columns} by {depth}{split}")
    }

    /// Rows and columns of y that one workgroup computes.
    pub fn extent(self, tile: Tile) -> [usize; 2] {
        [0, 1].map(|axis| (tile.side() * self.subgroups[axis] * self.tiles[axis]) as usize)
    }

    /// Bytes of workgroup memory.
    pub fn workgroup_memory(self, tile: Tile) -> usize {
        let (side, [rows, columns]) = (tile.side() as usize, self.extent(tile));
        let depth = side * self.depth as usize;
        let slab = 2 * (rows * (depth + 8) + depth * (columns + 8));
        let sums = 4 * side * side * (self.count() as usize + 1);
        slab + sums
    }

    /// Subgroups of a workgroup.
    fn count(self) -> u32 {
        self.subgroups.iter().product::<u32>() * self.split
    }

    fn threads(self, context: &Context) -> u32 {
        context.info().subgroup_max_size * self.count()
    }

    /// Whether `context` has room for it.
    pub fn fits(self, context: &Context) -> bool {
        let (limits, tile) = (context.limits(), context.cooperative_tile().unwrap_or_default());
        let threads = self.threads(context);
        self.workgroup_memory(tile) <= limits.max_compute_workgroup_storage_size as usize
            && threads <= limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x)
    }
}

pub(super) fn workgroups(shape: Shape, context: &Context, params: &Params) -> [u32; 3] {
    let [rows, columns] = shape.extent(context.cooperative_tile().unwrap_or_default());
    grid((params.rows as usize).div_ceil(rows) * (params.columns4 as usize * 4).div_ceil(columns))
}

pub(super) fn constants(context: &Context, shape: Shape, params: &Params) -> Vec<(&'static str, f64)> {
    let depth = shape.depth * context.cooperative_tile().unwrap_or_default().side();
    let whole = (params.inner4 * 4).is_multiple_of(depth);
    let info = context.info();
    vec![
        ("ALIKE", f64::from(u8::from(info.subgroup_min_size == info.subgroup_max_size))),
        ("DOWN", f64::from(shape.subgroups[0])),
        ("ACROSS", f64::from(shape.subgroups[1])),
        ("HEIGHT", f64::from(shape.tiles[0])),
        ("WIDTH", f64::from(shape.tiles[1])),
        ("DEPTH", f64::from(shape.depth)),
        ("SPLIT", f64::from(shape.split)),
        ("THREADS", f64::from(shape.threads(context))),
        ("WHOLE", f64::from(u8::from(whole))),
    ]
}

/// `types` with the shape of the device's matrices, which Metal stores to scalars only.
pub(super) fn types(context: &Context, types: Types) -> Result<Types> {
    Ok(types.tiled(tile(context)?).stored(context.info().backend != wgpu::Backend::Metal))
}

/// The shape of the device's matrices.
pub(crate) fn tile(context: &Context) -> Result<Tile> {
    context.cooperative_tile().ok_or_else(|| {
        Error::device(
            KERNEL.name,
            "a device with cooperative matrices of f16 with f32 sums",
            format!("{} without them", context.describe()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the shader counts on: rows of slabs divide the threads, and eight fetches of each thread fill a slab to the
    /// last.
    #[test]
    fn threads_divide_slabs_of_every_shape() {
        for (tile, subgroup) in
            [(Tile::Eight, 8), (Tile::Eight, 16), (Tile::Eight, 32), (Tile::Sixteen, 32), (Tile::Sixteen, 64)]
        {
            for shape in Shape::ALL {
                let threads = subgroup * shape.count() as usize;
                let ([rows, columns], depth) = (shape.extent(tile), (shape.depth * tile.side()) as usize);
                for (down, width4) in [(rows, depth / 4), (depth, columns / 4)] {
                    assert_eq!(threads % width4, 0, "{shape:?}, {tile:?}, {subgroup}");
                    assert_eq!(down * width4 % threads, 0, "{shape:?}, {tile:?}, {subgroup}");
                    assert!(down * width4 <= 8 * threads, "{shape:?}, {tile:?}, {subgroup}");
                }
            }
        }
    }
}
