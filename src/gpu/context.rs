//! A wgpu device with the data that this crate keeps for it: compiled pipelines, limits, and a report of the device's
//! loss.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::agenda::Agenda;
use super::options::{Observer, Verification};
use super::pipelines::PipelineTable;
use super::poller::Poller;
use super::shaders::Shaders;
use super::store::{Keep, PipelineCache, Store};
use super::waiting::Scope;
use super::{Choices, Kernel, PipelineKey, Precision, Traits};

/// A device and queue, either the caller's own or opened by this crate. Cloning is cheap and shares the compiled
/// pipelines.
#[derive(Clone)]
pub struct Context {
    pub(super) inner: Arc<Inner>,
    /// The postponed verifications ([`Context::drafting`]). `None` if each verification runs at once.
    agenda: Option<Arc<Agenda>>,
}

pub(super) struct Inner {
    pub(super) device: wgpu::Device,
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
    pub(super) fault: Arc<Mutex<Option<String>>>,
    /// Bytes written to buffers since uploads were last waited for.
    staged: AtomicUsize,
    /// Error scopes that have not reported yet.
    pub(super) scopes: Mutex<Vec<(String, Scope)>>,
    pub(super) poller: Poller,
}

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
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Context").field(&self.describe()).finish()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the first fault, because later faults are usually its consequences.
pub(super) fn note(slot: &Mutex<Option<String>>, message: String) {
    slot.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
}
