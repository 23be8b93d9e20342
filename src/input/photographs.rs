//! Photographs laid out for the GPU as `embed/resample.wgsl` reads them: only the pixels that the crop needs, and the
//! windows and weights of the resize.

use std::borrow::Borrow;

use image::RgbImage;

use super::resample::{Windows, height_first};
use super::{Filter, Preprocess, of_image};
use crate::error::{Error, Result};
use crate::kernels::resample::{Job, Params, workgroups};

/// The input of the two passes of the `resample` kernel, for the images of a batch or a part of it.
pub struct Photographs<'a> {
    /// The table of normalised bytes, the jobs of both passes, windows and weights.
    head: Vec<u32>,
    parts: Vec<Part<'a>>,
    capacity: usize,
    side: usize,
    words: usize,
    middle: usize,
    lines: [usize; 2],
}

/// 4-byte words of a job.
const WORDS: usize = size_of::<Job>() / 4;

/// The rows and columns of a photograph that the crop needs.
struct Part<'a> {
    image: &'a RgbImage,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    /// Byte of the buffer at which its pixels start.
    start: usize,
}

/// The windows of both axes, and the order of the two passes.
struct Shape {
    across: Windows,
    down: Windows,
    height_first: bool,
}

impl Shape {
    fn new(preprocess: &Preprocess, image: &RgbImage) -> Result<Self> {
        let [x, y] = preprocess.axes(image.width(), image.height())?;
        let [across, down] = [&x, &y].map(|axis| match preprocess.filter {
            Filter::Nearest => Windows::nearest(axis),
            filter => Windows::new(axis, filter),
        });
        Ok(Self { across, down, height_first: preprocess.filter != Filter::Nearest && height_first(&x, &y) })
    }
}

impl<'a> Photographs<'a> {
    /// Lays out `images` as the images of a batch from number `slot` on, with room for `capacity` jobs per pass.
    ///
    /// # Errors
    /// As [`Preprocess::placement`], naming the image by its number; [`Error::Limit`] when offsets do not fit 32 bits.
    pub fn new<I: Borrow<RgbImage>>(
        preprocess: &Preprocess,
        images: &'a [I],
        slot: usize,
        capacity: usize,
    ) -> Result<Self> {
        let capacity = capacity.max(images.len());
        let (side, area) = (preprocess.side, preprocess.side.pow(2));
        let mut head: Vec<u32> = preprocess.bytes().map(f32::to_bits).collect();
        let jobs_at = head.len();
        head.resize(jobs_at + 2 * capacity * WORDS, 0);
        let (mut parts, mut jobs, mut middle, mut lines) = (Vec::new(), [Vec::new(), Vec::new()], 0, [0, 0]);
        for (number, image) in images.iter().enumerate() {
            let image: &RgbImage = image.borrow();
            let shape = Shape::new(preprocess, image).map_err(|error| of_image(error, slot + number))?;
            let (columns, rows) = (shape.across.span(), shape.down.span());
            let windows = [append(&mut head, &shape.across, columns.start), append(&mut head, &shape.down, rows.start)];
            let target = (slot + number) * 3 * area;
            let width = columns.len();
            // The lines of each pass, its steps in the source and in the target, and the axis of its windows.
            let passes = match shape.height_first {
                false => [
                    Pass { lines: rows.len(), line: width, tap: 1, to_line: side, to_step: 1, axis: 0 },
                    Pass { lines: side, line: 1, tap: side, to_line: 1, to_step: side, axis: 1 },
                ],
                true => [
                    Pass { lines: width, line: 1, tap: width, to_line: 1, to_step: width, axis: 1 },
                    Pass { lines: side, line: width, tap: 1, to_line: side, to_step: 1, axis: 0 },
                ],
            };
            for (pass, jobs) in passes.iter().zip(&mut jobs) {
                jobs.push((pass.job(), windows[pass.axis]));
            }
            jobs[0][number].0.target_first = word(middle)?;
            jobs[1][number].0.source = word(middle * 4)?;
            jobs[1][number].0.target_first = word(target)?;
            middle += passes[0].lines * side;
            for (most, pass) in lines.iter_mut().zip(&passes) {
                *most = pass.lines.max(*most);
            }
            parts.push(Part { image, rows, columns, start: 0 });
        }
        // Pixels follow the windows. The number of windows is known only here.
        let mut end = head.len() * 4;
        for (number, part) in parts.iter_mut().enumerate() {
            part.start = end;
            jobs[0][number].0.source = word(end)?;
            end += (part.rows.len() * part.columns.len() * 3).next_multiple_of(4);
        }
        word(end)?;
        word(middle * 4)?;
        for (jobs, first) in jobs.into_iter().zip([0, capacity]) {
            for (number, (mut job, windows)) in jobs.into_iter().enumerate() {
                job.windows = word(windows)?;
                head[jobs_at + (first + number) * WORDS..][..WORDS].copy_from_slice(bytemuck::cast_slice(&[job]));
            }
        }
        Ok(Self { head, parts, capacity, side, words: end / 4, middle, lines })
    }

    /// 4-byte words of the batch: head and pixels.
    pub fn words(&self) -> usize {
        self.words
    }

    /// 4-byte words of the buffer between the two passes.
    pub fn middle_words(&self) -> usize {
        self.middle
    }

    /// The uniform of pass 0 or 1.
    pub fn params(&self, pass: usize) -> Params {
        let (images, side) = (self.capacity as u32, self.side as u32);
        Params { images, side, pixel_bytes: 3 + pass as u32, last: pass as u32 }
    }

    /// Workgroup counts of pass 0 or 1.
    pub fn workgroups(&self, pass: usize) -> [u32; 3] {
        workgroups(self.side, self.lines[pass], self.parts.len())
    }

    /// Calls `put` with every run of bytes and the byte offset at which it is to be written.
    pub fn write(&self, mut put: impl FnMut(usize, &[u8])) {
        put(0, bytemuck::cast_slice(&self.head));
        for part in &self.parts {
            let stride = part.image.width() as usize * 3;
            let bytes = part.image.as_raw();
            let row = part.columns.len() * 3;
            if row == stride {
                put(part.start, &bytes[part.rows.start * stride..part.rows.end * stride]);
                continue;
            }
            for (number, line) in part.rows.clone().enumerate() {
                put(part.start + number * row, &bytes[line * stride + part.columns.start * 3..][..row]);
            }
        }
    }
}

/// How one pass walks over a photograph.
struct Pass {
    lines: usize,
    line: usize,
    tap: usize,
    to_line: usize,
    to_step: usize,
    /// 0 for the windows of the width, 1 for those of the height.
    axis: usize,
}

impl Pass {
    fn job(&self) -> Job {
        Job {
            lines: self.lines as u32,
            // Neighbouring threads write neighbouring elements of the output.
            line_fastest: u32::from(self.to_line == 1),
            line_step: self.line as u32,
            tap_step: self.tap as u32,
            target_line: self.to_line as u32,
            target_step: self.to_step as u32,
            source: 0,
            target_first: 0,
            windows: 0,
        }
    }
}

/// Appends windows and their weights. Source pixels are counted from `start`, the first one that is uploaded. Returns
/// the word of the first window.
fn append(head: &mut Vec<u32>, windows: &Windows, start: usize) -> usize {
    let (at, count) = (head.len(), windows.iter().count());
    let mut weight = at + 3 * count;
    for (first, weights) in windows.iter() {
        head.extend([first - start, weight, weights.len()].map(|number| number as u32));
        weight += weights.len();
    }
    head.extend(windows.iter().flat_map(|(_, weights)| weights).map(|&weight| weight as u32));
    at
}

fn word(number: usize) -> Result<u32> {
    u32::try_from(number).map_err(|_| {
        Error::limit("lay out photographs", "offsets below 2^32", format!("{number}; use a smaller batch"))
    })
}
