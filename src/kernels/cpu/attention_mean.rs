//! Means over heads of attention probabilities by octets, whose lanes exchange the data that they load.

use crate::gpu::{Form, Traits, Way, kernel, octet};
use crate::kernels::attention_mean::{Call, KERNEL as PLAIN, Params};

kernel! {
    /// The lanes of an octet exchange queries.
    pub static KERNEL = "attention_mean_subgroup" in "cpu/attention_mean_subgroup.wgsl";
    params Params;
    bindings PLAIN;
    overrides { PROPORTIONAL: [0, 1], GROUPS: [1, 2, 3] }
    workgroup [64, 1, 1];
    features wgpu::Features::SUBGROUP;
    way of "attention_mean";
}

pub(in crate::kernels) const WAY: Way<Call> = Way {
    name: "octets",
    kernel: &KERNEL,
    is_fallback: false,
    takes: |_, _| true,
    cost: |traits, _| traits.loads_are_dear.then_some(2.0),
    form,
};

/// One octet for each 8, 16 or 24 queries by 32 keys.
fn form(_: &Traits, call: &Call) -> Form {
    let queries = call.params.queries as usize;
    let groups = octet::groups(queries);
    let tiles = queries.div_ceil(8 * groups) * call.keys().div_ceil(32) * call.images();
    call.form(octet::workgroups(tiles)).with([("GROUPS", groups as u32)])
}
