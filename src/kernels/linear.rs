//! Dense layers: y = x w + bias, with GELU or onto a residual stream. One product, several ways to make it: which of them
//! is fastest depends on the device and on the shape, so the caller says ([`crate::tune`] knows).

use bytemuck::{Pod, Zeroable};

use crate::error::{Error, Result};
use crate::gpu::{
    Binding, Constants, Context, Home, Kernel, Matrix, Operand, Precision, Recorder, Texels, Types, grid,
};

pub mod cooperative;
pub mod subgroup;
pub mod tiled;

const BINDINGS: &[Binding] = &[
    Binding::read("x"),
    Binding::read("w"),
    Binding::read("bias"),
    Binding::write("y"),
    Binding::read("residual"),
    Binding::read("rows"),
];

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "linear",
    shader: "block/linear.wgsl",
    bindings: BINDINGS,
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Pod, Zeroable)]
pub struct Params {
    /// M
    pub rows: u32,
    /// K / 4
    pub inner4: u32,
    /// Columns / 4, rounded up.
    pub columns4: u32,
}

/// The buffers, in the shader's order. x and w are of the dispatch's input type, y of its output type.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [M, K]
    pub x: &'a wgpu::Buffer,
    /// [K, columns rounded up to 4], zero in the columns that do not exist; in a texture, for [`Variant::Subgroup`] only,
    /// of [`texels`]
    pub w: Matrix<'a>,
    /// [columns rounded up to 4], always f32
    pub bias: &'a wgpu::Buffer,
    /// [M, columns rounded up to 4]
    pub y: &'a wgpu::Buffer,
    /// What [`Epilogue::Gather`] adds to; not read by the others.
    pub residual: Option<Residual<'a>>,
}

/// Tokens of which some go on, f32 like the y that they are added to.
#[derive(Clone, Copy)]
pub struct Residual<'a> {
    /// [tokens, columns rounded up to 4]
    pub tokens: &'a wgpu::Buffer,
    /// `[M]`: the row of `tokens` that each row of y is added to
    pub rows: &'a wgpu::Buffer,
}

/// What happens to the product on its way into y.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Epilogue {
    /// y = x w + bias.
    Store,
    /// y = gelu(x w + bias).
    Gelu,
    /// y += x w + bias: the residual connection.
    Accumulate,
    /// y = `residual[rows]` + x w + bias: the residual connection of tokens that lie elsewhere, among others that were
    /// dropped.
    Gather,
}

impl Epilogue {
    /// Whether the product is added to what is f32 always.
    pub fn adds(self) -> bool {
        matches!(self, Self::Accumulate | Self::Gather)
    }
}

/// How the product is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variant {
    /// 8 rows by two vec4s in each thread's registers, on any device.
    Plain,
    /// 8, 16 or 24 rows (`eights` 1 to 3) shared by a subgroup.
    Subgroup {
        /// Rows of a subgroup / 8.
        eights: u32,
    },
    /// Through workgroup memory, 4 or 8 rows to a thread.
    Tiled {
        /// Rows of a thread.
        rows: u32,
    },
    /// By cooperative matrices, of f16 only.
    Cooperative(cooperative::Shape),
}

/// The size of a texture that holds weights [inner, columns] in `precision`: rows of whole eights.
pub fn texels(inner: usize, columns: usize, precision: Precision) -> Texels {
    [(precision.words(columns.next_multiple_of(8)) / 4) as u32, inner as u32, 1]
}

impl Params {
    /// Sizes of a product of [rows, inner] by [inner, columns]; `inner` is a multiple of 4.
    pub fn new(rows: usize, inner: usize, columns: usize) -> Self {
        Self { rows: rows as u32, inner4: (inner / 4) as u32, columns4: columns.div_ceil(4) as u32 }
    }

    /// Multiply-adds, those of padding columns included.
    pub fn cost(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.inner4) * u64::from(self.columns4) * 16
    }
}

impl Variant {
    /// Every variant that `context` can run on buffers of `types`, weights in the home that they say.
    pub fn all(context: &Context, types: Types) -> Vec<Self> {
        let mut all = vec![Self::Plain, Self::Tiled { rows: 4 }, Self::Tiled { rows: 8 }];
        if subgroup::lanes(context).is_some() {
            all.extend((1..=3).map(|eights| Self::Subgroup { eights }));
        }
        if types.input == Precision::F16 && context.supports(&cooperative::KERNEL) {
            all.extend(cooperative::Shape::ALL.into_iter().filter(|shape| shape.fits(context)).map(Self::Cooperative));
        }
        all.retain(|variant| types.home == Home::Buffer || variant.reads_textures());
        all
    }

    /// A short name: `plain`, `subgroup 24`, `tiled 64`, where the numbers are rows of a tile, or as
    /// [`cooperative::Shape::name`] says.
    pub fn name(self) -> String {
        match self {
            Self::Plain => "plain".into(),
            Self::Subgroup { eights } => format!("subgroup {}", 8 * eights),
            Self::Tiled { rows } => format!("tiled {}", 8 * rows),
            Self::Cooperative(shape) => shape.name(),
        }
    }

    /// Whether it can have its weights in a texture.
    pub fn reads_textures(self) -> bool {
        matches!(self, Self::Subgroup { .. })
    }

    pub(crate) fn kernel(self) -> &'static Kernel {
        match self {
            Self::Plain => &KERNEL,
            Self::Subgroup { .. } => &subgroup::KERNEL,
            Self::Tiled { .. } => &tiled::KERNEL,
            Self::Cooperative(_) => &cooperative::KERNEL,
        }
    }

    fn constants(self, context: &Context, params: &Params) -> Vec<(&'static str, f64)> {
        match self {
            Self::Plain => Vec::new(),
            Self::Subgroup { eights } => subgroup::constants(context, eights),
            Self::Tiled { rows } => tiled::constants(context, rows),
            Self::Cooperative(shape) => cooperative::constants(context, shape, params),
        }
    }

    /// Workgroups for `params`.
    pub fn workgroups(self, context: &Context, params: &Params) -> [u32; 3] {
        match self {
            Self::Plain => workgroups(params),
            Self::Subgroup { eights } => subgroup::workgroups(context, eights, params),
            Self::Tiled { rows } => tiled::workgroups(rows, params),
            Self::Cooperative(shape) => cooperative::workgroups(shape, context, params),
        }
    }
}

/// Of [`Variant::Plain`]: one thread for 8 rows by two vec4s of columns.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid((params.rows.div_ceil(8) as usize * params.columns4.div_ceil(2) as usize).div_ceil(64))
}

/// Records one dispatch.
///
/// # Errors
/// As [`Recorder::dispatch`]; [`Error::Config`] for a sum onto f16, which would round at every addition, and for one onto
/// a residual that is not there; [`Error::Device`] for cooperative matrices that the device has not.
pub fn record(
    recorder: &mut Recorder<'_>,
    variant: Variant,
    types: Types,
    params: Params,
    epilogue: Epilogue,
    bindings: Bindings<'_>,
) -> Result<()> {
    if epilogue.adds() && types.output != Precision::F32 {
        return Err(Error::config("linear", "f32 to add to", types.output.to_string()));
    }
    let gathers = epilogue == Epilogue::Gather;
    let residual = match bindings.residual {
        Some(residual) if gathers => {
            // All of the tokens: rows may lie anywhere.
            let elements = (residual.tokens.size() / 4) as usize;
            [Operand::buffer(residual.tokens, elements), Operand::buffer(residual.rows, params.rows as usize)]
        }
        None if gathers => return Err(Error::config("linear", "a residual to gather from", "none")),
        // What a variant does not read is bound all the same: a vec4 of something.
        _ => [Operand::buffer(bindings.bias, 4), Operand::buffer(bindings.bias, 1)],
    };
    let types = match variant {
        Variant::Cooperative(_) => cooperative::types(recorder.context(), types)?,
        _ => types,
    };
    let mut constants = variant.constants(recorder.context(), &params);
    if let (Variant::Subgroup { .. }, Home::Buffer) = (variant, bindings.w.home()) {
        constants.push(("EVEN", f64::from(u8::from(params.columns4.is_multiple_of(2)))));
    }
    constants.push(("GELU", f64::from(u8::from(epilogue == Epilogue::Gelu))));
    constants.push(("ACCUMULATE", f64::from(u8::from(epilogue == Epilogue::Accumulate))));
    constants.push(("GATHER", f64::from(u8::from(gathers))));
    let constants: &Constants = &constants;
    let (rows, inner, columns) = (params.rows as usize, params.inner4 as usize * 4, params.columns4 as usize * 4);
    let [tokens, gathered] = residual;
    let w = match bindings.w {
        Matrix::Buffer(buffer) => Operand::buffer(buffer, types.input.words(inner * columns)),
        Matrix::Texture(_) => {
            bindings.w.operand(KERNEL.name, [1, inner, types.input.words(columns.next_multiple_of(8))])?
        }
    };
    let workgroups = variant.workgroups(recorder.context(), &params);
    recorder.dispatch_typed(
        variant.kernel(),
        types.at(bindings.w.home()),
        constants,
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.x, types.input.words(rows * inner)),
            w,
            Operand::buffer(bindings.bias, columns),
            Operand::buffer(bindings.y, types.output.words(rows * columns)),
            tokens,
            gathered,
        ],
        workgroups,
    )
}
