//! Dense layers by subgroups, which broadcast x between their threads.

use crate::gpu::{Form, Home, Traits, Way, grid, kernel};
use crate::kernels::linear::{ACTIVATIONS, Call, Params};

kernel! {
    /// A subgroup computes 24 rows. Weights lie in a buffer or in a texture.
    pub static KERNEL = "linear_subgroup" in "cpu/linear_subgroup.wgsl";
    params Params;
    bindings { x: read, w: weights, bias: read, y: write, residual: read, rows: read }
    overrides {
        ACTIVATION: ACTIVATIONS, ACCUMULATE: [0, 1], GATHER: [0, 1], EVEN: [0, 1], THREADS: [16, 32, 64, 128],
    }
    workgroup [64, 1, 1];
    features wgpu::Features::SUBGROUP;
    way of "linear";
}

/// Subgroups of a workgroup. They are few, so that products with few rows still have a workgroup for every core.
const SUBGROUPS: u32 = 2;

/// Rows of a subgroup's tile.
const ROWS: u32 = 24;

pub(in crate::kernels) const WAY: Way<Call> = Way {
    name: "subgroup",
    kernel: &KERNEL,
    is_fallback: false,
    // Lanes 0 to 7 broadcast, so a subgroup must have at least 8 threads.
    takes: |traits, _| traits.lanes().is_some(),
    cost: |traits, call| (traits.loads_are_dear || call.types.home == Home::Texture).then_some(1.0),
    form,
};

fn form(traits: &Traits, call: &Call) -> Form {
    let lanes = traits.lanes().unwrap_or(32);
    let Params { rows, columns4, .. } = call.params;
    let (across, down) = (columns4.div_ceil(2 * lanes), rows.div_ceil(ROWS));
    let workgroups = grid((across as usize * down as usize).div_ceil(SUBGROUPS as usize));
    // Rows of texels are whole groups of eight numbers.
    let even = call.types.home == Home::Texture || columns4.is_multiple_of(2);
    call.form(workgroups).with([("EVEN", u32::from(even)), ("THREADS", SUBGROUPS * lanes)])
}
