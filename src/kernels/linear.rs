//! Matrix product with bias and an epilogue: every dense layer of the network.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Binding, Kernel, Operand, Recorder, grid};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "linear",
    shader: "block/linear.wgsl",
    bindings: &[Binding::read("x"), Binding::read("w"), Binding::read("bias"), Binding::write("y")],
    params_size: size_of::<Params>(),
    workgroup_size: [64, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// M
    pub rows: u32,
    /// K / 4
    pub inner4: u32,
    /// Columns of y.
    pub columns: u32,
    /// `columns` / 4, rounded up.
    pub columns4: u32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [M, K]
    pub x: &'a wgpu::Buffer,
    /// [K, columns4 * 4], zero past `columns`
    pub w: &'a wgpu::Buffer,
    /// [columns4 * 4]
    pub bias: &'a wgpu::Buffer,
    /// [M, columns]
    pub y: &'a wgpu::Buffer,
}

/// What happens to x w + bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epilogue {
    /// y = it.
    Store,
    /// y = gelu(it).
    Gelu,
    /// y = y + it: the residual connection.
    Accumulate,
}

impl Params {
    /// Sizes of a product of [rows, inner] by [inner, columns]; `inner` is a multiple of 4.
    pub fn new(rows: usize, inner: usize, columns: usize) -> Self {
        Self {
            rows: rows as u32,
            inner4: (inner / 4) as u32,
            columns: columns as u32,
            columns4: columns.div_ceil(4) as u32,
        }
    }
}

/// One thread for 8 rows by two vec4s of columns.
pub fn workgroups(params: &Params) -> [u32; 3] {
    grid((params.rows.div_ceil(8) as usize * params.columns4.div_ceil(2) as usize).div_ceil(64))
}

/// Records one dispatch.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, epilogue: Epilogue, bindings: Bindings<'_>) -> Result<()> {
    recorder.dispatch(
        &KERNEL,
        &[
            ("GELU", f64::from(u8::from(epilogue == Epilogue::Gelu))),
            ("ACCUMULATE", f64::from(u8::from(epilogue == Epilogue::Accumulate))),
        ],
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.x, params.rows as usize * params.inner4 as usize * 4),
            Operand::buffer(bindings.w, params.inner4 as usize * params.columns4 as usize * 16),
            Operand::buffer(bindings.bias, params.columns4 as usize * 4),
            Operand::buffer(bindings.y, params.rows as usize * params.columns as usize),
        ],
        workgroups(&params),
    )
}
