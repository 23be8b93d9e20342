//! Layer norm over rows.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Constants, Context, Kernel, Operand, Precision, Recorder, Types, Variant, grid, octet};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "layer_norm",
    shader: "block/layer_norm.wgsl",
    bindings: &[
        Binding::read("x"),
        Binding::read("weight"),
        Binding::read("bias"),
        Binding::write("y"),
        Binding::read("rows"),
    ],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The same in octets.
pub const SUBGROUP: Kernel = Kernel {
    name: "layer_norm_subgroup",
    shader: "block/layer_norm_subgroup.wgsl",
    features: wgpu::Features::SUBGROUP,
    variant_of: Some("layer_norm"),
    ..KERNEL
};

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// Rows.
    pub rows: u32,
    /// D / 4
    pub width4: u32,
    /// Added to the variance.
    pub epsilon: f32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [rows, D]; as many as `rows` names where it does
    pub x: &'a wgpu::Buffer,
    /// `[D]`
    pub weight: &'a wgpu::Buffer,
    /// `[D]`
    pub bias: &'a wgpu::Buffer,
    /// [rows, D]
    pub y: &'a wgpu::Buffer,
    /// `[rows]`: the row of x that each row of y is made of; `None` where they are the same
    pub rows: Option<&'a wgpu::Buffer>,
}

/// How [`Variant::Subgroup`] makes rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// Lanes that share a row.
    lanes: u32,
    /// Whether they are all of a subgroup, else an octet.
    spread: bool,
    /// vec4s of a row that a lane keeps; 0 where rows are read again.
    chunks: u32,
    /// Rows that the lanes make with the weights that they have loaded.
    each: u32,
}

/// Rows that keep every core busy, even if lanes make several of them.
pub(crate) const MANY: u32 = 256;

impl Sharing {
    /// The most vec4s that a lane keeps in octets, and spread.
    const MOST: [u32; 2] = [24, 8];

    /// Rows that octets read twice.
    const READ: Self = Self { lanes: octet::OCTETS as u32, spread: false, chunks: 0, each: 1 };

    /// Octets that keep rows as short as that.
    fn kept(params: &Params) -> Option<Self> {
        let chunks = params.width4.div_ceil(Self::READ.lanes);
        let each = if params.rows >= MANY { 8 } else { 2 };
        (chunks <= Self::MOST[0]).then_some(Self { chunks, each, ..Self::READ })
    }

    /// Subgroups that keep a row each, where all of them are of one size, on a workgroup of 64 threads.
    fn spread(context: &Context, params: &Params) -> Option<Self> {
        let (lanes, most) = (context.info().subgroup_min_size, context.info().subgroup_max_size);
        let chunks = params.width4.div_ceil(lanes.max(1));
        let fits = lanes == most && (8..=64).contains(&lanes) && chunks <= Self::MOST[1];
        fits.then_some(Self { lanes, spread: true, chunks, each: 1 })
    }

    /// The one that suits `context`: on a CPU that emulates a GPU loads are what a norm costs; a GPU waits for each of them,
    /// unless it reads whole rows at once (25,216 rows of 768 took 57 us in octets on an H200, 36 spread; 197 rows 20 and
    /// 12 on an H100).
    fn of(context: &Context, params: &Params) -> Self {
        let best = if context.is_emulated() { Self::kept(params) } else { Self::spread(context, params) };
        best.unwrap_or(Self::READ)
    }

    /// All that `context` can run for `params`, the one that suits it first; without what is for CPUs elsewhere, which takes
    /// a driver for GPUs its time to compile.
    pub fn all(context: &Context, params: &Params) -> Vec<Self> {
        let kept = Self::kept(params).filter(|_| context.is_emulated());
        let mut all = vec![Self::of(context, params)];
        for sharing in [Self::spread(context, params), kept, Some(Self::READ)].into_iter().flatten() {
            if !all.contains(&sharing) {
                all.push(sharing);
            }
        }
        all
    }

    /// Rows of a workgroup of 64 threads.
    fn rows(self) -> u32 {
        64 / self.lanes * self.each
    }

    fn constants(self) -> [(&'static str, f64); 4] {
        [
            ("LANES", f64::from(self.lanes)),
            ("SPREAD", f64::from(u8::from(self.spread))),
            ("CHUNKS", f64::from(self.chunks)),
            ("EACH", f64::from(self.each)),
        ]
    }
}

impl Params {
    fn width(&self) -> usize {
        self.width4 as usize * 4
    }
}

/// Records one dispatch; y is stored in `output`.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(
    recorder: &mut Recorder<'_>,
    variant: Variant,
    output: Precision,
    params: Params,
    bindings: Bindings<'_>,
) -> Result<()> {
    match variant {
        Variant::Plain => dispatch(recorder, &KERNEL, &[], octet::OCTETS as u32, output, params, bindings),
        Variant::Subgroup => {
            let sharing = Sharing::of(recorder.context(), &params);
            record_shared(recorder, sharing, output, params, bindings)
        }
    }
}

/// Records one dispatch of [`Variant::Subgroup`], rows made as `sharing` says, which is one of [`Sharing::all`].
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record_shared(
    recorder: &mut Recorder<'_>,
    sharing: Sharing,
    output: Precision,
    params: Params,
    bindings: Bindings<'_>,
) -> Result<()> {
    dispatch(recorder, &SUBGROUP, &sharing.constants(), sharing.rows(), output, params, bindings)
}

/// Of workgroups that make so many rows each.
fn dispatch(
    recorder: &mut Recorder<'_>,
    kernel: &'static Kernel,
    constants: &Constants,
    rows_each: u32,
    output: Precision,
    params: Params,
    bindings: Bindings<'_>,
) -> Result<()> {
    let elements = params.rows as usize * params.width();
    let (x, rows) = match bindings.rows {
        // All of x: rows may lie anywhere.
        Some(rows) => ((bindings.x.size() / 4) as usize, Operand::buffer(rows, params.rows as usize)),
        // Not read, but bound: something.
        None => (elements, Operand::buffer(bindings.weight, 1)),
    };
    let mut constants = constants.to_vec();
    constants.push(("GATHER", f64::from(u8::from(bindings.rows.is_some()))));
    recorder.dispatch_typed(
        kernel,
        Types::new(Precision::F32, output),
        &constants,
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.x, x),
            Operand::buffer(bindings.weight, params.width()),
            Operand::buffer(bindings.bias, params.width()),
            Operand::buffer(bindings.y, output.words(elements)),
            rows,
        ],
        grid(params.rows.div_ceil(rows_each) as usize),
    )
}
