//! A wgpu device with what this crate keeps per device: compiled pipelines, limits, and the news of its loss.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::pipelines::{Kernel, PipelineTable};
use super::shaders::Shaders;
use super::{COOPERATIVE, Tile};
use crate::error::{Error, Result};

/// Features that make something faster or measurable, asked for where the adapter has them. Nothing needs one.
const USEFUL: wgpu::Features =
    wgpu::Features::TIMESTAMP_QUERY.union(wgpu::Features::SUBGROUP).union(wgpu::Features::SHADER_F16);

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
    fault: Arc<Mutex<Option<String>>>,
}

/// How [`Context::with_options`] chooses and opens an adapter.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ContextOptions {
    /// A number as [`Context::adapters`] lists them, or a part of a name (any case). Default: the fastest kind present.
    pub adapter: Option<String>,
    /// Ask for these limits instead of everything the adapter has. For finding out what a small adapter would do.
    pub limits: Option<wgpu::Limits>,
    /// Read shaders from this folder instead of those compiled in: to try an edit without a rebuild.
    pub shaders: Option<PathBuf>,
}

/// One adapter of this machine, as [`Context::adapters`] lists it.
#[derive(Clone, Debug)]
pub struct AdapterSummary {
    /// Name, driver, backend, device type.
    pub info: wgpu::AdapterInfo,
    /// What the adapter can do beyond the baseline.
    pub features: wgpu::Features,
    /// The largest sizes it takes.
    pub limits: wgpu::Limits,
}

impl Context {
    /// Opens the fastest adapter present: discrete before integrated before virtual before CPU.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] when no Vulkan, Metal or DX12 driver is found, [`Error::Device`] when it cannot be opened.
    pub async fn new() -> Result<Self> {
        Self::with_options(ContextOptions::default()).await
    }

    /// [`Context::new`] for callers without an async runtime.
    ///
    /// ```no_run
    /// let gpu = tcvit::Context::blocking()?;
    /// println!("{}", gpu.describe());
    /// # Ok::<(), tcvit::Error>(())
    /// ```
    pub fn blocking() -> Result<Self> {
        pollster::block_on(Self::new())
    }

    /// Opens an adapter chosen by `options`.
    ///
    /// # Errors
    /// As [`Context::new`]; also when `options.adapter` matches no adapter, and when a shader folder cannot be read.
    pub async fn with_options(options: ContextOptions) -> Result<Self> {
        const OP: &str = "open adapter";
        let shaders = match &options.shaders {
            Some(folder) => Shaders::from_folder(folder)?,
            None => Shaders::embedded(),
        };
        let adapters = enumerate().await;
        let adapter = choose(adapters, options.adapter.as_deref())?;
        let limits = options.limits.unwrap_or_else(|| adapter.limits());
        let tile = Tile::of_adapter(&adapter, &limits);
        let (mut features, mut experimental) = (adapter.features() & USEFUL, wgpu::ExperimentalFeatures::disabled());
        if tile.is_some() {
            features |= COOPERATIVE;
            // SAFETY: wgpu asks for the knowledge that shaders with cooperative matrices may hit undefined behaviour by
            // its bugs. They are this crate's own, in bounds by construction, and compared with their twin.
            experimental = unsafe { wgpu::ExperimentalFeatures::enabled() };
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("tcvit"),
            required_features: features,
            experimental_features: experimental,
            required_limits: limits,
            ..Default::default()
        };
        let (device, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|error| Error::device(OP, format!("{} to open", adapter.get_info().name), error.to_string()))?;
        let fault = Arc::new(Mutex::new(None));
        let (uncaptured, lost) = (fault.clone(), fault.clone());
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| note(&uncaptured, error.to_string())));
        device.set_device_lost_callback(move |reason, message| {
            note(&lost, format!("device lost ({reason:?}): {message}"));
        });
        Ok(Self::assemble(device, queue, tile, shaders, fault))
    }

    /// Uses a device and queue that the application already owns. Its error and device-lost handlers stay its own:
    /// what this crate does is checked in error scopes instead.
    ///
    /// ```no_run
    /// # fn app(device: wgpu::Device, queue: wgpu::Queue) -> tcvit::Result<()> {
    /// let gpu = tcvit::Context::from_device(device, queue);
    /// let model = tcvit::Model::load(&gpu, "deit_small.safetensors")?;
    /// # Ok(()) }
    /// ```
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        let tile = Tile::of_device(&device, || pollster::block_on(enumerate()));
        Self::assemble(device, queue, tile, Shaders::embedded(), Arc::default())
    }

    fn assemble(
        device: wgpu::Device,
        queue: wgpu::Queue,
        tile: Option<Tile>,
        shaders: Shaders,
        fault: Arc<Mutex<Option<String>>>,
    ) -> Self {
        let (limits, info) = (device.limits(), device.adapter_info());
        Self(Arc::new(Inner { device, queue, limits, info, tile, pipelines: PipelineTable::default(), shaders, fault }))
    }

    /// Every adapter of this machine, fastest kind first: the numbers that [`ContextOptions::adapter`] takes.
    pub fn adapters() -> Vec<AdapterSummary> {
        pollster::block_on(enumerate())
            .into_iter()
            .map(|adapter| AdapterSummary {
                info: adapter.get_info(),
                features: adapter.features(),
                limits: adapter.limits(),
            })
            .collect()
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
        let cooperative = kernel.features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX);
        self.device().features().contains(kernel.features) && (!cooperative || self.0.tile.is_some())
    }

    pub(crate) fn pipelines(&self) -> &PipelineTable {
        &self.0.pipelines
    }

    pub(crate) fn shaders(&self) -> &Shaders {
        &self.0.shaders
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
        let wait = self.0.device.poll(wgpu::PollType::wait_indefinitely());
        self.healthy(op)?;
        wait.map(|_| ()).map_err(|error| Error::device(op, "the device to finish", error.to_string()))
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
fn note(slot: &Mutex<Option<String>>, message: String) {
    slot.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
}

/// The adapters of the backends that run compute well, sorted by kind; `WGPU_BACKEND` narrows them.
async fn enumerate() -> Vec<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = wgpu::Backends::PRIMARY;
    let instance = wgpu::Instance::new(descriptor.with_env());
    let mut adapters = instance.enumerate_adapters(wgpu::Backends::PRIMARY).await;
    adapters.sort_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    adapters
}

fn choose(adapters: Vec<wgpu::Adapter>, wanted: Option<&str>) -> Result<wgpu::Adapter> {
    const OP: &str = "choose adapter";
    let names: Vec<String> = adapters.iter().map(|adapter| adapter.get_info().name).collect();
    let index = match wanted {
        None => 0,
        Some(text) => match text.parse::<usize>() {
            Ok(number) => number,
            Err(_) => {
                names.iter().position(|name| name.to_lowercase().contains(&text.to_lowercase())).unwrap_or(usize::MAX)
            }
        },
    };
    adapters.into_iter().nth(index).ok_or_else(|| {
        if names.is_empty() {
            let expected = "a Vulkan, Metal or DX12 driver (on Debian and Ubuntu: apt-get install mesa-vulkan-drivers)";
            Error::no_adapter(OP, expected, "no adapter at all")
        } else {
            let listed: Vec<String> = names.iter().enumerate().map(|(i, name)| format!("{i}: {name}")).collect();
            Error::no_adapter(OP, format!("one of [{}]", listed.join("; ")), wanted.unwrap_or_default())
        }
    })
}
