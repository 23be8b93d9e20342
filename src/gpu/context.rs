//! A wgpu device with what this crate keeps per device: compiled pipelines, limits, and the news of its loss.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::adapters::enumerate;
use super::open::{Observer, Verification};
use super::pipelines::PipelineTable;
use super::shaders::Shaders;
use super::store::{Keep, PipelineCache, Store};
use super::{Choices, Kernel, PipelineKey, Precision, Tile, Traits};
use crate::error::{Error, Result};

/// A device and queue, the caller's own or one made here. Cloning is cheap and shares the compiled pipelines.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

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
}

/// How a context finds out what to run.
#[derive(Clone, Debug, Default)]
pub(super) struct Manner {
    /// Whether what was found is kept on disk, and what is there is believed.
    pub(super) kept: bool,
    /// Whether the fastest ways are searched for.
    pub(super) tune: bool,
    /// Kernels that are not used, by name.
    pub(super) avoid: Vec<String>,
    /// Whether ways are taken for verified without a comparison.
    pub(super) rehearses: bool,
    /// Who hears of verifications.
    pub(super) observer: Option<Observer>,
}

impl Context {
    /// Uses a device and queue that the application already owns. Its error and device-lost handlers stay its own:
    /// what this crate does is checked in error scopes instead. What is worth keeping between runs is kept as
    /// [`Keep::Default`] says; [`Context::from_device_with`] chooses.
    ///
    /// ```no_run
    /// # fn app(device: wgpu::Device, queue: wgpu::Queue) -> tcvit::Result<()> {
    /// let gpu = tcvit::Context::from_device(device, queue);
    /// let model = tcvit::Model::load(&gpu, "deit_small.safetensors")?;
    /// # Ok(()) }
    /// ```
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        Self::from_device_with(device, queue, &Keep::default())
    }

    /// As [`Context::from_device`], with a choice of what is kept on disk. Pipelines are only where the device has
    /// [`wgpu::Features::PIPELINE_CACHE`].
    pub fn from_device_with(device: wgpu::Device, queue: wgpu::Queue, keep: &Keep) -> Self {
        let tile = Tile::of_device(&device, || pollster::block_on(enumerate()));
        let traits = Traits::new(&device.adapter_info(), device.features(), device.limits(), tile, false);
        let manner = Manner { kept: true, ..Manner::default() };
        Self::assemble(device, queue, traits, Shaders::embedded(), Arc::default(), keep, manner)
    }

    /// A context that chooses ways as on a device of `traits`, and takes each for verified if its comparison would run the
    /// very pipeline: to list what sessions would run on devices that are not at hand. `device` must have the features, and
    /// may compute nothing (wgpu's `noop` backend); nothing is kept.
    pub fn rehearsing(device: wgpu::Device, queue: wgpu::Queue, traits: Traits) -> Self {
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
        Self(Arc::new(Inner {
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
        }))
    }

    /// The wgpu device.
    pub fn device(&self) -> &wgpu::Device {
        &self.0.device
    }

    /// The wgpu queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.0.queue
    }

    /// The device's limits, which may be smaller than the adapter's.
    pub fn limits(&self) -> &wgpu::Limits {
        &self.0.traits.limits
    }

    /// What kernels are chosen by.
    pub fn traits(&self) -> &Traits {
        &self.0.traits
    }

    /// The adapter behind the device.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.0.info
    }

    /// One line for people: name, backend, driver.
    pub fn describe(&self) -> String {
        self.0.traits.name.clone()
    }

    /// Whether the adapter measures GPU time, for [`Session::profile`](crate::Session::profile).
    pub fn can_profile(&self) -> bool {
        self.device().features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// Whether the device has what `kernel` needs, and the kernel is not to be avoided.
    pub fn supports(&self, kernel: &Kernel) -> bool {
        self.0.traits.supports(kernel) && !self.0.manner.avoid.iter().any(|avoided| avoided == kernel.name)
    }

    /// Whether ways are taken for verified without a comparison.
    pub(crate) fn rehearses(&self) -> bool {
        self.0.manner.rehearses
    }

    /// Whether a session may run the pipeline of `key`: it is verified on this device, or a fallback.
    pub(crate) fn may_run(&self, key: &PipelineKey) -> bool {
        self.0.choices.verdict(key) == Some(true) || self.is_fallback(key)
    }

    /// Whether the pipeline of `key` is that of a fallback that a session asked for.
    pub fn is_fallback(&self, key: &PipelineKey) -> bool {
        self.0.fallbacks.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    /// Lets sessions run the pipeline of `key`, which is that of a fallback.
    pub(crate) fn allow_fallback(&self, key: PipelineKey) {
        self.0.fallbacks.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
    }

    /// Tells the observer, if there is one, how a verification goes.
    pub(crate) fn observe(&self, verification: &Verification<'_>) {
        if let Some(observer) = &self.0.manner.observer {
            observer.hear(verification);
        }
    }

    /// The keys of every pipeline that was compiled so far.
    pub fn compiled(&self) -> Vec<PipelineKey> {
        self.0.pipelines.keys()
    }

    /// What numbers are stored in unless the caller says otherwise: f16 where the device computes with it, for there it is
    /// the faster; else f32.
    pub fn preferred_precision(&self) -> Precision {
        match self.device().features().contains(wgpu::Features::SHADER_F16) {
            true => Precision::F16,
            false => Precision::F32,
        }
    }

    /// What was found out about this device.
    pub fn choices(&self) -> &Choices {
        &self.0.choices
    }

    /// Whether the fastest kernels are searched for ([`ContextOptions::tune`](super::ContextOptions::tune)).
    pub fn tunes(&self) -> bool {
        self.0.manner.tune
    }

    /// What searching has taken so far.
    pub(crate) fn tuning_time(&self) -> Duration {
        *self.0.tuning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn spent_tuning(&self, time: Duration) {
        *self.0.tuning.lock().unwrap_or_else(PoisonError::into_inner) += time;
    }

    pub(crate) fn pipelines(&self) -> &PipelineTable {
        &self.0.pipelines
    }

    pub(crate) fn shaders(&self) -> &Shaders {
        &self.0.shaders
    }

    /// What is kept on disk for this adapter and driver.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    pub(super) fn cache(&self) -> &PipelineCache {
        &self.0.cache
    }

    /// Keeps the pipelines compiled so far for the next run, where the store and the device can; does nothing when there
    /// are no new ones. Opening a session does this.
    pub fn keep_pipelines(&self) {
        self.0.cache.save(&self.0.store);
    }

    /// Keeps what was found out about the device for the next run, where that is wanted.
    pub(crate) fn keep_choices(&self) {
        if self.0.manner.kept {
            self.0.choices.keep_in(&self.0.store);
        }
    }

    /// Counts `bytes` more as written to buffers; returns how many there are.
    pub(super) fn staged(&self, bytes: usize) -> usize {
        self.0.staged.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    pub(super) fn nothing_staged(&self) {
        self.0.staged.store(0, Ordering::Relaxed);
    }

    /// The largest range one storage binding may cover, in bytes.
    pub fn max_binding(&self) -> u64 {
        self.limits().max_storage_buffer_binding_size.min(self.limits().max_buffer_size)
    }

    /// Runs `work` and turns whatever wgpu reports meanwhile into an error, instead of a panic in its default handler.
    pub(crate) fn checked<T>(&self, op: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let device = &self.0.device;
        let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let value = work();
        let reported = [validation.pop(), internal.pop(), memory.pop()].map(pollster::block_on);
        self.healthy(op)?;
        match reported.into_iter().flatten().next() {
            Some(error) => Err(Error::device(op, "a device that is not lost and accepts it", error.to_string())),
            None => value,
        }
    }

    /// Blocks until everything submitted so far is done.
    ///
    /// # Errors
    /// [`Error::Device`] when the device is lost or reports a fault.
    pub fn wait(&self, op: &str) -> Result<()> {
        self.wait_for(op, None)
    }

    /// As [`Context::wait`], but only for what was submitted up to `submission`.
    pub(crate) fn wait_for(&self, op: &str, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let wait = self.0.device.poll(wgpu::PollType::Wait { submission_index: submission, timeout: None });
        self.healthy(op)?;
        wait.map(|_| ()).map_err(|error| Error::device(op, "the device to finish", error.to_string()))
    }

    /// Lets wgpu say what has happened, without waiting: that the device is lost, or that buffers are free again.
    pub(crate) fn notice(&self, op: &str) -> Result<()> {
        let poll = self.0.device.poll(wgpu::PollType::Poll);
        self.healthy(op)?;
        poll.map(|_| ()).map_err(|error| Error::device(op, "the device to answer", error.to_string()))
    }

    /// An error if the device was lost or reported a fault since it was opened.
    pub(crate) fn healthy(&self, op: &str) -> Result<()> {
        match &*self.0.fault.lock().unwrap_or_else(PoisonError::into_inner) {
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

/// Keeps the first fault: what follows is usually its consequence.
pub(super) fn note(slot: &Mutex<Option<String>>, message: String) {
    slot.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
}
