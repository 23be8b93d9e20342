//! One axis of the resize and crop of every photograph in a batch, in the integer arithmetic of Pillow.
//! [`Photographs`](crate::input::Photographs) fills the buffers that it reads.

use bytemuck::{Pod, Zeroable};

use crate::error::Result;
use crate::gpu::{Form, Operand, Recorder, grid, kernel};

kernel! {
    /// A thread computes one pixel, which belongs to one line and one window.
    pub static KERNEL = "resample" in "embed/resample.wgsl";
    params {
        /// The most jobs that a pass can have, at least the number of images.
        images: u32,
        /// Pixels along the network's image, which is the number of windows of a photograph.
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

/// The work on one photograph in one pass.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Job {
    /// Lines that the windows are applied to.
    pub lines: u32,
    /// 1 if neighbouring threads take neighbouring lines, 0 if they take neighbouring windows.
    pub line_fastest: u32,
    /// Byte of the source at which the photograph starts.
    pub source: u32,
    /// Source pixels from one line to the next.
    pub line_step: u32,
    /// Source pixels from one tap to the next.
    pub tap_step: u32,
    /// Element of the output at which the photograph starts.
    pub target_first: u32,
    /// Elements of the output from one line to the next.
    pub target_line: u32,
    /// Elements of the output from one window to the next.
    pub target_step: u32,
    /// Word of the batch with the first window: its first tap, the word of its first weight, its number of taps.
    pub windows: u32,
}

/// Words of the table at the start of a batch, which gives the f32 value of each byte in red, green and blue.
pub const BYTES: usize = 3 * 256;

/// The buffers, named as in the shader.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// `[768]` f32, then [2, B] jobs, then windows and weights.
    pub batch: &'a wgpu::Buffer,
    /// Pixels, at the places that the jobs give. May be the same buffer as `batch`.
    pub source: &'a wgpu::Buffer,
    /// Words of pixels, or [B, 3, side, side].
    pub out: &'a wgpu::Buffer,
}

/// One thread for each line and window, with the images along z.
pub fn workgroups(side: usize, most_lines: usize, images: usize) -> [u32; 3] {
    let [x, y, _] = grid((most_lines * side).div_ceil(64));
    [x, y, images as u32]
}

/// Records one dispatch over whole buffers.
///
/// # Errors
/// The errors of [`Recorder::dispatch`].
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
