//! Assignment by octets, whose lanes exchange the data that they load.

use crate::gpu::{Way, kernel, octet};
use crate::kernels::assign::{Call, Params};

kernel! {
    /// An octet searches eight or sixteen rows of C, and each lane has four columns of them.
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
    // A GPU's driver took 12 seconds to compile each form of this kernel, which was then only as fast as the plain one.
    cost: |traits, _| traits.loads_are_dear.then_some(1.0),
    form: |_, call| {
        let groups = if call.params.dropped > octet::OCTETS as u32 { 2 } else { 1 };
        let aligned = u32::from(call.params.stride.is_multiple_of(4));
        call.form(groups).with([("ALIGNED", aligned), ("GROUPS", groups)])
    },
};
