//! How a context waits for reports of error scopes, for submissions, and for the news that the device is lost.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use super::Context;
use super::context::lock;
use super::poller::Waiting;
use crate::error::{Error, Result};

/// The report of an error scope. Native backends report at once, browsers later.
pub(super) type Scope = Pin<Box<dyn Future<Output = Option<wgpu::Error>> + Send>>;

impl Context {
    /// Runs `work` and returns the first error that wgpu reports meanwhile. wgpu's default handler would panic. If a
    /// report comes later, [`Context::settled`] returns it.
    pub(crate) fn checked<T>(&self, op: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let device = &self.inner.device;
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let value = work();
        let scopes: [Scope; 3] = [Box::pin(validation.pop()), Box::pin(internal.pop()), Box::pin(memory.pop())];
        let mut reported = None;
        for mut scope in scopes {
            match scope.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())) {
                Poll::Ready(report) => reported = reported.or(report),
                Poll::Pending => lock(&self.inner.scopes).push((op.to_owned(), scope)),
            }
        }
        self.healthy(op)?;
        let value = match reported {
            Some(error) => Err(refused(op, error)),
            None => value,
        };
        value.map_err(|error| match error {
            Error::Device { .. } => self.lost_or(op, error),
            other => other,
        })
    }

    /// Waits for the reports of all open error scopes and returns the first error among them.
    ///
    /// # Errors
    /// [`Error::Device`] when the device refused something or is lost.
    pub(crate) async fn settled(&self) -> Result<()> {
        let scopes = std::mem::take(&mut *lock(&self.inner.scopes));
        let mut first = None;
        for (op, scope) in scopes {
            if let Some(error) = scope.await {
                first.get_or_insert(refused(&op, error));
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Blocks until all submitted work is done.
    ///
    /// # Errors
    /// [`Error::Device`] when the device is lost or reports a fault.
    pub fn wait(&self, op: &str) -> Result<()> {
        self.wait_for(op, None, None)
    }

    /// Waits until all submitted work is done. On native targets this blocks the thread, so code that must not block
    /// runs it on another thread.
    #[allow(clippy::unused_async, reason = "browsers wait here")]
    pub(crate) async fn done(&self, op: &str) -> Result<()> {
        self.wait(op)
    }

    /// Like [`Context::wait`], but only for work up to `submission`, and for at most `timeout`.
    pub(crate) fn wait_for(
        &self,
        op: &str,
        submission_index: Option<wgpu::SubmissionIndex>,
        timeout: Option<Duration>,
    ) -> Result<()> {
        let wait = self.inner.device.poll(wgpu::PollType::Wait { submission_index, timeout });
        self.healthy(op)?;
        match wait {
            Ok(_) => Ok(()),
            // A lost device may report this too, without a limit.
            Err(wgpu::PollError::Timeout) if timeout.is_some() => Ok(()),
            Err(error) => {
                Err(self.lost_or(op, Error::device(op, "the device to finish", error.to_string()).caused_by(error)))
            }
        }
    }

    /// The loss of the device, if that is what `error` comes from; `error` otherwise. wgpu tells of the loss only when it is
    /// polled.
    pub(crate) fn lost_or(&self, op: &str, error: Error) -> Error {
        // Only the news of a loss matters here.
        let _ = self.notice(op);
        self.healthy(op).err().unwrap_or(error)
    }

    /// Lets a thread poll the device until `waiting` is over. The wait ends when `submission` is done.
    pub(super) fn watch(&self, submission: wgpu::SubmissionIndex, waiting: Arc<dyn Waiting>) {
        self.inner.poller.watch(&self.inner.device, submission, waiting);
    }

    /// Lets wgpu handle events without waiting, such as the loss of the device or buffers that become free.
    pub(crate) fn notice(&self, op: &str) -> Result<()> {
        let poll = self.inner.device.poll(wgpu::PollType::Poll);
        self.healthy(op)?;
        poll.map(|_| ()).map_err(|error| Error::device(op, "the device to answer", error.to_string()).caused_by(error))
    }

    /// Returns an error if the device was lost or reported a fault since it was opened.
    pub(crate) fn healthy(&self, op: &str) -> Result<()> {
        match &*lock(&self.inner.fault) {
            Some(fault) => Err(Error::device(op, "a working device; open a new Context", fault.clone())),
            None => Ok(()),
        }
    }
}

fn refused(op: &str, error: wgpu::Error) -> Error {
    Error::device(op, "a device that is not lost and accepts the work", error.to_string()).caused_by(error)
}
