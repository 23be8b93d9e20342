//! Finding an adapter and opening a device on it.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::adapters::{AdapterSummary, choose, enumerate};
use super::context::{Manner, note};
use super::shaders::Shaders;
use super::{COOPERATIVE, Context, Keep, PipelineKey, Tile, Traits};
use crate::error::{Error, Result};

/// Features that make something faster or measurable, asked for where the adapter has them. Nothing needs one.
const USEFUL: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY
    .union(wgpu::Features::SUBGROUP)
    .union(wgpu::Features::SHADER_F16)
    .union(wgpu::Features::PIPELINE_CACHE);

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
    /// Find out which ways are fastest on this device, the first time that a shape is met: a fraction of a second for each.
    /// Otherwise they are taken by rank ([`ways`](crate::ways)).
    pub tune: bool,
    /// Choose ways as on a GPU where a CPU emulates one: to try and check what a GPU would run where there is none. Nothing is
    /// kept then.
    pub as_gpu: bool,
    /// Kernels that are not to be used, by name: the next best way is. Nothing is kept then.
    pub avoid: Vec<String>,
    /// Hears of every verification of a way, as it begins and ends.
    pub observer: Option<Observer>,
    /// Where compiled pipelines and what was measured on the adapter are kept between runs.
    pub keep: Keep,
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

/// A function that hears of verifications ([`ContextOptions::observer`]).
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(&Verification<'_>) + Send + Sync>);

impl Observer {
    /// One that calls `hear`, from whichever thread opens a session.
    pub fn new(hear: impl Fn(&Verification<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hear))
    }

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
        // Of shaders under edit every version would stay, and what was found of one would be believed of the next.
        let kept = options.shaders.is_none() && !options.as_gpu && options.avoid.is_empty();
        let manner =
            Manner { kept, tune: options.tune, avoid: options.avoid, rehearses: false, observer: options.observer };
        let traits = Traits::new(&device.adapter_info(), device.features(), device.limits(), tile, options.as_gpu);
        Ok(Self::assemble(device, queue, traits, shaders, fault, &options.keep, manner))
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
