//! A wgpu device with the data that this crate keeps for it: compiled pipelines, limits, and a report of the device's
//! loss.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use super::agenda::Agenda;
use super::open::{Observer, Verification};
use super::pipelines::PipelineTable;
use super::poller::{Poller, Waiting};
use super::shaders::Shaders;
use super::store::{Keep, PipelineCache, Store};
use super::{Choices, Kernel, PipelineKey, Precision, Traits};
use crate::error::{Error, Result};

/// A device and queue, either the caller's own or opened by this crate. Cloning is cheap and shares the compiled
/// pipelines.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
    /// The postponed verifications ([`Context::drafting`]). `None` if each verification runs at once.
    agenda: Option<Arc<Agenda>>,
}

struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    traits: Traits,
    pipelines: PipelineTable,
    shaders: Shaders,
    choices: Choices,
    /// Pipelines of fallbacks, which run without verification.
    fallbacks: Mutex<HashSet<PipelineKey>>,
    manner: Manner,
    tuning: Mutex<Duration>,
    store: Store,
    cache: PipelineCache,
    fault: Arc<Mutex<Option<String>>>,
    /// Bytes written to buffers since uploads were last waited for.
    staged: AtomicUsize,
    /// Error scopes that have not reported yet.
    scopes: Mutex<Vec<(String, Scope)>>,
    poller: Poller,
}

/// The report of an error scope. Native backends report at once, browsers later.
type Scope = Pin<Box<dyn Future<Output = Option<wgpu::Error>> + Send>>;

/// How a context chooses what to run.
#[derive(Clone, Debug, Default)]
pub(super) struct Manner {
    /// Whether findings are kept on disk, and earlier findings are read from there.
    pub(super) kept: bool,
    /// Whether the context searches for the fastest ways.
    pub(super) tune: bool,
    /// Names of kernels that are not used.
    pub(super) avoid: Vec<String>,
    /// Whether the context assumes that ways are verified, without a comparison.
    pub(super) rehearses: bool,
    /// The observer of verifications.
    pub(super) observer: Option<Observer>,
}

impl Context {
    /// A context that chooses ways as on a device of `traits`. It takes a way as verified if the way's comparison would
    /// run exactly the same pipeline. With it, a test can list what sessions would run on devices that are not at hand.
    /// `device` must have the features of `traits`, but need not compute anything (wgpu's `noop` backend). Nothing is
    /// kept on disk.
    pub(crate) fn rehearsing(device: wgpu::Device, queue: wgpu::Queue, traits: Traits) -> Self {
        let manner = Manner { rehearses: true, ..Manner::default() };
        Self::assemble(device, queue, traits, Shaders::embedded(), Arc::default(), &Keep::Nothing, manner)
    }

    pub(super) fn assemble(
        device: wgpu::Device,
        queue: wgpu::Queue,
        traits: Traits,
        shaders: Shaders,
        fault: Arc<Mutex<Option<String>>>,
        keep: &Keep,
        manner: Manner,
    ) -> Self {
        let info = device.adapter_info();
        let store = Store::open(keep, &info);
        let cache = if manner.kept { PipelineCache::open(&device, &store) } else { PipelineCache::default() };
        let inner = Inner {
            choices: if manner.kept { Choices::kept_in(&store) } else { Choices::default() },
            fallbacks: Mutex::default(),
            manner,
            tuning: Mutex::default(),
            staged: AtomicUsize::new(0),
            pipelines: PipelineTable::default(),
            device,
            queue,
            info,
            traits,
            shaders,
            store,
            cache,
            fault,
            scopes: Mutex::default(),
            poller: Poller::default(),
        };
        Self { inner: Arc::new(inner), agenda: None }
    }

    /// The same context with an empty agenda. It assumes that unverified ways are right, and puts their verifications
    /// on the agenda ([`settle`](super::settle)).
    pub(super) fn drafting(&self) -> Self {
        Self { inner: self.inner.clone(), agenda: Some(Arc::default()) }
    }

    /// The postponed verifications, in a context made by [`Context::drafting`].
    pub(crate) fn agenda(&self) -> Option<&Agenda> {
        self.agenda.as_deref()
    }

    /// The wgpu device.
    pub fn device(&self) -> &wgpu::Device {
        &self.inner.device
    }

    /// The wgpu queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.inner.queue
    }

    /// The device's limits, which may be smaller than the adapter's.
    pub fn limits(&self) -> &wgpu::Limits {
        &self.inner.traits.limits
    }

    /// The traits of the device, by which kernels are chosen.
    pub(crate) fn traits(&self) -> &Traits {
        &self.inner.traits
    }

    /// The adapter behind the device.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.inner.info
    }

    /// One line for people: adapter name, backend, driver.
    pub fn describe(&self) -> String {
        self.inner.traits.name.clone()
    }

    /// Whether the adapter measures GPU time, for [`Session::profile`](crate::Session::profile).
    pub fn can_profile(&self) -> bool {
        self.device().features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Whether the device has all that `kernel` needs, and the context need not avoid the kernel.
    pub(crate) fn supports(&self, kernel: &Kernel) -> bool {
        self.inner.traits.supports(kernel) && !self.inner.manner.avoid.iter().any(|avoided| avoided == kernel.name)
    }

    /// Whether the context assumes that ways are verified, without a comparison.
    pub(crate) fn rehearses(&self) -> bool {
        self.inner.manner.rehearses
    }

    /// Whether a session may run the pipeline of `key`: it is verified on this device, it is a fallback, or its
    /// verification is on the agenda and takes place before anything runs.
    pub(crate) fn may_run(&self, key: &PipelineKey) -> bool {
        self.inner.choices.verdict(key) == Some(true)
            || self.is_fallback(key)
            || self.agenda().is_some_and(|agenda| agenda.verifies(key))
    }

    /// Whether `key` is the pipeline of a fallback that a session asked for.
    pub(crate) fn is_fallback(&self, key: &PipelineKey) -> bool {
        lock(&self.inner.fallbacks).contains(key)
    }

    /// Lets sessions run the pipeline of `key`, which belongs to a fallback.
    pub(crate) fn allow_fallback(&self, key: PipelineKey) {
        lock(&self.inner.fallbacks).insert(key);
    }

    /// Reports a verification to the observer, if there is one.
    pub(crate) fn observe(&self, verification: &Verification<'_>) {
        if let Some(observer) = &self.inner.manner.observer {
            observer.hear(verification);
        }
    }

    /// The keys of all pipelines compiled so far.
    pub(crate) fn compiled(&self) -> Vec<PipelineKey> {
        self.inner.pipelines.keys()
    }

    /// The precision in which a model is stored unless its options name another: f16 if the device can compute with
    /// f16, because f16 is faster there, and f32 otherwise.
    pub fn preferred_precision(&self) -> Precision {
        match self.device().features().contains(wgpu::Features::SHADER_F16) {
            true => Precision::F16,
            false => Precision::F32,
        }
    }

    /// The findings about this device.
    pub(crate) fn choices(&self) -> &Choices {
        &self.inner.choices
    }

    /// Whether the context searches for the fastest kernels ([`ContextOptions::tune`](super::ContextOptions::tune)).
    pub(crate) fn tunes(&self) -> bool {
        self.inner.manner.tune
    }

    /// The time that the search for the fastest kernels has taken so far.
    pub(crate) fn tuning_time(&self) -> Duration {
        *lock(&self.inner.tuning)
    }

    pub(crate) fn spent_tuning(&self, time: Duration) {
        *lock(&self.inner.tuning) += time;
    }

    pub(crate) fn pipelines(&self) -> &PipelineTable {
        &self.inner.pipelines
    }

    pub(crate) fn shaders(&self) -> &Shaders {
        &self.inner.shaders
    }

    /// The store on disk for this adapter and driver.
    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(super) fn cache(&self) -> &PipelineCache {
        &self.inner.cache
    }

    /// Writes the compiled pipelines to disk for the next run, if the store and the device can keep them. Does nothing
    /// if no pipeline is new. Opening a session calls this.
    pub(crate) fn keep_pipelines(&self) {
        self.inner.cache.save(&self.inner.store);
    }

    /// Writes the findings about the device to disk for the next run, unless the context keeps nothing.
    pub(crate) fn keep_choices(&self) {
        if self.inner.manner.kept {
            self.inner.choices.keep_in(&self.inner.store);
        }
    }

    /// Counts `bytes` more as written to buffers and returns the total.
    pub(super) fn staged(&self, bytes: usize) -> usize {
        self.inner.staged.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    pub(super) fn nothing_staged(&self) {
        self.inner.staged.store(0, Ordering::Relaxed);
    }

    /// The largest range that one storage binding may cover, in bytes.
    pub(crate) fn max_binding(&self) -> u64 {
        self.limits().max_storage_buffer_binding_size.min(self.limits().max_buffer_size)
    }

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
        reported.map_or(value, |error| Err(refused(op, error)))
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
            Err(error) => Err(Error::device(op, "the device to finish", error.to_string()).caused_by(error)),
        }
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

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Context").field(&self.describe()).finish()
    }
}

fn refused(op: &str, error: wgpu::Error) -> Error {
    Error::device(op, "a device that is not lost and accepts the work", error.to_string()).caused_by(error)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the first fault, because later faults are usually its consequences.
pub(super) fn note(slot: &Mutex<Option<String>>, message: String) {
    slot.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
}
