//! One axis of the resize and crop of every photograph in a batch, in Pillow's integers.
//! [`Photographs`](crate::input::Photographs) lays out what it reads.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Form, Operand, Recorder, grid, kernel};

kernel! {
    /// A thread makes a pixel, of one line and one window.
    pub static KERNEL = "resample" in "embed/resample.wgsl";
    params {
        /// Jobs of each pass that there is room for, at least as many as images.
        images: u32,
        /// Pixels along the network's image, which is how many windows a photograph has.
        side: u32,
        /// Bytes of a pixel of the source: 3, packed, or 4.
        pixel_bytes: u32,
        /// 1 for the second pass, which writes the network's pixels.
        last: u32,
    }
    bindings { batch: read, source: read, out: write }
    overrides {}
    workgroup [64, 1, 1];
}

/// One photograph in one pass.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Job {
    /// How often the windows are applied.
    pub lines: u32,
    /// 1 where neighbouring threads take neighbouring lines, 0 where they take neighbouring windows.
    pub line_fastest: u32,
    /// Byte of the source at which the photograph starts.
    pub source: u32,
    /// Source pixels from a line to the next.
    pub line_step: u32,
    /// Source pixels from a tap to the next.
    pub tap_step: u32,
    /// Element of the output at which the photograph starts.
    pub target_first: u32,
    /// Elements of the output from a line to the next.
    pub target_line: u32,
    /// Elements of the output from a window to the next.
    pub target_step: u32,
    /// Word of the batch with the first window: its first tap, the word of its first weight, its number of taps.
    pub windows: u32,
}

/// Words of the table at the start of a batch: what each byte becomes in red, green and blue, as f32.
pub const BYTES: usize = 3 * 256;

/// The buffers, by the names that the shader has for them.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// `[768]` f32, [2, B] jobs, windows and weights.
    pub batch: &'a wgpu::Buffer,
    /// Pixels, as the jobs say. May be `batch`.
    pub source: &'a wgpu::Buffer,
    /// Words of pixels, or [B, 3, side, side].
    pub out: &'a wgpu::Buffer,
}

/// One thread for each line and window; the images along z.
pub fn workgroups(side: usize, most_lines: usize, images: usize) -> [u32; 3] {
    let [x, y, _] = grid((most_lines * side).div_ceil(64));
    [x, y, images as u32]
}

/// Records one dispatch over whole buffers.
///
/// # Errors
/// As [`Recorder::dispatch`].
pub fn record(recorder: &mut Recorder<'_>, params: Params, bindings: Bindings<'_>, workgroups: [u32; 3]) -> Result<()> {
    let whole = |buffer: &wgpu::Buffer| (buffer.size() / 4) as usize;
    recorder.dispatch(
        &KERNEL,
        &Form::plain(workgroups),
        &params,
        &[
            ("batch", Operand::buffer(bindings.batch, whole(bindings.batch))),
            ("source", Operand::buffer(bindings.source, whole(bindings.source))),
            ("out", Operand::buffer(bindings.out, whole(bindings.out))),
        ],
    )
}
