//! Dense layers: y = x w + bias, optionally with an activation, or added to a residual stream. There are several ways
//! to compute the product. Which one is fastest depends on the device and on the shape.

use crate::config::Activation;
use crate::error::{Error, Result};
use crate::gpu::{Form, Home, Matrix, Operand, Operation, Precision, Recorder, Texels, Types, Way, grid, kernel};

pub mod cooperative;
pub mod tiled;

/// The activations' numbers in `shared/activation.wgsl`.
pub(super) const ACTIVATIONS: [u32; 4] = [0, 1, 2, 3];

kernel! {
    /// The plain kernel, which runs on every device.
    pub static KERNEL = "linear" in "block/linear.wgsl";
    params {
        /// M
        rows: u32,
        /// K / 4
        inner4: u32,
        /// Columns / 4, rounded up.
        columns4: u32,
    }
    bindings { x: read, w: read, bias: read, y: write, residual: read, rows: read }
    overrides { ACTIVATION: ACTIVATIONS, ACCUMULATE: [0, 1], GATHER: [0, 1] }
    workgroup [64, 1, 1];
    way of "linear";
}

/// The operation on the product before it is stored in y.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Epilogue {
    /// y = x w + bias.
    Store,
    /// y = act(x w + bias).
    Activate(Activation),
    /// y += x w + bias: the residual connection.
    Accumulate,
    /// y = `residual[rows]` + x w + bias: the residual connection after tokens were dropped, for tokens that still lie
    /// at their former rows.
    Gather,
}

impl Epilogue {
    /// Every epilogue.
    pub const ALL: [Self; 6] = [
        Self::Store,
        Self::Activate(Activation::Gelu),
        Self::Activate(Activation::GeluTanh),
        Self::Activate(Activation::QuickGelu),
        Self::Accumulate,
        Self::Gather,
    ];

    /// Whether the product is added to numbers that are always f32.
    pub fn adds(self) -> bool {
        matches!(self, Self::Accumulate | Self::Gather)
    }

    /// The overrides of `shared/epilogue.wgsl` and `shared/activation.wgsl`.
    fn constants(self) -> [(&'static str, u32); 3] {
        let activation = match self {
            Self::Activate(Activation::Gelu) => 1,
            Self::Activate(Activation::GeluTanh) => 2,
            Self::Activate(Activation::QuickGelu) => 3,
            Self::Store | Self::Accumulate | Self::Gather => 0,
        };
        [
            ("ACTIVATION", activation),
            ("ACCUMULATE", u32::from(self == Self::Accumulate)),
            ("GATHER", u32::from(self == Self::Gather)),
        ]
    }
}

/// One dense layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// Sizes.
    pub params: Params,
    /// x and w have the input type, y the output type; `types.home` says whether w lies in a buffer or in a texture.
    pub types: Types,
    /// The operation on the product.
    pub epilogue: Epilogue,
}

impl Operation for Call {
    const NAME: &'static str = "linear";

    fn ways() -> &'static [Way<Self>] {
        WAYS
    }
}

static WAYS: &[Way<Call>] = &[
    cooperative::WAYS[0],
    cooperative::WAYS[1],
    cooperative::WAYS[2],
    cooperative::WAYS[3],
    #[cfg(feature = "software")]
    super::cpu::linear::WAY,
    tiled::WAYS[0],
    tiled::WAYS[1],
    Way {
        name: "plain",
        kernel: &KERNEL,
        is_fallback: true,
        takes: |_, call| call.types.home == Home::Buffer,
        cost: |_, _| Some(100.0),
        form: |_, call| call.form(workgroups(&call.params)),
    },
];

impl Call {
    /// A form whose only constants are those of the epilogue.
    pub(super) fn form(&self, workgroups: [u32; 3]) -> Form {
        Form::plain(workgroups).of(self.types).with(self.epilogue.constants())
    }
}

/// The buffers, named as in the shaders. x and w have the call's input type, y its output type.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [M, K]
    pub x: &'a wgpu::Buffer,
    /// [K, columns rounded up to 4], zero in the columns that pad; a texture has the size [`texels`]
    pub w: Matrix<'a>,
    /// [columns rounded up to 4], always f32
    pub bias: &'a wgpu::Buffer,
    /// [M, columns rounded up to 4]
    pub y: &'a wgpu::Buffer,
    /// The tokens that [`Epilogue::Gather`] adds; the other epilogues do not read them.
    pub residual: Option<Residual<'a>>,
}

/// The tokens before some were dropped, in f32 like the y that they are added to.
#[derive(Clone, Copy)]
pub struct Residual<'a> {
    /// [tokens, columns rounded up to 4]
    pub tokens: &'a wgpu::Buffer,
    /// `[M]`: the row of `tokens` that is added to each row of y
    pub rows: &'a wgpu::Buffer,
}

/// The size of a texture that holds weights [inner, columns] in `precision`. Rows are padded to whole groups of eight
/// numbers.
pub fn texels(inner: usize, columns: usize, precision: Precision) -> Texels {
    [(precision.words(columns.next_multiple_of(8)) / 4) as u32, inner as u32]
}

impl Params {
    /// Sizes of a product of [rows, inner] by [inner, columns]; `inner` is a multiple of 4.
    pub fn new(rows: usize, inner: usize, columns: usize) -> Self {
        Self { rows: rows as u32, inner4: (inner / 4) as u32, columns4: columns.div_ceil(4) as u32 }
    }

    /// Multiply-adds, including those of padding columns.
    pub fn cost(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.inner4) * u64::from(self.columns4) * 16
    }
}

/// The workgroups of the plain way: one thread for each 8 rows by two vec4s of columns.
fn workgroups(params: &Params) -> [u32; 3] {
    grid((params.rows.div_ceil(8) as usize * params.columns4.div_ceil(2) as usize).div_ceil(64))
}

/// Records one dispatch.
///
/// # Errors
/// [`Error::Config`] for an addition to an f16 y, which would round every time, and for a gather without a residual;
/// otherwise the errors of [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, way: &Way<Call>, call: Call, bindings: Bindings<'_>) -> Result<()> {
    let Call { params, types, epilogue } = call;
    if epilogue.adds() && types.output != Precision::F32 {
        return Err(Error::config("linear", "an f32 y to add to", types.output.to_string()));
    }
    let gathers = epilogue == Epilogue::Gather;
    let [tokens, gathered] = match bindings.residual {
        Some(residual) if gathers => {
            // All tokens are bound, because rows may lie anywhere among them.
            let elements = (residual.tokens.size() / 4) as usize;
            [Operand::buffer(residual.tokens, elements), Operand::buffer(residual.rows, params.rows as usize)]
        }
        None if gathers => return Err(Error::config("linear", "a residual to gather from", "none")),
        // Bindings that a way does not read must be bound to some buffer.
        _ => [Operand::buffer(bindings.bias, 4), Operand::buffer(bindings.bias, 1)],
    };
    let (rows, inner, columns) = (params.rows as usize, params.inner4 as usize * 4, params.columns4 as usize * 4);
    let w = match bindings.w {
        Matrix::Buffer(buffer) => Operand::buffer(buffer, types.input.words(inner * columns)),
        Matrix::Texture(_) => {
            bindings.w.operand(KERNEL.name, [inner, types.input.words(columns.next_multiple_of(8))])?
        }
    };
    let form = (way.form)(recorder.traits(), &call);
    let operands = [
        ("x", Operand::buffer(bindings.x, types.input.words(rows * inner))),
        ("w", w),
        ("bias", Operand::buffer(bindings.bias, columns)),
        ("y", Operand::buffer(bindings.y, types.output.words(rows * columns))),
        ("residual", tokens),
        ("rows", gathered),
    ];
    recorder.dispatch(way.kernel, &form, &params, &operands)
}
