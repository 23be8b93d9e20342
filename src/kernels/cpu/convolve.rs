//! Convolutions by subgroups, which broadcast pixels between their threads.

use crate::gpu::{Form, Home, Traits, Types, Way, grid, kernel, octet};
use crate::kernels::convolve::{Call, Params};

kernel! {
    /// A subgroup computes 8, 16 or 24 neighbouring pixels. Weights lie in a texture.
    pub static KERNEL = "convolve_subgroup" in "cpu/convolve_subgroup.wgsl";
    params Params;
    bindings { x: read, w: weights, bias: read, y: write }
    overrides { EVEN: [0, 1], RELU: [0, 1], EIGHTS: [1, 2, 3], THREADS: [64] }
    workgroup [64, 1, 1];
    features wgpu::Features::SUBGROUP;
    way of "convolve";
}

/// Threads of a workgroup, in whole subgroups.
const THREADS: u32 = 64;

pub(in crate::kernels) const WAY: Way<Call> = Way {
    name: "subgroup",
    kernel: &KERNEL,
    is_fallback: false,
    takes: |traits, call| call.home == Home::Texture && traits.lanes().is_some(),
    cost: |traits, _| traits.loads_are_dear.then_some(1.0),
    form,
};

fn form(traits: &Traits, call: &Call) -> Form {
    let lanes = traits.lanes().unwrap_or(32);
    let Params { images, columns4, out_side, .. } = call.params;
    // Pixels of a subgroup, in groups of eight.
    let eights = octet::groups(out_side as usize);
    let lines = images as usize * out_side as usize;
    let across = (out_side as usize).div_ceil(8 * eights);
    let units = lines * across * columns4.div_ceil(2 * lanes) as usize;
    // Rows of texels are whole groups of eight numbers.
    call.form(grid(units.div_ceil((THREADS / lanes) as usize))).of(Types::default().at(Home::Texture)).with([
        ("EVEN", 1),
        ("EIGHTS", eights as u32),
        ("THREADS", THREADS),
    ])
}
