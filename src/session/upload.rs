//! Uploads pixels and photographs to the device through host memory that later runs use again.

use std::borrow::Cow;

use image::RgbImage;
use wgpu::util::StagingBelt;

use super::Session;
use super::finite::copy_finite;
use crate::error::{Error, Result};
use crate::gpu::{Context, Recorder, Recording, empty};
use crate::input::Photographs;
use crate::kernels::resample::{Bindings, record};

const OP: &str = "upload";
/// The most bytes of photographs that are laid out at once. A larger batch is uploaded in parts.
const MOST_BYTES: usize = 64 << 20;

/// The images of one run.
#[derive(Clone, Copy)]
pub(super) enum Input<'a> {
    /// Normalised pixels [B, 3, image, image]. `before` is how many of the caller's numbers come before them.
    Pixels { pixels: &'a [f32], before: usize },
    /// Photographs, which the session prepares.
    Photographs(&'a [Cow<'a, RgbImage>]),
}

impl Input<'_> {
    /// The number of images, if each has `each` normalised pixels.
    pub(super) fn images(&self, each: usize) -> usize {
        match self {
            Self::Pixels { pixels, .. } => pixels.len() / each.max(1),
            Self::Photographs(images) => images.len(),
        }
    }
}

/// Host memory that the device copies from, and the resampler of photographs. Only one run uses it at a time.
pub(super) struct Uploads {
    belt: StagingBelt,
    resampler: Option<Resampler>,
}

/// Buffers for photographs, and a recording of both passes of the resample kernel.
struct Resampler {
    batch: wgpu::Buffer,
    between: wgpu::Buffer,
    passes: Recording,
}

impl Uploads {
    pub(super) fn new(context: &Context) -> Self {
        // The belt allocates as much memory for a run as the run uploads.
        Self { belt: StagingBelt::new(context.device().clone(), 8), resampler: None }
    }

    /// An encoder with commands that put `input` into the session's input buffer.
    pub(super) fn encode(&mut self, session: &Session, input: Input<'_>) -> Result<wgpu::CommandEncoder> {
        let mut encoder = session.0.model.context().device().create_command_encoder(&Default::default());
        match input {
            Input::Pixels { pixels, before } => {
                self.put_pixels(session, &mut encoder, 0, (pixels, before))?;
                Ok(encoder)
            }
            Input::Photographs(images) => self.put_photographs(session, encoder, images),
        }
    }

    /// Submits commands that use this memory. The memory is free again once they are done.
    pub(super) fn submit(&mut self, context: &Context, encoder: wgpu::CommandEncoder) -> wgpu::SubmissionIndex {
        self.belt.finish();
        let index = context.queue().submit([encoder.finish()]);
        self.belt.recall();
        index
    }

    /// Copies pixels to image `slot` and the following ones. The pixels must be finite.
    fn put_pixels(
        &mut self,
        session: &Session,
        encoder: &mut wgpu::CommandEncoder,
        slot: usize,
        (pixels, before): (&[f32], usize),
    ) -> Result<()> {
        let at = slot * session.0.plan.elements().pixels * 4;
        self.put(encoder, &session.0.workspace.pixels, at, size_of_val(pixels), |out| {
            copy_finite("input pixels", pixels, before, out.slice(..))
        })
    }

    /// Copies `size` bytes, a multiple of 4, to byte `at` of `target`. `write` fills in the bytes.
    fn put(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        target: &wgpu::Buffer,
        at: usize,
        size: usize,
        write: impl FnOnce(&mut wgpu::BufferViewMut) -> Result<()>,
    ) -> Result<()> {
        // The size is rounded up. Otherwise each new batch size would leave memory that fits no later batch.
        let Some(room) = wgpu::BufferSize::new(size.next_power_of_two().max(8) as u64) else { return Ok(()) };
        let slice = self.belt.allocate(room, wgpu::BufferSize::MIN);
        encoder.copy_buffer_to_buffer(slice.buffer(), slice.offset(), target, at as u64, size as u64);
        let mapped = slice.slice(..size as u64).get_mapped_range_mut();
        write(&mut mapped.map_err(|error| {
            Error::device(OP, "mapped memory on a device that is not lost", error.to_string()).caused_by(error)
        })?)
    }

    /// Lays photographs out, uploads them and prepares them on the device, in as many parts as their size needs.
    fn put_photographs(
        &mut self,
        session: &Session,
        mut encoder: wgpu::CommandEncoder,
        images: &[Cow<'_, RgbImage>],
    ) -> Result<wgpu::CommandEncoder> {
        let context = session.0.model.context();
        let (mut first, mut before) = (0, None);
        while first < images.len() {
            let count = part(&images[first..], session.config().square(OP)?);
            if first > 0 {
                // At most two parts are in memory: one that is uploaded and one that is written.
                let index = self.submit(context, encoder);
                if let Some(before) = before.replace(index) {
                    context.wait_for(OP, Some(before), None)?;
                }
                encoder = context.device().create_command_encoder(&Default::default());
            }
            self.put_part(session, &mut encoder, first, &images[first..first + count])?;
            first += count;
        }
        Ok(encoder)
    }

    fn put_part(
        &mut self,
        session: &Session,
        encoder: &mut wgpu::CommandEncoder,
        slot: usize,
        images: &[Cow<'_, RgbImage>],
    ) -> Result<()> {
        let (context, preprocess) = (session.0.model.context(), session.0.model.preprocess());
        let most = (context.max_binding() / 4) as usize;
        let laid_out = Photographs::new(preprocess, images, slot, session.0.chunk);
        let photographs = match laid_out {
            Ok(photographs) if photographs.words().max(photographs.middle_words()) <= most => photographs,
            // These photographs are too large for the device, so the CPU prepares them. It gives the same pixels.
            Ok(_) | Err(Error::Limit { .. }) => {
                let pixels = preprocess.pixels_batch(images)?;
                return self.put_pixels(session, encoder, slot, (&pixels, 0));
            }
            Err(error) => return Err(error),
        };
        let fits = |resampler: &Resampler| {
            let words = |buffer: &wgpu::Buffer| (buffer.size() / 4) as usize;
            photographs.words() <= words(&resampler.batch) && photographs.middle_words() <= words(&resampler.between)
        };
        if !self.resampler.as_ref().is_some_and(fits) {
            self.resampler = Some(Resampler::new(session, &photographs, most)?);
        }
        let Some(resampler) = &self.resampler else { return Ok(()) };
        let (batch, size) = (resampler.batch.clone(), photographs.words() * 4);
        self.put(encoder, &batch, 0, size, |out| {
            photographs.write(|at, run| out.slice(at..at + run.len()).copy_from_slice(run));
            Ok(())
        })?;
        if let Some(resampler) = &self.resampler {
            resampler.passes.encode_sized(encoder, &[0, 1].map(|pass| photographs.workgroups(pass)));
        }
        Ok(())
    }
}

/// How many of `images` are uploaded together: as many as fit [`MOST_BYTES`], at least one.
fn part(images: &[Cow<'_, RgbImage>], side: usize) -> usize {
    let mut sum = 0;
    let fits = |image: &&Cow<'_, RgbImage>| {
        let (width, height) = (image.width() as usize, image.height() as usize);
        sum += (width * height * 3).max(width.max(height) * side * 4);
        sum <= MOST_BYTES
    };
    images.iter().take_while(fits).count().max(1)
}

impl Resampler {
    /// A resampler with room for `photographs` and for somewhat larger ones, with at most `most` 4-byte words in a
    /// buffer.
    fn new(session: &Session, photographs: &Photographs<'_>, most: usize) -> Result<Self> {
        let context = session.0.model.context();
        let room = |words: usize| words.next_power_of_two().min(most);
        let batch = empty(context, "photographs", room(photographs.words()))?;
        let between = empty(context, "photographs resized along one axis", room(photographs.middle_words()))?;
        let mut recorder = Recorder::new(context);
        recorder.section("input", None);
        let first = Bindings { batch: &batch, source: &batch, out: &between };
        record(&mut recorder, photographs.params(0), first, photographs.workgroups(0))?;
        let second = Bindings { batch: &batch, source: &between, out: &session.0.workspace.pixels };
        record(&mut recorder, photographs.params(1), second, photographs.workgroups(1))?;
        Ok(Self { passes: recorder.finish()?, batch, between })
    }
}
