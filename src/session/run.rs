//! One run of a session on the device: the upload, the forward, copies of the results into host memory, and what they mean.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytemuck::Pod;

use super::finite::finite;
use super::pending::DEPTH;
use super::{Input, Outputs, Preprocessing, Session};
use crate::condensation::Condensation;
use crate::error::{Error, Result};
use crate::gpu::Mapping;
use crate::trace::{BlockTrace, Trace};

const OP: &str = "read back";

/// Host memory for all outputs of one run.
struct Slot(Vec<wgpu::Buffer>);

/// The slots that no run uses at present.
#[derive(Default)]
pub(super) struct Slots(Mutex<HashMap<Outputs, Vec<Slot>>>);

impl Slots {
    fn take(&self, wanted: Outputs) -> Option<Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&wanted)?.pop()
    }

    fn give(&self, wanted: Outputs, slot: Slot) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = free.entry(wanted).or_default();
        if free.len() < DEPTH {
            free.push(slot);
        }
    }
}

/// One run that was submitted to the device.
pub(super) struct Run {
    slot: Slot,
    images: usize,
    pub(super) mapping: Mapping,
}

impl Session {
    /// The outputs that are read back: each buffer, and its 4-byte elements for one image.
    fn outputs(&self, wanted: Outputs) -> Vec<(&wgpu::Buffer, usize)> {
        let mut outputs = vec![(&self.0.workspace.logits, self.config().classes)];
        if wanted.features {
            outputs.push((&self.0.outputs.features, self.0.plan.last_tokens() * self.config().width));
        }
        if wanted.pooled {
            outputs.push((&self.0.outputs.pooled, self.config().pooled()));
        }
        for selection in self.0.outputs.selections.iter().filter(|_| wanted.blocks) {
            let (patches, dropped) = (selection.patches, if self.fuses() { selection.dropped } else { 0 });
            outputs.extend([
                (&selection.order, patches),
                (&selection.slot, patches),
                (&selection.assigned, dropped),
                (&selection.score, patches),
            ]);
            outputs.extend(selection.connectivity.as_ref().map(|w| (w, patches.pow(2))));
        }
        outputs
    }

    fn fuses(&self) -> bool {
        self.0.plan.condensation.as_ref().is_some_and(Condensation::fuses)
    }

    fn slot(&self, wanted: Outputs) -> Result<Slot> {
        if let Some(slot) = self.0.slots.take(wanted) {
            return Ok(slot);
        }
        let context = self.0.model.context();
        context.checked(OP, || {
            let new = |(_, each): (&wgpu::Buffer, usize)| {
                context.device().create_buffer(&wgpu::BufferDescriptor {
                    label: Some(OP),
                    size: (each * self.0.chunk).max(1) as u64 * 4,
                    usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                })
            };
            Ok(Slot(self.outputs(wanted).into_iter().map(new).collect()))
        })
    }

    /// Submits the uploads, the forward and the copies of its outputs together.
    pub(super) fn submit_run(&self, input: Input<'_>, wanted: Outputs) -> Result<Run> {
        let prepared;
        let input = match (input, self.0.preprocessing) {
            (Input::Photographs(images), Preprocessing::Cpu) => {
                prepared = self.0.model.preprocess().pixels_batch(images)?;
                Input::Pixels { pixels: &prepared, before: 0 }
            }
            (other, _) => other,
        };
        let images = input.images(self.0.plan.elements().pixels);
        let context = self.0.model.context();
        context.notice("submit")?;
        let slot = self.slot(wanted)?;
        // The lock is held from the upload to the copies, so that threads take turns.
        let mut uploads = self.0.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        let index = context.checked("submit", || {
            let mut encoder = uploads.encode(self, input)?;
            self.0.recording.encode(&mut encoder);
            self.copy_outputs(&mut encoder, &slot, images, wanted);
            Ok(uploads.submit(context, encoder))
        })?;
        drop(uploads);
        self.mapped(slot, images, index)
    }

    /// Submits copies of the current outputs.
    fn submit_copies(&self, images: usize, wanted: Outputs) -> Result<Run> {
        let context = self.0.model.context();
        let slot = self.slot(wanted)?;
        let index = context.checked(OP, || {
            let mut encoder = context.device().create_command_encoder(&Default::default());
            self.copy_outputs(&mut encoder, &slot, images, wanted);
            Ok(context.queue().submit([encoder.finish()]))
        })?;
        self.mapped(slot, images, index)
    }

    fn copy_outputs(&self, encoder: &mut wgpu::CommandEncoder, slot: &Slot, images: usize, wanted: Outputs) {
        for ((from, each), to) in self.outputs(wanted).into_iter().zip(&slot.0) {
            if each > 0 {
                encoder.copy_buffer_to_buffer(from, 0, to, 0, (images * each) as u64 * 4);
            }
        }
    }

    /// Requests the slot's buffers to be mapped once the submission is done.
    fn mapped(&self, slot: Slot, images: usize, submission: wgpu::SubmissionIndex) -> Result<Run> {
        let mapping = Mapping::new(self.0.model.context(), OP, &slot.0, submission)?;
        Ok(Run { slot, images, mapping })
    }

    /// Blocks until a run is done and takes its results.
    pub(super) fn finish_run(&self, run: Run, wanted: Outputs) -> Result<Trace> {
        run.mapping.wait(self.0.model.context(), None)?;
        self.take_results(run, wanted)
    }

    /// Takes the results of a run whose buffers are mapped.
    pub(super) fn take_results(&self, run: Run, wanted: Outputs) -> Result<Trace> {
        let Run { slot, images, .. } = run;
        let context = self.0.model.context();
        let trace = self.trace(&slot, images, wanted).map_err(|error| context.lost_or(OP, error))?;
        slot.0.iter().for_each(wgpu::Buffer::unmap);
        self.0.slots.give(wanted, slot);
        finite("logits", &trace.logits, 0)?;
        finite("features", &trace.features, 0)?;
        finite("pooled features", &trace.pooled, 0)?;
        Ok(trace)
    }

    /// The contents of a mapped slot, as a trace of `images` images.
    fn trace(&self, slot: &Slot, images: usize, wanted: Outputs) -> Result<Trace> {
        let config = self.config();
        let mut buffers = slot.0.iter();
        let mut next = |each: usize| buffers.next().map(|buffer| (buffer, images * each)).ok_or_else(missing);
        let mut trace = Trace {
            images,
            tokens: self.0.plan.last_tokens(),
            width: config.width,
            classes: config.classes,
            ..Trace::default()
        };
        trace.logits = read(next(config.classes)?)?;
        if wanted.features {
            trace.features = read(next(trace.tokens * config.width)?)?;
        }
        if wanted.pooled {
            trace.pooled = read(next(config.pooled())?)?;
        }
        for selection in self.0.outputs.selections.iter().filter(|_| wanted.blocks) {
            let (patches, dropped) = (selection.patches, if self.fuses() { selection.dropped } else { 0 });
            let (order, places): (Vec<u32>, Vec<u32>) = (read(next(patches)?)?, read(next(patches)?)?);
            let matches: Vec<u32> = read(next(dropped)?)?;
            let matches = self.fuses().then_some(matches.as_slice());
            let mut block = BlockTrace::new(selection.block, patches, &order, &places, matches);
            block.score = read(next(patches)?)?;
            if selection.connectivity.is_some() {
                block.connectivity = read(next(patches.pow(2))?)?;
            }
            trace.blocks.push(block);
        }
        Ok(trace)
    }

    /// The results of the last submitted forward for its first `images` images. Use this after [`Session::record_into`]
    /// and a submission of the application's own.
    ///
    /// # Errors
    /// [`Error::Shape`] for more images than one run of the session holds; otherwise as [`Session::run`].
    pub fn read_back(&self, images: usize, wanted: Outputs) -> Result<Trace> {
        if images > self.0.chunk {
            return Err(Error::shape(OP, format!("at most {} images", self.0.chunk), images.to_string()));
        }
        self.finish_run(self.submit_copies(images, wanted)?, wanted)
    }
}

fn missing() -> Error {
    Error::device(OP, "a buffer for every result", "none")
}

/// The first `len` 4-byte elements of a mapped buffer.
fn read<T: Pod>((buffer, len): (&wgpu::Buffer, usize)) -> Result<Vec<T>> {
    if len == 0 {
        return Ok(Vec::new());
    }
    let view = buffer
        .get_mapped_range(..len as u64 * 4)
        .map_err(|error| Error::device(OP, "a mapped buffer", error.to_string()).caused_by(error))?;
    let mut data = vec![T::zeroed(); len];
    bytemuck::cast_slice_mut::<T, u8>(&mut data).copy_from_slice(&view);
    Ok(data)
}
