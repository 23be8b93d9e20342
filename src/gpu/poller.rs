//! A thread that polls a device for futures. On native targets wgpu runs callbacks only while a thread polls the
//! device, and the threads of an async executor must not block.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The longest time of one poll. During a poll wgpu holds locks of the device, and other threads that submit wait for
/// these locks.
const SLICE: Duration = Duration::from_millis(1);

/// Something that waits for a submission.
pub(super) trait Waiting: Send + Sync {
    /// Whether the callbacks that it waits for have run.
    fn is_over(&self) -> bool;

    /// Ends the wait with an error.
    fn fail(&self, failure: String);
}

type Job = (wgpu::SubmissionIndex, Arc<dyn Waiting>);

/// The thread, started when it is first needed. It ends after the context that owns this value is dropped.
#[derive(Default)]
pub(super) struct Poller(OnceLock<Sender<Job>>);

impl Poller {
    /// Polls `device` on the thread until `waiting` is over. The wait ends when `submission` is done.
    pub(super) fn watch(&self, device: &wgpu::Device, submission: wgpu::SubmissionIndex, waiting: Arc<dyn Waiting>) {
        let jobs = self.0.get_or_init(|| {
            let (sender, jobs) = channel::<Job>();
            let device = device.clone();
            let thread = std::thread::Builder::new().name("tcvit poll".into());
            let started = thread.spawn(move || jobs.into_iter().for_each(|job| poll(&device, &job)));
            if let Err(error) = started {
                tracing::warn!(%error, "the thread that polls the device cannot be started");
            }
            sender
        });
        // Sending fails only if the thread could not be started: then the caller's thread polls.
        if let Err(unsent) = jobs.send((submission, waiting)) {
            poll(device, &unsent.0);
        }
    }
}

/// Polls until the wait is over. A lost device either answers its callbacks with errors or fails the poll.
fn poll(device: &wgpu::Device, (submission, waiting): &Job) {
    while !waiting.is_over() {
        let wait = wgpu::PollType::Wait { submission_index: Some(submission.clone()), timeout: Some(SLICE) };
        match device.poll(wait) {
            Err(wgpu::PollError::Timeout) => {}
            Err(error) => waiting.fail(error.to_string()),
            // Another thread's poll took the callbacks and is about to run them.
            Ok(_) if !waiting.is_over() => std::thread::sleep(SLICE),
            Ok(_) => {}
        }
    }
}
