//! Attention in octets, which share what their lanes load.

use crate::gpu::{Form, Traits, Way, kernel, octet};
use crate::kernels::attention::{Call, Params};

kernel! {
    /// Octets share the queries and powers of their lanes.
    pub static KERNEL = "attention_subgroup" in "cpu/attention_subgroup.wgsl";
    params Params;
    bindings { qkv: read, sizes: read, y: write, rows: write }
    overrides { PROPORTIONAL: [0, 1], GROUPS: [1, 2, 3], COLUMNS: [1, 2, 3, 4] }
    workgroup [64, 1, 1];
    features wgpu::Features::SUBGROUP;
    way of "attention";
}

pub(in crate::kernels) const WAY: Way<Call> = Way {
    name: "octets",
    kernel: &KERNEL,
    is_fallback: false,
    takes: |_, call| call.fits_registers(),
    // On an H200 they were slower than the plain kernel, and took the driver 25 seconds to compile.
    cost: |traits, _| traits.loads_are_dear.then_some(1.0),
    form,
};

/// As many queries to an octet as suit the tokens.
fn form(_: &Traits, call: &Call) -> Form {
    let [tokens, heads, images] = [call.params.tokens, call.params.heads, call.params.images].map(|n| n as usize);
    let groups = octet::groups(tokens);
    Form::plain(octet::workgroups(tokens.div_ceil(8 * groups) * heads * images)).of(call.types).with([
        ("PROPORTIONAL", u32::from(call.proportional)),
        ("COLUMNS", call.columns()),
        ("GROUPS", groups as u32),
    ])
}
