//! Forwards that were submitted and not yet waited for. Each run has its own host memory for results. The GPU copies
//! the results there, and later runs use the memory again.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::{Duration, Instant};

use image::RgbImage;

use super::finite::finite;
use super::run::Run;
use super::{Input, Outputs, Session};
use crate::error::{Error, Result};
use crate::gpu::Context;
use crate::trace::Trace;

/// The most runs in flight: one that the GPU works on, and one that is ready for it.
pub(super) const DEPTH: usize = 2;

/// Images of a run that is not submitted yet.
enum Queued {
    Pixels { pixels: Vec<f32>, before: usize },
    Photographs(Vec<Cow<'static, RgbImage>>),
}

/// Results that the GPU is working on. This is a future of a [`Trace`], for any executor. [`Pending::wait`] blocks
/// instead. If it is dropped, the results are lost, but submitted work still runs.
///
/// ```no_run
/// # async fn answer(session: tcvit::Session, pixels: Vec<f32>) -> tcvit::Result<()> {
/// let trace = session.submit(&pixels, tcvit::Outputs::logits())?.await?;
/// println!("{:?}", trace.logits);
/// # Ok(()) }
/// ```
#[must_use = "the results come only from waiting"]
pub struct Pending {
    session: Session,
    wanted: Outputs,
    runs: VecDeque<Run>,
    queue: VecDeque<Queued>,
    done: Trace,
    /// Whether the results, or an error, were handed over.
    over: bool,
}

impl Pending {
    pub(super) fn new(session: &Session, wanted: Outputs) -> Self {
        let (runs, queue) = (VecDeque::new(), VecDeque::new());
        Self { session: session.clone(), wanted, runs, queue, done: Trace::default(), over: false }
    }

    /// Submits one more run. If [`DEPTH`] runs are in flight, blocks until the oldest one is done.
    pub(super) fn push(&mut self, input: Input<'_>) -> Result<()> {
        if self.runs.len() == DEPTH {
            self.finish_oldest()?;
        }
        self.runs.push_back(self.session.submit_run(input, self.wanted)?);
        Ok(())
    }

    /// Submits one more run. If [`DEPTH`] runs are in flight, keeps a copy of its input for later instead.
    pub(super) fn submit_or_queue(&mut self, input: Input<'_>) -> Result<()> {
        if self.runs.len() < DEPTH && self.queue.is_empty() {
            return self.push(input);
        }
        self.queue.push_back(match input {
            Input::Pixels { pixels, before } => {
                finite("input pixels", pixels, before)?;
                Queued::Pixels { pixels: pixels.to_vec(), before }
            }
            Input::Photographs(images) => {
                Queued::Photographs(images.iter().map(|image| Cow::Owned(image.clone().into_owned())).collect())
            }
        });
        Ok(())
    }

    /// Submits the next queued run.
    fn submit_queued(&mut self) -> Result<()> {
        match self.queue.pop_front() {
            None => Ok(()),
            Some(Queued::Pixels { pixels, before }) => self.push(Input::Pixels { pixels: &pixels, before }),
            Some(Queued::Photographs(images)) => self.push(Input::Photographs(&images)),
        }
    }

    /// Blocks until the results are there. Results of later submissions may not be there yet.
    ///
    /// # Errors
    /// [`Error::NotFinite`] when results are not finite numbers, [`Error::Device`] when the device fails,
    /// [`Error::Config`] when an earlier call returned the results or an error.
    pub fn wait(mut self) -> Result<Trace> {
        self.advance(|run, context| run.mapping.wait(context, None))?;
        self.hand_over()
    }

    /// Blocks until the results are there, for at most `timeout`. Returns `None` if they are not there by then; call it
    /// again later. Results and errors are handed over once.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<Option<Trace>> {
        let start = Instant::now();
        let wait =
            |run: &Run, context: &Context| run.mapping.wait(context, Some(timeout.saturating_sub(start.elapsed())));
        match self.advance(wait)? {
            true => self.hand_over().map(Some),
            false => Ok(None),
        }
    }

    /// Whether the results are there, so that [`Pending::wait`] would not block. Does not wait for the device, but submits
    /// images that were kept for later, as [`Session::submit`] says.
    ///
    /// # Errors
    /// As [`Pending::wait`].
    pub fn is_ready(&mut self) -> Result<bool> {
        self.advance(|run, context| run.mapping.is_ready(context))
    }

    /// Takes the results of runs that `is_done` finds done, and submits queued runs in their place. Returns whether all runs
    /// are done. After an error there are no runs.
    fn advance(&mut self, is_done: impl Fn(&Run, &Context) -> Result<bool>) -> Result<bool> {
        if self.over {
            return Err(self.nothing_left());
        }
        let mut step = || -> Result<bool> {
            while let Some(run) = self.runs.front() {
                if !is_done(run, self.session.0.model.context())? {
                    return Ok(false);
                }
                self.finish_oldest()?;
                self.submit_queued()?;
            }
            Ok(true)
        };
        let result = step();
        if result.is_err() {
            self.give_up();
        }
        result
    }

    /// The results of all runs.
    fn hand_over(&mut self) -> Result<Trace> {
        self.over = true;
        Ok(std::mem::take(&mut self.done))
    }

    /// Lets go of the runs after an error.
    fn give_up(&mut self) {
        self.over = true;
        self.runs.clear();
        self.queue.clear();
    }

    fn nothing_left(&self) -> Error {
        Error::config("wait for results", "results that were not handed over yet", "a Pending that is over")
    }

    fn finish_oldest(&mut self) -> Result<()> {
        if let Some(run) = self.runs.pop_front() {
            self.done.extend(self.session.finish_run(run, self.wanted)?);
        }
        Ok(())
    }

    /// Polls the oldest run. When the run is done, takes its results and submits the next queued run.
    fn poll_oldest(&mut self, waker: &Waker) -> Poll<Result<()>> {
        let Some(run) = self.runs.front() else { return Poll::Ready(Ok(())) };
        match run.mapping.poll(self.session.0.model.context(), waker) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(mapped) => Poll::Ready(mapped.and_then(|()| {
                self.finish_mapped()?;
                self.submit_queued()
            })),
        }
    }

    /// Like [`Pending::finish_oldest`], for a run whose buffers are mapped.
    fn finish_mapped(&mut self) -> Result<()> {
        if let Some(run) = self.runs.pop_front() {
            self.done.extend(self.session.take_results(run, self.wanted)?);
        }
        Ok(())
    }
}

impl Future for Pending {
    type Output = Result<Trace>;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        if self.over {
            return Poll::Ready(Err(self.nothing_left()));
        }
        while !self.runs.is_empty() {
            match self.poll_oldest(task.waker()) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => {
                    self.give_up();
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Ok(())) => {}
            }
        }
        Poll::Ready(self.hand_over())
    }
}
