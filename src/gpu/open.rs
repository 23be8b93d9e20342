//! Finds an adapter and opens a device on it, or takes an application's own device.

use std::sync::{Arc, Mutex, Once};

use super::adapters::{AdapterSummary, choose, enumerate};
use super::context::note;
use super::limits;
use super::{COOPERATIVE, Context, ContextOptions, Tile, Traits, in_background};
use crate::error::{Error, Result};

/// Features that make something faster or measurable. A device gets those that its adapter has. No feature is required.
const USEFUL: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY
    .union(wgpu::Features::SUBGROUP)
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::PIPELINE_CACHE);

/// A device descriptor for applications that open the device themselves. It asks for every feature of `adapter` that
/// some kernel uses and for the adapter's limits, so tcvit is as fast as on a device of its own. Add what the
/// application needs.
///
/// ```no_run
/// # async fn open(adapter: wgpu::Adapter) -> Result<(), Box<dyn std::error::Error>> {
/// let mut descriptor = tcvit::recommended(&adapter);
/// descriptor.required_features |= adapter.features() & wgpu::Features::TEXTURE_COMPRESSION_BC;
/// let (device, queue) = adapter.request_device(&descriptor).await?;
/// let gpu = tcvit::Context::from_device(device, queue)?;
/// # Ok(()) }
/// ```
#[allow(unsafe_code, reason = "wgpu asks for consent to experimental features")]
pub fn recommended(adapter: &wgpu::Adapter) -> wgpu::DeviceDescriptor<'static> {
    with_limits(adapter, adapter.limits())
}

/// Like [`recommended`], with other limits.
#[allow(unsafe_code, reason = "wgpu asks for consent to experimental features")]
fn with_limits(adapter: &wgpu::Adapter, limits: wgpu::Limits) -> wgpu::DeviceDescriptor<'static> {
    let (mut features, mut experimental) = (adapter.features() & USEFUL, wgpu::ExperimentalFeatures::disabled());
    if Tile::of_adapter(adapter, &limits).is_some() {
        features |= COOPERATIVE;
        // SAFETY: wgpu asks callers to accept that shaders with cooperative matrices may cause undefined behaviour
        // through its bugs. All such shaders belong to this crate, stay in bounds by construction and are compared with
        // their references.
        experimental = unsafe { wgpu::ExperimentalFeatures::enabled() };
    }
    wgpu::DeviceDescriptor {
        label: Some("tcvit"),
        required_features: features,
        experimental_features: experimental,
        required_limits: limits,
        ..Default::default()
    }
}

impl Context {
    /// Opens the adapter that `options` choose. By default it opens the fastest one: discrete GPUs come before
    /// integrated ones, then virtual ones, then CPUs.
    ///
    /// ```no_run
    /// let gpu = tcvit::Context::open(tcvit::ContextOptions::new())?;
    /// println!("{}", gpu.describe());
    /// # Ok::<(), tcvit::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoAdapter`] when no Vulkan, Metal or DX12 driver is found, or no adapter matches; [`Error::Limit`] when
    /// the limits are too small for the kernels; [`Error::Device`] when the device cannot be opened; [`Error::File`]
    /// when a folder of shaders cannot be read.
    pub fn open(options: ContextOptions) -> Result<Self> {
        pollster::block_on(Self::open_here(options))
    }

    /// Like [`Context::open`], on a thread of its own, so the future never blocks the thread that polls it.
    ///
    /// # Errors
    /// As [`Context::open`].
    pub async fn open_async(options: ContextOptions) -> Result<Self> {
        in_background("open adapter", move || Self::open(options)).await
    }

    async fn open_here(options: ContextOptions) -> Result<Self> {
        const OP: &str = "open adapter";
        let shaders = options.open_shaders()?;
        let adapter = choose(enumerate().await, options.adapter.as_deref())?;
        let limits = options.limits.clone().unwrap_or_else(|| adapter.limits());
        limits::check(&limits, &adapter.get_info().name)?;
        let tile = Tile::of_adapter(&adapter, &limits);
        let (device, queue) = adapter.request_device(&with_limits(&adapter, limits)).await.map_err(|error| {
            Error::device(OP, format!("{} to open", adapter.get_info().name), error.to_string()).caused_by(error)
        })?;
        let fault = Arc::new(Mutex::new(None));
        let (uncaptured, lost) = (fault.clone(), fault.clone());
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| note(&uncaptured, error.to_string())));
        device.set_device_lost_callback(move |reason, message| {
            note(&lost, format!("device lost ({reason:?}): {message}"));
        });
        let traits = Traits::new(&device.adapter_info(), device.features(), device.limits(), tile, options.as_gpu);
        Ok(Self::assemble(device, queue, traits, shaders, fault, &options.keep, options.manner()))
    }

    /// Uses a device and queue that the application already owns, ideally opened with [`recommended`]. The
    /// application's handlers for errors and device loss stay in place, because this crate catches its own errors in
    /// error scopes. If the device lacks a useful feature of its adapter, `tracing` warns of it once.
    ///
    /// ```no_run
    /// # fn app(device: wgpu::Device, queue: wgpu::Queue) -> tcvit::Result<()> {
    /// let gpu = tcvit::Context::from_device(device, queue)?;
    /// let model = tcvit::Model::load(&gpu, "deit_small.safetensors")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Limit`] when a limit of the device is too small for the kernels. The error names the limit.
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        Self::from_device_with(device, queue, ContextOptions::new())
    }

    /// Like [`Context::from_device`], with options. Their adapter and limits are ignored, since the device has its own.
    ///
    /// # Errors
    /// As [`Context::from_device`]; [`Error::File`] when a folder of shaders cannot be read.
    pub fn from_device_with(device: wgpu::Device, queue: wgpu::Queue, options: ContextOptions) -> Result<Self> {
        limits::check(&device.limits(), &device.adapter_info().name)?;
        let shaders = options.open_shaders()?;
        let lacks_something = !device.features().contains(USEFUL);
        let adapter = match lacks_something || device.features().contains(COOPERATIVE) {
            true => adapter_of(&device),
            false => None,
        };
        if let Some(adapter) = &adapter {
            warn_of_missing_features(&device, adapter);
        }
        let tile = match device.features().contains(COOPERATIVE) {
            true => adapter.and_then(|adapter| Tile::of_adapter(&adapter, &device.limits())),
            false => None,
        };
        let traits = Traits::new(&device.adapter_info(), device.features(), device.limits(), tile, options.as_gpu);
        let manner = options.manner();
        Ok(Self::assemble(device, queue, traits, shaders, Arc::default(), &options.keep, manner))
    }

    /// Every adapter of this machine, in the order whose numbers [`ContextOptions::adapter`] takes: the fastest type
    /// first.
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
}

/// The adapter of `device`. wgpu does not tell it, so this is the adapter with the same description.
fn adapter_of(device: &wgpu::Device) -> Option<wgpu::Adapter> {
    let info = device.adapter_info();
    pollster::block_on(enumerate()).into_iter().find(|adapter| adapter.get_info() == info)
}

/// Warns, once in a process, of features that would make tcvit faster and that the adapter has but the device lacks.
fn warn_of_missing_features(device: &wgpu::Device, adapter: &wgpu::Adapter) {
    static WARNED: Once = Once::new();
    let missing = recommended(adapter).required_features - device.features();
    if !missing.is_empty() {
        WARNED.call_once(|| {
            tracing::warn!(
                %missing,
                adapter = adapter.get_info().name,
                "the device lacks adapter features that make tcvit faster: open it with tcvit::recommended(&adapter)"
            );
        });
    }
}
