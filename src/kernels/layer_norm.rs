//! Layer norm over rows.

use crate::error::{Error, Result};
use crate::gpu::{Form, Operand, Operation, Precision, Recorder, Traits, Types, Way, grid, kernel, octet};

kernel! {
    /// The plain kernel, which runs on every device.
    pub static KERNEL = "layer_norm" in "block/layer_norm.wgsl";
    params {
        /// Rows.
        rows: u32,
        /// D / 4
        width4: u32,
        /// Added to the variance.
        epsilon: f32,
    }
    bindings { x: read, weight: read, bias: read, y: write, rows: read }
    overrides { GATHER: [0, 1] }
    workgroup [64, 1, 1];
    way of "layer_norm";
}

kernel! {
    /// An octet, or a whole subgroup, computes one row.
    pub static SUBGROUP = "layer_norm_subgroup" in "block/layer_norm_subgroup.wgsl";
    params Params;
    bindings KERNEL;
    overrides {
        GATHER: [0, 1], LANES: [8, 16, 32, 64], SPREAD: [0, 1], EACH: [1, 2, 8],
        CHUNKS: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24],
    }
    workgroup [64, 1, 1];
    features wgpu::Features::SUBGROUP;
    way of "layer_norm";
}

/// One layer norm.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Sizes and epsilon.
    pub params: Params,
    /// The precision of y; x is f32.
    pub output: Precision,
    /// Whether rows of x are read in the order of [`Bindings::rows`].
    pub gathers: bool,
}

impl Operation for Call {
    const NAME: &'static str = "layer_norm";

    fn ways() -> &'static [Way<Self>] {
        &WAYS
    }
}

static WAYS: [Way<Call>; 4] = [
    Way {
        name: "spread",
        kernel: &SUBGROUP,
        is_fallback: false,
        takes: |traits, call| Sharing::spread(traits, &call.params).is_some(),
        // A GPU waits for each load, unless it reads whole rows at once. For 25,216 rows of 768 on an H200 octets took
        // 57 us, and this way 36 us; for 197 rows on an H100 it was 20 us and 12 us.
        cost: |traits, _| Some(if traits.loads_are_dear { 3.0 } else { 1.0 }),
        form: |traits, call| Sharing::spread(traits, &call.params).unwrap_or(Sharing::READ).form(call),
    },
    Way {
        name: "kept",
        kernel: &SUBGROUP,
        is_fallback: false,
        takes: |_, call| Sharing::kept(&call.params).is_some(),
        // A GPU's driver takes long to compile it.
        cost: |traits, _| traits.loads_are_dear.then_some(1.0),
        form: |_, call| Sharing::kept(&call.params).unwrap_or(Sharing::READ).form(call),
    },
    Way {
        name: "read twice",
        kernel: &SUBGROUP,
        is_fallback: false,
        takes: |_, _| true,
        cost: |_, _| Some(2.0),
        form: |_, call| Sharing::READ.form(call),
    },
    Way {
        name: "plain",
        kernel: &KERNEL,
        is_fallback: true,
        takes: |_, _| true,
        cost: |_, _| Some(10.0),
        form: |_, call| call.form(octet::OCTETS as u32),
    },
];

/// The buffers, named as in the shaders.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [rows, D]; if the call gathers, all rows that `rows` names
    pub x: &'a wgpu::Buffer,
    /// `[D]`
    pub weight: &'a wgpu::Buffer,
    /// `[D]`
    pub bias: &'a wgpu::Buffer,
    /// [rows, D]
    pub y: &'a wgpu::Buffer,
    /// `[rows]`: the row of x for each row of y; not read if the call does not gather
    pub rows: Option<&'a wgpu::Buffer>,
}

/// So many rows keep every core busy, even if the lanes compute several rows one after the other.
const MANY: u32 = 256;

/// How the lanes of subgroups compute rows.
#[derive(Clone, Copy)]
struct Sharing {
    /// Lanes that compute one row.
    lanes: u32,
    /// Whether these are all lanes of a subgroup; otherwise they are an octet.
    spread: bool,
    /// vec4s of a row that a lane keeps in registers; 0 if rows are read twice.
    chunks: u32,
    /// Rows that the lanes compute one after the other, with the weights that they have loaded.
    each: u32,
}

impl Sharing {
    /// The most vec4s that a lane keeps, in octets and with `spread`.
    const MOST: [u32; 2] = [24, 8];

    /// Octets that read rows twice.
    const READ: Self = Self { lanes: octet::OCTETS as u32, spread: false, chunks: 0, each: 1 };

    /// Octets that keep rows in registers, if the rows are short enough.
    fn kept(params: &Params) -> Option<Self> {
        let chunks = params.width4.div_ceil(Self::READ.lanes);
        let each = if params.rows >= MANY { 8 } else { 2 };
        (chunks <= Self::MOST[0]).then_some(Self { chunks, each, ..Self::READ })
    }

    /// Subgroups that keep one row each, if all subgroups have the same size and rows are short enough.
    fn spread(traits: &Traits, params: &Params) -> Option<Self> {
        let lanes = traits.lanes()?;
        let chunks = params.width4.div_ceil(lanes);
        (chunks <= Self::MOST[1]).then_some(Self { lanes, spread: true, chunks, each: 1 })
    }

    fn form(self, call: &Call) -> Form {
        call.form(64 / self.lanes * self.each).with([
            ("LANES", self.lanes),
            ("SPREAD", u32::from(self.spread)),
            ("CHUNKS", self.chunks),
            ("EACH", self.each),
        ])
    }
}

impl Call {
    /// A form of workgroups that compute `rows_each` rows each.
    fn form(&self, rows_each: u32) -> Form {
        Form::plain(grid(self.params.rows.div_ceil(rows_each) as usize))
            .of(Types::new(Precision::F32, self.output))
            .with([("GATHER", u32::from(self.gathers))])
    }
}

/// Records one dispatch.
///
/// # Errors
/// [`Error::Config`] for a call that gathers without [`Bindings::rows`]; otherwise the errors of
/// [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, way: &Way<Call>, call: Call, bindings: Bindings<'_>) -> Result<()> {
    let Call { params, output, gathers } = call;
    let width = params.width4 as usize * 4;
    let elements = params.rows as usize * width;
    let (x, rows) = match bindings.rows {
        // All of x is bound, because rows may lie anywhere in it.
        Some(rows) if gathers => ((bindings.x.size() / 4) as usize, Operand::buffer(rows, params.rows as usize)),
        None if gathers => return Err(Error::config("layer_norm", "rows to gather", "none")),
        // `rows` is not read, but must be bound to some buffer.
        _ => (elements, Operand::buffer(bindings.weight, 1)),
    };
    let form = (way.form)(recorder.traits(), &call);
    let operands = [
        ("x", Operand::buffer(bindings.x, x)),
        ("weight", Operand::buffer(bindings.weight, width)),
        ("bias", Operand::buffer(bindings.bias, width)),
        ("y", Operand::buffer(bindings.y, output.words(elements))),
        ("rows", rows),
    ];
    recorder.dispatch(way.kernel, &form, &params, &operands)
}
