//! Matching in octets, which share what their lanes load.

use crate::gpu::{Way, kernel, octet};
use crate::kernels::assign::{Call, Params};

kernel! {
    /// An octet looks at eight rows of C, or twice as many, four columns to a lane.
    pub static KERNEL = "assign_subgroup" in "cpu/assign_subgroup.wgsl";
    params Params;
    bindings { w: read, order: read, slot: read, assigned: write, connection: write, diagonal: write }
    overrides { ORDER: [0, 1, 2], PARITY: [0, 1, 2], DIAGONAL: [0, 1], ALIGNED: [0, 1], GROUPS: [1, 2] }
    workgroup [64, 1, 1];
    features wgpu::Features::SUBGROUP;
    way of "assign";
}

pub(in crate::kernels) const WAY: Way<Call> = Way {
    name: "octets",
    kernel: &KERNEL,
    is_fallback: false,
    takes: |_, _| true,
    // A driver for GPUs took 12 seconds to compile every form of this kernel, which then was as fast as the plain one.
    cost: |traits, _| traits.loads_are_dear.then_some(1.0),
    form: |_, call| {
        let groups = if call.params.dropped > octet::OCTETS as u32 { 2 } else { 1 };
        let aligned = u32::from(call.params.stride.is_multiple_of(4));
        call.form(groups).with([("ALIGNED", aligned), ("GROUPS", groups)])
    },
};
