//! Dense layers whose operands pass through workgroup memory.

use super::{ACTIVATIONS, Call, KERNEL as PLAIN, Params};
use crate::gpu::{Form, Home, Traits, Way, grid, kernel};

kernel! {
    /// A thread computes 4 or 8 rows.
    pub static KERNEL = "linear_tiled" in "block/linear_tiled.wgsl";
    params Params;
    bindings PLAIN;
    overrides { ACTIVATION: ACTIVATIONS, ACCUMULATE: [0, 1], GATHER: [0, 1], ROWS: [4, 8], AHEAD: [0, 1] }
    workgroup [64, 1, 1];
    way of "linear";
}

pub(super) const WAYS: [Way<Call>; 2] = [way::<4>("tiled 32"), way::<8>("tiled 64")];

/// The way with tiles of 8 * `ROWS` rows by 64 columns.
const fn way<const ROWS: u32>(name: &'static str) -> Way<Call> {
    Way {
        name,
        kernel: &KERNEL,
        is_fallback: false,
        takes: |_, call| call.types.home == Home::Buffer,
        cost: |traits, call| Some(cost(traits, call, ROWS)),
        form: |traits, call| form(traits, call, ROWS),
    }
}

/// Prefers tiles that are small enough to occupy a large GPU: four workgroups for each of about a hundred
/// multiprocessors keep it busy.
fn cost(traits: &Traits, call: &Call, rows: u32) -> f64 {
    const ENOUGH: u32 = 512;
    let occupies = call.params.rows.div_ceil(64) * call.params.columns4.div_ceil(16) >= ENOUGH;
    let wanted = if occupies { 8 } else { 4 };
    let shared = if traits.loads_are_dear { 50.0 } else { 10.0 };
    shared * if rows == wanted { 1.0 } else { 1.1 }
}

fn form(traits: &Traits, call: &Call, rows: u32) -> Form {
    let Params { rows: all, columns4, .. } = call.params;
    let workgroups = grid(all.div_ceil(8 * rows) as usize * columns4.div_ceil(16) as usize);
    call.form(workgroups).with([("ROWS", rows), ("AHEAD", u32::from(traits.fetches_tiles_ahead))])
}
