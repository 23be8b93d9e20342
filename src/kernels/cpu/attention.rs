//! Attention by octets, whose lanes exchange the data that they load.

use crate::gpu::{Form, Traits, Way, kernel, octet};
use crate::kernels::attention::{Call, Params};

kernel! {
    /// The lanes of an octet exchange queries and exponentials.
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
    // On an H200 this was slower than the plain kernel, and the driver took 25 seconds to compile it.
    cost: |traits, _| traits.loads_are_dear.then_some(1.0),
    form,
};

/// The number of queries of an octet follows from the number of tokens.
fn form(_: &Traits, call: &Call) -> Form {
    let [tokens, heads, images] = [call.params.tokens, call.params.heads, call.params.images].map(|n| n as usize);
    let groups = octet::groups(tokens);
    Form::plain(octet::workgroups(tokens.div_ceil(8 * groups) * heads * images)).of(call.types).with([
        ("PROPORTIONAL", u32::from(call.proportional)),
        ("COLUMNS", call.columns()),
        ("GROUPS", groups as u32),
    ])
}
