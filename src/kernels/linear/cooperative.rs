//! Dense layers by cooperative matrices: f16 times f16, summed in f32.

use super::{ACTIVATIONS, Call, KERNEL as PLAIN, Params};
use crate::gpu::{COOPERATIVE, Form, Home, Precision, Tile, Traits, Way, grid, kernel};

kernel! {
    /// Slabs of x and w pass through workgroup memory into cooperative matrices.
    pub static KERNEL = "linear_cooperative" in "block/linear_cooperative.wgsl";
    params Params;
    bindings PLAIN;
    overrides {
        ACTIVATION: ACTIVATIONS, ACCUMULATE: [0, 1], GATHER: [0, 1], HEIGHT: [2, 4], WIDTH: [2, 4], DEPTH: [2, 4, 8], DOWN: [2, 4],
        ACROSS: [2], SPLIT: [1, 2], THREADS: [32, 64, 128, 256, 512, 1024], WHOLE: [0, 1], ALIKE: [0, 1],
    }
    // The shader's default. A call has as many of the adapter's subgroups as its shape says.
    workgroup [128, 1, 1];
    features COOPERATIVE;
    way of "linear";
}

/// What one workgroup computes, in subgroups and in tiles of the adapter's cooperative matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    /// Subgroups, down and across.
    subgroups: [u32; 2],
    /// Tiles of a subgroup, 2 or 4 down and 2 or 4 across.
    tiles: [u32; 2],
    /// Tiles that a slab in workgroup memory is deep.
    depth: u32,
    /// Subgroups that divide a slab's depth among them, 1 or 2.
    split: u32,
}

/// Every shape, the largest first.
const SHAPES: [Shape; 4] = [
    Shape { subgroups: [4, 2], tiles: [4, 4], depth: 2, split: 1 },
    Shape { subgroups: [2, 2], tiles: [4, 4], depth: 2, split: 1 },
    Shape { subgroups: [2, 2], tiles: [2, 2], depth: 4, split: 1 },
    Shape { subgroups: [2, 2], tiles: [2, 2], depth: 8, split: 2 },
];

pub(super) const WAYS: [Way<Call>; 4] = [
    way::<0>("cooperative 4x2 of 4x4 by 2"),
    way::<1>("cooperative 2x2 of 4x4 by 2"),
    way::<2>("cooperative 2x2 of 2x2 by 4"),
    way::<3>("cooperative 2x2 of 2x2 by 8 in 2"),
];

/// The way with workgroups of one of [`SHAPES`]. Its name gives the subgroups, the tiles of each, the depth of a slab
/// in tiles, and the split.
const fn way<const SHAPE: usize>(name: &'static str) -> Way<Call> {
    Way {
        name,
        kernel: &KERNEL,
        is_fallback: false,
        takes: |traits, call| {
            call.types.input == Precision::F16 && call.types.home == Home::Buffer && SHAPES[SHAPE].fits(traits)
        },
        cost: |traits, call| cost(traits, call, SHAPES[SHAPE]),
        form: |traits, call| SHAPES[SHAPE].form(traits, call),
    }
}

/// Prefers the middle shape if it gives enough workgroups to keep most of a large GPU busy. Otherwise it prefers the
/// smallest tiles with as many threads as fit, since each workgroup then waits for memory longer than it multiplies.
/// (On an H200 the largest shape won at few sizes, and by little.) On a software adapter cooperative matrices are slow,
/// and no shape is used.
fn cost(traits: &Traits, call: &Call, shape: Shape) -> Option<f64> {
    /// So many workgroups keep a large GPU busy.
    const ENOUGH: usize = 100;
    if traits.loads_are_dear {
        return None;
    }
    let [_, middle, smallest, split] = SHAPES;
    let [rows, columns] = middle.extent(traits.tile.unwrap_or_default());
    let count = (call.params.rows as usize).div_ceil(rows) * (call.params.columns4 as usize * 4).div_ceil(columns);
    let best = match count >= ENOUGH && middle.fits(traits) {
        true => middle,
        false if split.fits(traits) => split,
        false => smallest,
    };
    Some(if shape == best { 1.0 } else { 1.5 })
}

impl Shape {
    fn form(self, traits: &Traits, call: &Call) -> Form {
        let tile = traits.tile.unwrap_or_default();
        let [rows, columns] = self.extent(tile);
        let Params { rows: all, inner4, columns4 } = call.params;
        let workgroups = grid((all as usize).div_ceil(rows) * (columns4 as usize * 4).div_ceil(columns));
        let whole = (inner4 * 4).is_multiple_of(self.depth * tile.side());
        call.form(workgroups).of(call.types.tiled(tile).stored(traits.stores_sums_as_vectors)).with([
            ("ALIKE", u32::from(traits.subgroups_are_alike())),
            ("DOWN", self.subgroups[0]),
            ("ACROSS", self.subgroups[1]),
            ("HEIGHT", self.tiles[0]),
            ("WIDTH", self.tiles[1]),
            ("DEPTH", self.depth),
            ("SPLIT", self.split),
            ("THREADS", self.count() * traits.subgroup_sizes[1]),
            ("WHOLE", u32::from(whole)),
        ])
    }

    /// Rows and columns of y that one workgroup computes.
    fn extent(self, tile: Tile) -> [usize; 2] {
        [0, 1].map(|axis| (tile.side() * self.subgroups[axis] * self.tiles[axis]) as usize)
    }

    /// Bytes of workgroup memory.
    fn workgroup_memory(self, tile: Tile) -> usize {
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

    /// Whether the device has room for a workgroup of this shape.
    fn fits(self, traits: &Traits) -> bool {
        let memory = self.workgroup_memory(traits.tile.unwrap_or_default());
        traits.has_room(traits.subgroup_sizes[1] * self.count(), memory as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests what the shader requires: the vec4s in a slab's row divide the threads, and at most eight fetches by every
    /// thread fill a slab exactly.
    #[test]
    fn threads_divide_slabs_of_every_shape() {
        for (tile, subgroup) in
            [(Tile::Eight, 8), (Tile::Eight, 16), (Tile::Eight, 32), (Tile::Sixteen, 32), (Tile::Sixteen, 64)]
        {
            for shape in SHAPES {
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
