//! [`linear`](super::linear) by cooperative matrices: f16 times f16, summed in f32.

use super::linear::{Bindings, Epilogue, Params};
use crate::error::{Error, Result};
use crate::gpu::{Binding, COOPERATIVE, Context, Kernel, Operand, Precision, Recorder, Tile, Types, grid};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "linear_cooperative",
    shader: "block/linear_cooperative.wgsl",
    bindings: &[Binding::read("x"), Binding::read("w"), Binding::read("bias"), Binding::write("y")],
    params_size: size_of::<Params>(),
    // By an override: four of the adapter's subgroups.
    workgroup_size: [128, 1, 1],
    features: COOPERATIVE,
    variant_of: Some("linear"),
};

/// What one workgroup computes, in tiles of the adapter's cooperative matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// 8 tiles high instead of 4.
    pub tall: bool,
    /// 8 tiles wide instead of 4.
    pub wide: bool,
}

impl Shape {
    /// Every shape, the largest first.
    pub const ALL: [Self; 4] = [
        Self { tall: true, wide: true },
        Self { tall: true, wide: false },
        Self { tall: false, wide: true },
        Self { tall: false, wide: false },
    ];

    /// Rows and columns of y that one workgroup computes.
    pub fn extent(self, tile: Tile) -> [usize; 2] {
        [self.tall, self.wide].map(|large| tile.side() as usize * if large { 8 } else { 4 })
    }
}

/// One for each block of y.
pub fn workgroups(params: &Params, shape: Shape, tile: Tile) -> [u32; 3] {
    let [rows, columns] = shape.extent(tile);
    grid((params.rows as usize).div_ceil(rows) * (params.columns as usize).div_ceil(columns))
}

/// Records one dispatch. x and w are f16, bias is f32, y of `output`; rows of y are not padded.
///
/// # Errors
/// [`Error::Device`] without cooperative matrices; else as [`Recorder::dispatch`].
pub fn record(
    recorder: &mut Recorder<'_>,
    params: Params,
    epilogue: Epilogue,
    output: Precision,
    shape: Shape,
    bindings: Bindings<'_>,
) -> Result<()> {
    let context = recorder.context();
    let tile = tile(context)?;
    let flag = |on: bool| f64::from(u8::from(on));
    recorder.dispatch_typed(
        &KERNEL,
        Types::new(Precision::F16, output).tiled(tile),
        &[
            ("GELU", flag(epilogue == Epilogue::Gelu)),
            ("ACCUMULATE", flag(epilogue == Epilogue::Accumulate)),
            ("TALL", flag(shape.tall)),
            ("WIDE", flag(shape.wide)),
            ("THREADS", f64::from(context.cooperative_threads())),
        ],
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.x, params.rows as usize * params.inner4 as usize * 2),
            Operand::buffer(bindings.w, params.inner4 as usize * params.columns4 as usize * 8),
            Operand::buffer(bindings.bias, params.columns4 as usize * 4),
            Operand::buffer(bindings.y, output.words(params.rows as usize * params.columns as usize)),
        ],
        workgroups(&params, shape, tile),
    )
}

fn tile(context: &Context) -> Result<Tile> {
    context.cooperative_tile().ok_or_else(|| {
        Error::device(
            KERNEL.name,
            "a device with cooperative matrices of f16 with f32 sums",
            format!("{} without them", context.describe()),
        )
    })
}
