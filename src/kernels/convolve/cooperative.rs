//! Convolutions by cooperative matrices: numbers are rounded to f16 and summed in f32.

use super::{Call, KERNEL as PLAIN, Params};
use crate::gpu::{COOPERATIVE, Form, Home, Precision, Tile, Traits, Types, Way, grid, kernel};

kernel! {
    /// Slabs of the pixels under the kernel, and of w, pass through workgroup memory into cooperative matrices.
    pub static KERNEL = "convolve_cooperative" in "embed/convolve_cooperative.wgsl";
    params Params;
    bindings PLAIN;
    overrides {
        RELU: [0, 1], KERNEL: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], WHOLE: [0, 1], DOWN: [2, 4],
        THREADS: [32, 64, 128, 256, 512, 1024], OTHERS: [0, 1],
    }
    // The shader's default. A call has as many subgroups as fit.
    workgroup [128, 1, 1];
    features COOPERATIVE;
    way of "convolve";
}

/// The largest value of the constant KERNEL, which is the side of a convolution's kernel.
const MOST_KERNEL: u32 = 16;

pub(super) const WAY: Way<Call> = Way {
    name: "cooperative",
    kernel: &KERNEL,
    is_fallback: false,
    takes: |traits, call| {
        call.precision == Precision::F16
            && call.home == Home::Buffer
            && call.params.kernel <= MOST_KERNEL
            && Shape::on(traits).is_some()
    },
    // On a software adapter cooperative matrices are slow.
    cost: |traits, _| (!traits.loads_are_dear).then_some(1.0),
    form: |traits, call| Shape::on(traits).unwrap_or(Shape::of(traits, 2)).form(traits, call),
};

/// The part of y that a workgroup computes. It has two subgroups across and `down` subgroups down, with 2 by 2 matrices
/// of sums each.
#[derive(Clone, Copy)]
struct Shape {
    tile: Tile,
    /// Subgroups down.
    down: u32,
    /// Threads of a workgroup, if its subgroups have the largest size.
    threads: u32,
}

impl Shape {
    /// The shape with `down` subgroups down.
    fn of(traits: &Traits, down: u32) -> Self {
        Self { tile: traits.tile.unwrap_or_default(), down, threads: 2 * down * traits.subgroup_sizes[1] }
    }

    /// The largest shape that a device of `traits` has room for and whose threads fill slabs evenly.
    fn on(traits: &Traits) -> Option<Self> {
        let fits = |shape: &Self| {
            traits.has_room(shape.threads, shape.workgroup_memory())
                && shape.threads.is_multiple_of(shape.rows())
                && [4, 8, 16].contains(&(shape.depth() * shape.rows() / shape.threads.max(1)))
        };
        traits.tile?;
        [4, 2].map(|down| Self::of(traits, down)).into_iter().find(fits)
    }

    fn form(self, traits: &Traits, call: &Call) -> Form {
        let params = &call.params;
        let pixels = params.images as usize * (params.out_side as usize).pow(2);
        let across = params.columns4.div_ceil(self.tile.side()) as usize;
        let workgroups = grid(pixels.div_ceil(self.rows() as usize) * across);
        // Whether the channels are a whole number of slabs, so that a slab is made of channels under one place of the
        // kernel.
        let whole = params.inputs.is_multiple_of(self.depth());
        call.form(workgroups).of(Types::default().tiled(self.tile)).with([
            ("KERNEL", params.kernel),
            ("WHOLE", u32::from(whole)),
            ("DOWN", self.down),
            ("THREADS", self.threads),
            ("OTHERS", u32::from(!traits.subgroups_are_alike())),
        ])
    }

    /// Pixels of y that a workgroup computes.
    fn rows(self) -> u32 {
        2 * self.down * self.tile.side()
    }

    /// Numbers in a row of a slab.
    fn depth(self) -> u32 {
        2 * self.tile.side()
    }

    /// Bytes of workgroup memory: two slabs, whose rows are padded, and the sums.
    fn workgroup_memory(self) -> u32 {
        let (side, depth) = (self.tile.side(), self.depth());
        2 * (self.rows() * (depth + 8) + depth * (4 * side + 8)) + 4 * (2 * self.down + 1) * side.pow(2)
    }
}
