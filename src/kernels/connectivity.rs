//! Rows of C, or a mean of them, computed without storing C.

pub use crate::condensation::Chain;
use crate::error::{Error, Result};
use crate::gpu::{Form, Operand, Recorder, kernel};

kernel! {
    /// A workgroup computes one row, or the mean, by products of a vector with W.
    pub static KERNEL = "connectivity" in "condense/connectivity.wgsl";
    params {
        /// N, at most [`MOST_PATCHES`].
        patches: u32,
        /// Rows computed for each image.
        rows: u32,
        /// Elements of `list` from one image to the next.
        list_stride: u32,
        /// Place of the first row's index in an image's list.
        list_offset: u32,
        /// K
        order: u32,
        /// 2^steps, for Newton.
        terms: u32,
        /// a
        alpha: f32,
        /// a / s, s = max(a, 1).
        ratio: f32,
        /// 1 / s.
        inverse: f32,
    }
    bindings { w: read, list: read, result: write }
    overrides { MEAN: [0, 1], NEWTON: [0, 1], FROM_LEFT: [0, 1], DIAGONAL: [0, 1] }
    workgroup [128, 1, 1];
}

/// The most patch tokens whose vectors fit the shader's arrays.
pub const MOST_PATCHES: usize = 2048;

/// The buffers, named as in the shader.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// [B, N, N]
    pub w: &'a wgpu::Buffer,
    /// Row indices [B, list_stride]; not read for the mean
    pub list: &'a wgpu::Buffer,
    /// [B, rows, N]; [B, rows] for diagonal elements
    pub result: &'a wgpu::Buffer,
}

/// The part of C that is computed.
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

    /// `rows` rows for each image. Their indices begin at `offset` in the list of each image, which has `stride`
    /// elements.
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
/// [`Error::Limit`] for more than [`MOST_PATCHES`] patch tokens; otherwise the errors of [`Recorder::dispatch`].
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
    let flag = |on: bool| u32::from(on);
    let mean = matches!(part, Part::ColumnMean | Part::RowMean);
    let (images_count, patches, rows) = (images as usize, params.patches as usize, params.rows as usize);
    let list = if mean { 1 } else { images_count * params.list_stride as usize };
    let made = if part == Part::Diagonal { rows } else { rows * patches };
    recorder.dispatch(
        &KERNEL,
        &Form::plain(workgroups(&params, images)).with([
            ("MEAN", flag(mean)),
            ("NEWTON", flag(params.terms > 0)),
            ("FROM_LEFT", flag(part == Part::RowMean)),
            ("DIAGONAL", flag(part == Part::Diagonal)),
        ]),
        &params,
        &[
            ("w", Operand::buffer(bindings.w, images_count * patches * patches)),
            ("list", Operand::buffer(bindings.list, list)),
            ("result", Operand::buffer(bindings.result, images_count * made)),
        ],
    )
}
