//! A thread that polls a device for futures. On native targets wgpu runs callbacks only while some thread polls, and
//! the threads of an async executor must not block.

use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

/// The thread. It starts when it is first needed and ends after the context that owns this value is dropped.
#[derive(Default)]
pub(super) struct Poller(OnceLock<Sender<wgpu::SubmissionIndex>>);

impl Poller {
    /// Polls `device` on the thread until `submission` is done.
    pub(super) fn watch(&self, device: &wgpu::Device, submission: wgpu::SubmissionIndex) {
        let submissions = self.0.get_or_init(|| {
            let (sender, submissions) = channel::<wgpu::SubmissionIndex>();
            let device = device.clone();
            let thread = std::thread::Builder::new().name("tcvit poll".into());
            let started = thread.spawn(move || {
                submissions.into_iter().for_each(|submission| poll(&device, submission));
            });
            if let Err(error) = started {
                tracing::warn!(%error, "the thread that polls the device cannot be started");
            }
            sender
        });
        // Sending fails only if the thread could not be started. The caller's thread polls in that case.
        if let Err(unsent) = submissions.send(submission) {
            poll(device, unsent.0);
        }
    }
}

/// Blocks until `submission` is done. A lost device gives its callbacks an error.
fn poll(device: &wgpu::Device, submission: wgpu::SubmissionIndex) {
    let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
    if let Err(error) = device.poll(wait) {
        tracing::debug!(%error, "polling the device failed");
    }
}
