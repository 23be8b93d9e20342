//! Cosines of unit keys by cooperative matrices: f16 times f16, summed in f32.

use super::{Call, KERNEL as PLAIN, Params};
use crate::gpu::{COOPERATIVE, Form, Precision, Tile, Traits, Way, grid, kernel};

kernel! {
    /// Slabs of the rows pass through workgroup memory into cooperative matrices.
    pub static KERNEL = "query_key_cooperative" in "block/query_key_cooperative.wgsl";
    params Params;
    bindings PLAIN;
    // Four subgroups of 8 to 128 threads each.
    overrides { THREADS: [32, 64, 128, 256, 512] }
    workgroup [128, 1, 1];
    features COOPERATIVE;
    way of "query_key";
}

pub(super) const WAY: Way<Call> = Way {
    name: "cooperative",
    kernel: &KERNEL,
    is_fallback: false,
    takes,
    // On a software adapter cooperative matrices are slow.
    cost: |traits, _| (!traits.loads_are_dear).then_some(1.0),
    form,
};

/// Takes cosines of f16 rows that are a whole number of slabs long (a slab is two matrices deep), if workgroup memory
/// has room.
fn takes(traits: &Traits, call: &Call) -> bool {
    let (side, head4) = (traits.side(), call.params.head4);
    let memory = 2 * 2 * 4 * side * (2 * side + 8) + 4 * (Tile::SUBGROUPS + 1) * side * side;
    call.is_of_rows(Precision::F16)
        && head4 > 0
        && (head4 * 4).is_multiple_of(2 * side)
        && traits.has_room(threads(traits), memory)
}

fn threads(traits: &Traits) -> u32 {
    traits.subgroup_sizes[1] * Tile::SUBGROUPS
}

/// One workgroup for each square of four by four matrices on or above the diagonal.
fn form(traits: &Traits, call: &Call) -> Form {
    let Params { images, tokens, .. } = call.params;
    let across = tokens.div_ceil(4 * traits.side()) as usize;
    Form::plain(grid(across * (across + 1) / 2 * images as usize))
        .of(call.types.tiled(traits.tile.unwrap_or_default()))
        .with([("THREADS", threads(traits))])
}
