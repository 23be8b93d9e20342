//! Forwards that were submitted and not yet waited for. Each run has host memory of its own for its results, which the
//! GPU copies there and which is used again by later runs.

use std::collections::{HashMap, VecDeque};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytemuck::Pod;

use super::finite::finite;
use super::{Input, Preprocessing, Session, Wanted};
use crate::condensation::Condensation;
use crate::error::{Error, Result};
use crate::trace::{BlockTrace, Trace};

const OP: &str = "read back";
/// Runs in flight: one that the GPU works on, and one that is ready for it.
pub(super) const DEPTH: usize = 2;

/// Host memory for everything that is wanted of one run.
struct Slot(Vec<wgpu::Buffer>);

/// The slots that no run uses now.
#[derive(Default)]
pub(super) struct Slots(Mutex<HashMap<Wanted, Vec<Slot>>>);

impl Slots {
    fn take(&self, wanted: Wanted) -> Option<Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&wanted)?.pop()
    }

    fn give(&self, wanted: Wanted, slot: Slot) {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = free.entry(wanted).or_default();
        if free.len() < DEPTH {
            free.push(slot);
        }
    }
}

/// One run on the device, submitted.
struct Run {
    slot: Slot,
    images: usize,
    index: wgpu::SubmissionIndex,
    mapped: Receiver<std::result::Result<(), wgpu::BufferAsyncError>>,
}

/// A batch that the GPU works on. Drop it to do without the results.
#[must_use = "waiting gives the results"]
pub struct Pending<'s> {
    session: &'s Session,
    wanted: Wanted,
    runs: VecDeque<Run>,
    done: Trace,
}

impl<'s> Pending<'s> {
    pub(super) fn new(session: &'s Session, wanted: Wanted) -> Self {
        Self { session, wanted, runs: VecDeque::new(), done: Trace::default() }
    }

    /// Submits a run more. Waits for the oldest where as many as overlap are in flight.
    pub(super) fn push(&mut self, input: Input<'_>) -> Result<()> {
        if self.runs.len() == DEPTH {
            self.finish_oldest()?;
        }
        self.runs.push_back(self.session.submit_run(input, self.wanted)?);
        Ok(())
    }

    /// Waits for the results. Those of later submissions may still be outstanding then.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when results are not finite numbers, [`Error::Device`] when the device fails.
    pub fn wait(mut self) -> Result<Trace> {
        while !self.runs.is_empty() {
            self.finish_oldest()?;
        }
        Ok(self.done)
    }

    fn finish_oldest(&mut self) -> Result<()> {
        if let Some(run) = self.runs.pop_front() {
            self.done.extend(self.session.finish_run(run, self.wanted)?);
        }
        Ok(())
    }
}

impl Session {
    /// Everything that can be read back: buffers and their 4-byte elements for one image.
    fn outputs(&self, wanted: Wanted) -> Vec<(&wgpu::Buffer, usize)> {
        let mut outputs = vec![(&self.workspace.logits, self.config().classes)];
        if wanted.features {
            outputs.push((&self.outputs.features, self.plan.last_tokens() * self.config().width));
        }
        if wanted.pooled {
            outputs.push((&self.outputs.pooled, self.config().pooled()));
        }
        for selection in self.outputs.selections.iter().filter(|_| wanted.blocks) {
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
        self.plan.condensation.as_ref().is_some_and(Condensation::fuses)
    }

    fn slot(&self, wanted: Wanted) -> Result<Slot> {
        if let Some(slot) = self.slots.take(wanted) {
            return Ok(slot);
        }
        let context = self.model.context();
        context.checked(OP, || {
            let new = |(_, each): (&wgpu::Buffer, usize)| {
                context.device().create_buffer(&wgpu::BufferDescriptor {
                    label: Some(OP),
                    size: (each * self.chunk).max(1) as u64 * 4,
                    usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                })
            };
            Ok(Slot(self.outputs(wanted).into_iter().map(new).collect()))
        })
    }

    /// Uploads, forward and copies of the results in one submission.
    fn submit_run(&self, input: Input<'_>, wanted: Wanted) -> Result<Run> {
        let prepared;
        let input = match (input, self.preprocessing) {
            (Input::Photographs(images), Preprocessing::Cpu) => {
                prepared = self.model.preprocess().pixels_batch(images)?;
                Input::Pixels { pixels: &prepared, before: 0 }
            }
            (other, _) => other,
        };
        let images = input.images(self.plan.elements().pixels);
        let context = self.model.context();
        context.notice("submit")?;
        let slot = self.slot(wanted)?;
        // Whoever submits holds this, so that threads take turns from the upload to the copies.
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        let index = context.checked("submit", || {
            let mut encoder = uploads.encode(self, input)?;
            self.recording.encode(&mut encoder);
            self.copy_outputs(&mut encoder, &slot, images, wanted);
            Ok(uploads.submit(context, encoder))
        })?;
        drop(uploads);
        self.mapped(slot, images, index)
    }

    /// Copies of what the buffers hold now.
    fn submit_copies(&self, images: usize, wanted: Wanted) -> Result<Run> {
        let context = self.model.context();
        let slot = self.slot(wanted)?;
        let index = context.checked(OP, || {
            let mut encoder = context.device().create_command_encoder(&Default::default());
            self.copy_outputs(&mut encoder, &slot, images, wanted);
            Ok(context.queue().submit([encoder.finish()]))
        })?;
        self.mapped(slot, images, index)
    }

    fn copy_outputs(&self, encoder: &mut wgpu::CommandEncoder, slot: &Slot, images: usize, wanted: Wanted) {
        for ((from, each), to) in self.outputs(wanted).into_iter().zip(&slot.0) {
            if each > 0 {
                encoder.copy_buffer_to_buffer(from, 0, to, 0, (images * each) as u64 * 4);
            }
        }
    }

    /// Asks for the slot's buffers to be mapped once the submission is done.
    fn mapped(&self, slot: Slot, images: usize, index: wgpu::SubmissionIndex) -> Result<Run> {
        let (sender, mapped) = channel();
        // Checked: on a device that the application has destroyed, mapping is a validation error.
        self.model.context().checked(OP, || {
            for buffer in &slot.0 {
                let sender = sender.clone();
                buffer.map_async(wgpu::MapMode::Read, .., move |result| {
                    // A run that was dropped has nobody to tell.
                    let _ = sender.send(result);
                });
            }
            Ok(())
        })?;
        Ok(Run { slot, images, index, mapped })
    }

    fn finish_run(&self, run: Run, wanted: Wanted) -> Result<Trace> {
        let Run { slot, images, index, mapped } = run;
        let context = self.model.context();
        let mut left = slot.0.len();
        context.wait_for(OP, Some(index.clone()))?;
        while left > 0 {
            // Another thread's poll may be the one that runs our callbacks, after ours has returned: so ask until they ran.
            match mapped.recv_timeout(Duration::from_millis(10)) {
                Ok(Ok(())) => left -= 1,
                Ok(Err(error)) => return Err(Error::device(OP, "the buffer to map", error.to_string())),
                Err(RecvTimeoutError::Timeout) => context.wait_for(OP, Some(index.clone()))?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::device(OP, "the device to answer", "it dropped the request"));
                }
            }
        }
        let trace = self.trace(&slot, images, wanted)?;
        slot.0.iter().for_each(wgpu::Buffer::unmap);
        self.slots.give(wanted, slot);
        finite("logits", &trace.logits)?;
        finite("features", &trace.features)?;
        finite("pooled features", &trace.pooled)?;
        Ok(trace)
    }

    /// What a mapped slot holds, as a trace of `images` images.
    fn trace(&self, slot: &Slot, images: usize, wanted: Wanted) -> Result<Trace> {
        let config = self.config();
        let mut buffers = slot.0.iter();
        let mut next = |each: usize| buffers.next().map(|buffer| (buffer, images * each)).ok_or_else(missing);
        let mut trace = Trace {
            images,
            tokens: self.plan.last_tokens(),
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
        for selection in self.outputs.selections.iter().filter(|_| wanted.blocks) {
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

    /// Results of the forward that was submitted last, for its first `images` images: of one that was written into the
    /// application's own encoder.
    ///
    /// # Errors
    /// [`Error::Shape`] for more images than the session's batch; else as [`Session::run`].
    pub fn read_back(&self, images: usize, wanted: Wanted) -> Result<Trace> {
        if images > self.chunk {
            return Err(Error::shape(OP, format!("at most {} images", self.chunk), images.to_string()));
        }
        self.finish_run(self.submit_copies(images, wanted)?, wanted)
    }
}

fn missing() -> Error {
    Error::device(OP, "a buffer for every result", "none")
}

/// The first elements of a mapped buffer.
fn read<T: Pod>((buffer, len): (&wgpu::Buffer, usize)) -> Result<Vec<T>> {
    if len == 0 {
        return Ok(Vec::new());
    }
    let view = buffer
        .get_mapped_range(..len as u64 * 4)
        .map_err(|error| Error::device(OP, "a mapped buffer", error.to_string()))?;
    let mut data = vec![T::zeroed(); len];
    bytemuck::cast_slice_mut::<T, u8>(&mut data).copy_from_slice(&view);
    Ok(data)
}
