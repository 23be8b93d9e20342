//! A request to map buffers to host memory, with three ways to wait for it: asking whether it is done, blocking, and a
//! future.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use super::Context;
use super::poller::Waiting;
use crate::error::{Error, Result};

/// How long a blocked thread waits before it polls the device again. The callbacks may have run in another thread's
/// poll.
const PAUSE: Duration = Duration::from_millis(10);

/// A request to map buffers once a submission is done.
pub(crate) struct Mapping {
    op: &'static str,
    submission: wgpu::SubmissionIndex,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    answered: Condvar,
}

#[derive(Default)]
struct State {
    /// Buffers for which the driver has not answered yet.
    left: usize,
    failure: Option<String>,
    waker: Option<Waker>,
}

impl Waiting for Shared {
    fn is_over(&self) -> bool {
        self.state().left == 0
    }

    fn fail(&self, failure: String) {
        let mut state = self.state();
        state.left = 0;
        state.failure.get_or_insert(failure);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        self.answered.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The callback's end for one buffer. If it is dropped without an answer, this counts as a failure.
struct Answer(Option<Arc<Shared>>);

impl Answer {
    fn give(&mut self, failure: Option<String>) {
        let Some(shared) = self.0.take() else { return };
        let mut state = shared.state();
        state.left = state.left.saturating_sub(1);
        state.failure = state.failure.take().or(failure);
        if state.left == 0 {
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
            shared.answered.notify_all();
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.give(Some("the driver dropped the read-back".into()));
    }
}

impl Mapping {
    /// Asks for `buffers` to be mapped for reading once `submission` is done.
    ///
    /// # Errors
    /// [`Error::Device`] when the device is lost or refuses.
    pub(crate) fn new(
        context: &Context,
        op: &'static str,
        buffers: &[wgpu::Buffer],
        submission: wgpu::SubmissionIndex,
    ) -> Result<Self> {
        let state = State { left: buffers.len(), ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), answered: Condvar::new() });
        // The error scope is needed because mapping is a validation error on a device that the application has
        // destroyed.
        context.checked(op, || {
            for buffer in buffers {
                let mut answer = Answer(Some(shared.clone()));
                buffer.map_async(wgpu::MapMode::Read, .., move |result| {
                    answer.give(result.err().map(|error| error.to_string()));
                });
            }
            Ok(())
        })?;
        Ok(Self { op, submission, shared })
    }

    /// The answer, once every buffer has one.
    fn answer(&self, state: &mut State) -> Option<Result<()>> {
        (state.left == 0).then(|| match state.failure.take() {
            None => Ok(()),
            Some(failure) => Err(Error::device(self.op, "the buffer to map", failure)),
        })
    }

    /// Whether every buffer has an answer: it is mapped or cannot be. Does not wait.
    ///
    /// # Errors
    /// [`Error::Device`] when the device is lost.
    pub(crate) fn is_ready(&self, context: &Context) -> Result<bool> {
        context.notice(self.op)?;
        Ok(self.shared.state().left == 0)
    }

    /// Blocks until the buffers are mapped, for at most `timeout`. Returns whether they are mapped.
    ///
    /// # Errors
    /// [`Error::Device`] when the device is lost or a buffer cannot be mapped.
    pub(crate) fn wait(&self, context: &Context, timeout: Option<Duration>) -> Result<bool> {
        let start = Instant::now();
        loop {
            let left = timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
            context.wait_for(self.op, Some(self.submission.clone()), left)?;
            let mut state = self.shared.state();
            if state.left > 0 && left.is_none_or(|left| !left.is_zero()) {
                let pause = left.map_or(PAUSE, |left| left.min(PAUSE));
                state = self.shared.answered.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
            }
            let answer = self.answer(&mut state);
            drop(state);
            if let Some(answer) = answer {
                return answer.map(|()| true).map_err(|error| context.lost_or(self.op, error));
            }
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(false);
            }
        }
    }

    /// Waits until the buffers are mapped. On native targets this blocks the thread. Code that must not block runs it
    /// on another thread or polls ([`Mapping::poll`]).
    #[allow(clippy::unused_async, reason = "browsers wait here")]
    pub(crate) async fn done(&self, context: &Context) -> Result<()> {
        self.wait(context, None).map(|_| ())
    }

    /// One poll of a future. If the buffers are not mapped yet, `waker` is woken once they are.
    pub(crate) fn poll(&self, context: &Context, waker: &Waker) -> Poll<Result<()>> {
        let mut state = self.shared.state();
        if let Some(answer) = self.answer(&mut state) {
            drop(state);
            return Poll::Ready(answer.map_err(|error| context.lost_or(self.op, error)));
        }
        if state.waker.replace(waker.clone()).is_none() {
            context.watch(self.submission.clone(), self.shared.clone());
        }
        Poll::Pending
    }
}
