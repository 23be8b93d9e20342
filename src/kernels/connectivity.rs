//! Rows of C, or their mean, without C.

use bytemuck::{Pod, Zeroable};

pub use crate::condensation::Chain;
use crate::error::{Error, Result};
use crate::gpu::{Binding, Kernel, Operand, Recorder};

/// What `tests/shaders.rs` checks against the WGSL.
pub const KERNEL: Kernel = Kernel {
    name: "connectivity",
    shader: "condense/connectivity.wgsl",
    bindings: &[Binding::read("w"), Binding::read("list"), Binding::write("result")],
    params_size: size_of::<Params>(),
    workgroup_size: [128, 1, 1],
    features: wgpu::Features::empty(),
    variant_of: None,
};

/// The most patch tokens whose vectors fit the shader's arrays.
pub const MOST_PATCHES: usize = 2048;

/// The shader's uniform.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Params {
    /// N, at most [`MOST_PATCHES`].
    pub patches: u32,
    /// Rows made for each image.
    pub rows: u32,
    /// Elements of `list` from one image to the next.
    pub list_stride: u32,
    /// The first row's place in it.
    pub list_offset: u32,
    /// K
    pub order: u32,
    /// 2^steps, for Newton.
    pub terms: u32,
    /// a
    pub alpha: f32,
    /// a / s, s = max(a, 1).
    pub ratio: f32,
    /// 1 / s.
    pub inverse: f32,
}

/// The buffers, in the shader's order.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, N, N]
    pub w: &'a wgpu::Buffer,
    /// Row indices [B, list_stride]; not read for the mean
    pub list: &'a wgpu::Buffer,
    /// [B, rows, N]; [B, rows] for diagonal elements
    pub result: &'a wgpu::Buffer,
}

/// Which part of C is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// C[q, :] for the listed q.
    Rows,
    /// C[p, p] for the listed p.
    Diagonal,
    /// The mean over rows i of C[i, j]: the column mean.
    ColumnMean,
    /// The mean over columns j of C[i, j].
    RowMean,
}

impl Params {
    /// The mean of all rows, or of all columns.
    pub fn mean(patches: usize, chain: Chain) -> Self {
        Self::listed(patches, 1, 0, 0, chain)
    }

    /// `rows` rows for each image, whose indices start at `offset` of every `stride` of the list.
    pub fn listed(patches: usize, rows: usize, stride: usize, offset: usize, chain: Chain) -> Self {
        let scale = chain.alpha.max(1.0);
        Self {
            patches: patches as u32,
            rows: rows as u32,
            list_stride: stride as u32,
            list_offset: offset as u32,
            order: chain.order,
            terms: chain.newton_steps.map_or(0, |steps| 1 << steps),
            alpha: chain.alpha,
            ratio: chain.alpha / scale,
            inverse: 1.0 / scale,
        }
    }
}

/// One workgroup for each row.
pub fn workgroups(params: &Params, images: u32) -> [u32; 3] {
    [params.rows, images, 1]
}

/// Records one dispatch for `images` images.
///
/// # Errors
/// [`Error::Limit`] past [`MOST_PATCHES`], else as [`Recorder::dispatch`].
pub fn record(
    recorder: &mut Recorder<'_>,
    params: Params,
    images: u32,
    part: Part,
    bindings: Bindings<'_>,
) -> Result<()> {
    if params.patches as usize > MOST_PATCHES {
        let expected = format!("at most {MOST_PATCHES} patch tokens");
        return Err(Error::limit(KERNEL.name, expected, params.patches.to_string()));
    }
    let flag = |on: bool| f64::from(u8::from(on));
    let mean = matches!(part, Part::ColumnMean | Part::RowMean);
    let (images_count, patches, rows) = (images as usize, params.patches as usize, params.rows as usize);
    let list = if mean { 1 } else { images_count * params.list_stride as usize };
    let made = if part == Part::Diagonal { rows } else { rows * patches };
    recorder.dispatch(
        &KERNEL,
        &[
            ("MEAN", flag(mean)),
            ("NEWTON", flag(params.terms > 0)),
            ("FROM_LEFT", flag(part == Part::RowMean)),
            ("DIAGONAL", flag(part == Part::Diagonal)),
        ],
        bytemuck::bytes_of(&params),
        &[
            Operand::buffer(bindings.w, images_count * patches * patches),
            Operand::buffer(bindings.list, list),
            Operand::buffer(bindings.result, images_count * made),
        ],
        workgroups(&params, images),
    )
}
