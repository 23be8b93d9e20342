//! Softmax along rows, in place.

use crate::error::Result;
use crate::gpu::{Form, Operand, Operation, Recorder, Way, grid, kernel};

kernel! {
    /// The plain kernel, which runs on every device.
    pub static KERNEL = "softmax" in "block/softmax.wgsl";
    params {
        /// Rows.
        rows: u32,
        /// Elements of a row that take part.
        columns: u32,
        /// Elements from one row to the next; those past `columns` become 0.
        stride: u32,
        /// Factor before the exponential.
        scale: f32,
    }
    bindings { x: write }
    overrides {}
    workgroup [64, 1, 1];
    way of "softmax";
}

kernel! {
    /// An octet computes one row.
    pub static SUBGROUP = "softmax_subgroup" in "block/softmax_subgroup.wgsl";
    params Params;
    bindings KERNEL;
    overrides {}
    workgroup [64, 1, 1];
    features wgpu::Features::SUBGROUP;
    way of "softmax";
}

/// One softmax over all rows.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Sizes.
    pub params: Params,
}

impl Operation for Call {
    const NAME: &'static str = "softmax";

    fn ways() -> &'static [Way<Self>] {
        &WAYS
    }
}

static WAYS: [Way<Call>; 2] = [
    Way {
        name: "octets",
        kernel: &SUBGROUP,
        is_fallback: false,
        takes: |_, _| true,
        cost: |_, _| Some(1.0),
        form: |_, call| Form::plain(workgroups(&call.params)),
    },
    Way {
        name: "plain",
        kernel: &KERNEL,
        is_fallback: true,
        takes: |_, _| true,
        cost: |_, _| Some(2.0),
        form: |_, call| Form::plain(workgroups(&call.params)),
    },
];

/// The buffers, named as in the shaders.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [rows, stride]
    pub x: &'a wgpu::Buffer,
}

/// The workgroups of both ways, with eight rows each.
fn workgroups(params: &Params) -> [u32; 3] {
    grid((params.rows as usize).div_ceil(8))
}

/// Records one dispatch.
///
/// # Errors
/// The errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, way: &Way<Call>, call: Call, bindings: Bindings<'_>) -> Result<()> {
    let elements = call.params.rows as usize * call.params.stride as usize;
    let form = (way.form)(recorder.traits(), &call);
    recorder.dispatch(way.kernel, &form, &call.params, &[("x", Operand::buffer(bindings.x, elements))])
}
