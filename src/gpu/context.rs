//! A wgpu device with what this crate keeps per device: compiled pipelines, limits, and the news of its loss.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::adapters::enumerate;
use super::pipelines::{Kernel, PipelineTable};
use super::shaders::Shaders;
use super::store::{Keep, PipelineCache, Store};
use super::{Choices, Precision, Tile, Variant};
use crate::error::{Error, Result};

/// A device and queue, the caller's own or one made here. Cloning is cheap and shares the compiled pipelines.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    device: wgpu::Device,
    queue: wgpu::Queue,
    limits: wgpu::Limits,
    info: wgpu::AdapterInfo,
    tile: Option<Tile>,
    pipelines: PipelineTable,
    shaders: Shaders,
    choices: Choices,
    trust: Trust,
    tuning: Mutex<Duration>,
    store: Store,
    cache: PipelineCache,
    fault: Arc<Mutex<Option<String>>>,
    /// Bytes written to buffers since uploads were last waited for.
    staged: AtomicUsize,
}

/// How far what is known about the device goes, and what it is taken for.
#[derive(Clone, Copy)]
pub(super) struct Trust {
    /// Whether what was found is kept on disk, and what is there is believed.
    pub(super) kept: bool,
    /// Whether more is searched for.
    pub(super) tune: bool,
    /// Whether kernels are chosen as for a GPU, whatever the device is.
    pub(super) as_gpu: bool,
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
        let trust = Trust { kept: true, tune: false, as_gpu: false };
        Self::assemble(device, queue, tile, Shaders::embedded(), Arc::default(), keep, trust)
    }

    pub(super) fn assemble(
        device: wgpu::Device,
        queue: wgpu::Queue,
        tile: Option<Tile>,
        shaders: Shaders,
        fault: Arc<Mutex<Option<String>>>,
        keep: &Keep,
        trust: Trust,
    ) -> Self {
        let (limits, info) = (device.limits(), device.adapter_info());
        let store = Store::open(keep, &info);
        let cache = if trust.kept { PipelineCache::open(&device, &store) } else { PipelineCache::default() };
        Self(Arc::new(Inner {
            choices: if trust.kept { Choices::kept_in(&store) } else { Choices::default() },
            trust,
            tuning: Mutex::default(),
            staged: AtomicUsize::new(0),
            pipelines: PipelineTable::default(),
            device,
            queue,
            limits,
            info,
            tile,
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
        &self.0.limits
    }

    /// The adapter behind the device.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.0.info
    }

    /// Whether kernels are chosen for a CPU that emulates a GPU: where the adapter is one, unless
    /// [`ContextOptions::as_gpu`](super::ContextOptions::as_gpu) says otherwise. Its loads are dear, threads beyond its lanes
    /// gain nothing, and textures are read faster than buffers.
    pub fn is_emulated(&self) -> bool {
        self.info().device_type == wgpu::DeviceType::Cpu && !self.0.trust.as_gpu
    }

    /// One line for people: name, backend, driver.
    pub fn describe(&self) -> String {
        let info = self.info();
        format!("{} ({}, {})", info.name, info.backend, info.driver_info)
    }

    /// Whether the adapter measures GPU time, for [`Session::profile`](crate::Session::profile).
    pub fn can_profile(&self) -> bool {
        self.device().features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// The shape of cooperative matrices that kernels here may use: multiplying f16 into f32 sums.
    pub fn cooperative_tile(&self) -> Option<Tile> {
        self.0.tile
    }

    /// Whether the device has what `kernel` needs.
    pub fn supports(&self, kernel: &Kernel) -> bool {
        let needs = kernel.features;
        self.device().features().contains(needs)
            && match needs.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX) {
                true => self.0.tile.is_some(),
                false => !needs.contains(wgpu::Features::SUBGROUP) || Variant::Subgroup.available(self),
            }
    }

    /// Whether the driver's `pack2x16float` rounds to nearest, which WGSL leaves open: those for which the doctor has shown
    /// it, on an H200 and on CPUs. (AMD's by Mesa cuts, as its machine code shows.)
    pub(super) fn packs_to_nearest(&self) -> bool {
        const SHOWN: [&str; 2] = ["NVIDIA", "llvmpipe"];
        self.info().backend == wgpu::Backend::Vulkan && SHOWN.contains(&self.info().driver.as_str())
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
        self.0.trust.tune
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
        if self.0.trust.kept {
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
        self.0.limits.max_storage_buffer_binding_size.min(self.0.limits.max_buffer_size)
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
