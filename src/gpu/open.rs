//! Finding an adapter and opening a device on it, or taking an application's own.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once};

use super::adapters::{AdapterSummary, choose, enumerate};
use super::context::{Manner, note};
use super::limits;
use super::shaders::Shaders;
use super::{COOPERATIVE, Context, Keep, PipelineKey, Tile, Traits, in_background};
use crate::error::{Error, Result};

/// Features that make something faster or measurable. A device has those that its adapter has; nothing needs one.
const USEFUL: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY
    .union(wgpu::Features::SUBGROUP)
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::PIPELINE_CACHE);

/// How [`Context::open`] chooses and opens an adapter. The default is the fastest adapter, with ways taken by rank.
///
/// ```no_run
/// use tcvit::{Context, ContextOptions};
///
/// let gpu = Context::open(ContextOptions::new().adapter("llvmpipe"))?;
/// # Ok::<(), tcvit::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ContextOptions {
    adapter: Option<String>,
    limits: Option<wgpu::Limits>,
    shaders: Option<PathBuf>,
    tune: bool,
    as_gpu: bool,
    avoid: Vec<String>,
    observer: Option<Observer>,
    keep: Keep,
}

impl ContextOptions {
    /// The fastest adapter, with all that it has.
    pub fn new() -> Self {
        Self::default()
    }

    /// An adapter by its number, as [`Context::adapters`] lists them, or by a part of its name in any case.
    #[must_use]
    pub fn adapter(mut self, adapter: impl Into<String>) -> Self {
        self.adapter = Some(adapter.into());
        self
    }

    /// Ask for these limits instead of everything that the adapter has: to find out what a smaller adapter would do.
    #[must_use]
    pub fn limits(mut self, limits: wgpu::Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Read shaders from this folder instead of those compiled in: to try an edit without a rebuild. Nothing is kept on disk.
    #[must_use]
    pub fn shaders(mut self, folder: impl Into<PathBuf>) -> Self {
        self.shaders = Some(folder.into());
        self
    }

    /// Whether the fastest ways are searched for when a shape is first met, which takes a fraction of a second for each shape.
    /// Otherwise ways are taken by rank.
    #[must_use]
    pub fn tune(mut self, tune: bool) -> Self {
        self.tune = tune;
        self
    }

    /// Whether ways are chosen as on a GPU, even on a software adapter: to check what a GPU would run where there is none.
    /// Nothing is kept on disk.
    #[must_use]
    pub fn as_gpu(mut self, as_gpu: bool) -> Self {
        self.as_gpu = as_gpu;
        self
    }

    /// Kernels that are not to be used, by name: the next best way is used instead. Nothing is kept on disk.
    #[must_use]
    pub fn avoid<K: Into<String>>(mut self, kernels: impl IntoIterator<Item = K>) -> Self {
        self.avoid = kernels.into_iter().map(Into::into).collect();
        self
    }

    /// A function that hears of every verification of a way, as it begins and as it ends.
    #[must_use]
    pub fn on_verification(mut self, hear: impl Fn(&Verification<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Observer(Arc::new(hear)));
        self
    }

    /// Where compiled pipelines and what was measured on the adapter are kept between runs.
    #[must_use]
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// What follows for a context.
    fn manner(&self) -> Manner {
        Manner {
            // Every version of a shader under edit would stay on disk, and a verdict on one version would count for the next.
            kept: self.shaders.is_none() && !self.as_gpu && self.avoid.is_empty(),
            tune: self.tune,
            avoid: self.avoid.clone(),
            rehearses: false,
            observer: self.observer.clone(),
        }
    }

    fn open_shaders(&self) -> Result<Shaders> {
        match &self.shaders {
            Some(folder) => Shaders::from_folder(folder),
            None => Ok(Shaders::embedded()),
        }
    }
}

/// What to open a device with so that tcvit is as fast on it as on a device of its own: every feature of `adapter` that some
/// kernel uses, and the adapter's limits. Add what the application needs itself.
///
/// ```no_run
/// # async fn open(adapter: wgpu::Adapter) -> Result<(), Box<dyn std::error::Error>> {
/// let mut descriptor = tcvit::recommended(&adapter);
/// descriptor.required_features |= adapter.features() & wgpu::Features::TEXTURE_COMPRESSION_BC;
/// let (device, queue) = adapter.request_device(&descriptor).await?;
/// let gpu = tcvit::Context::from_device(device, queue)?;
/// # Ok(()) }
/// ```
#[allow(unsafe_code, reason = "wgpu asks for a word on experimental features, which is given here")]
pub fn recommended(adapter: &wgpu::Adapter) -> wgpu::DeviceDescriptor<'static> {
    with_limits(adapter, adapter.limits())
}

/// As [`recommended`], with other limits.
#[allow(unsafe_code, reason = "wgpu asks for a word on experimental features, which is given here")]
fn with_limits(adapter: &wgpu::Adapter, limits: wgpu::Limits) -> wgpu::DeviceDescriptor<'static> {
    let (mut features, mut experimental) = (adapter.features() & USEFUL, wgpu::ExperimentalFeatures::disabled());
    if Tile::of_adapter(adapter, &limits).is_some() {
        features |= COOPERATIVE;
        // SAFETY: wgpu asks for the knowledge that shaders with cooperative matrices may hit undefined behaviour by
        // its bugs. The shaders are this crate's own, in bounds by construction, and compared with their references.
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

/// A way that is compared with its reference before its first use on a device.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Verification<'a> {
    /// The operation's name.
    pub operation: &'a str,
    /// The way's name.
    pub way: &'a str,
    /// The pipeline that is verified.
    pub key: &'a PipelineKey,
    /// Whether it gave the reference's results; `None` as the comparison begins.
    pub right: Option<bool>,
}

/// A function that hears of verifications ([`ContextOptions::on_verification`]).
#[derive(Clone)]
pub(super) struct Observer(Arc<dyn Fn(&Verification<'_>) + Send + Sync>);

impl Observer {
    pub(super) fn hear(&self, verification: &Verification<'_>) {
        (self.0)(verification);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

impl Context {
    /// Opens an adapter chosen by `options`; by default the fastest one present: discrete before integrated before virtual
    /// before CPU.
    ///
    /// ```no_run
    /// let gpu = tcvit::Context::open(tcvit::ContextOptions::new())?;
    /// println!("{}", gpu.describe());
    /// # Ok::<(), tcvit::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoAdapter`] when no Vulkan, Metal or DX12 driver is found, or none that matches; [`Error::Limit`] when the limits
    /// are too small for the kernels; [`Error::Device`] when the device cannot be opened; [`Error::File`] when a folder of
    /// shaders cannot be read.
    pub fn open(options: ContextOptions) -> Result<Self> {
        pollster::block_on(Self::open_here(options))
    }

    /// As [`Context::open`], on a thread of its own: the future never blocks the thread that polls it.
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

    /// Uses a device and queue that the application already owns, best opened as [`recommended`] says. The application's
    /// handlers of errors and of the device's loss stay in place: this crate checks what it does in error scopes instead. A
    /// device that lacks a useful feature of its adapter is warned of once, by `tracing`.
    ///
    /// ```no_run
    /// # fn app(device: wgpu::Device, queue: wgpu::Queue) -> tcvit::Result<()> {
    /// let gpu = tcvit::Context::from_device(device, queue)?;
    /// let model = tcvit::Model::load(&gpu, "deit_small.safetensors")?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Limit`] when a limit of the device is too small for the kernels: the error names the limit.
    pub fn from_device(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        Self::from_device_with(device, queue, ContextOptions::new())
    }

    /// As [`Context::from_device`], with options; their adapter and limits are those of the device.
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
}

/// The adapter of a device, which does not tell: the one with the same description.
fn adapter_of(device: &wgpu::Device) -> Option<wgpu::Adapter> {
    let info = device.adapter_info();
    pollster::block_on(enumerate()).into_iter().find(|adapter| adapter.get_info() == info)
}

/// Warns, once in a process, of features that would make tcvit faster, that the adapter has and the device was opened without.
fn warn_of_missing_features(device: &wgpu::Device, adapter: &wgpu::Adapter) {
    static WARNED: Once = Once::new();
    let missing = recommended(adapter).required_features - device.features();
    if !missing.is_empty() {
        WARNED.call_once(|| {
            tracing::warn!(
                %missing,
                adapter = adapter.get_info().name,
                "the device lacks features of its adapter that make tcvit faster: open it with tcvit::recommended(&adapter)"
            );
        });
    }
}
