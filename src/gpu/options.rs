//! The options of a context, and the function that is told of verifications.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::context::Manner;
use super::shaders::{SHADERS, Shaders};
use super::{Keep, PipelineKey};
use crate::error::{Error, Result};

/// How [`Context::open`](super::Context::open) chooses and opens an adapter. By default it takes the fastest adapter and
/// chooses ways by rank.
///
/// ```no_run
/// use tcvit::{Context, ContextOptions};
///
/// let gpu = Context::open(ContextOptions::new().adapter("llvmpipe"))?;
/// # Ok::<(), tcvit::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ContextOptions {
    pub(super) adapter: Option<String>,
    pub(super) limits: Option<wgpu::Limits>,
    shaders: Option<PathBuf>,
    tune: bool,
    pub(super) as_gpu: bool,
    avoid: Vec<String>,
    observer: Option<Observer>,
    pub(super) keep: Keep,
}

impl ContextOptions {
    /// The fastest adapter, with all features and limits that it has.
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses an adapter by its number in [`Context::adapters`](super::Context::adapters), or by a part of its name, in
    /// upper or lower case.
    #[must_use]
    pub fn adapter(mut self, adapter: impl Into<String>) -> Self {
        self.adapter = Some(adapter.into());
        self
    }

    /// Opens the device with these limits instead of the adapter's own, to try how tcvit runs on a smaller adapter.
    #[must_use]
    pub fn limits(mut self, limits: wgpu::Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Reads shaders from this folder instead of those compiled in, to try an edit without a rebuild. Nothing is kept
    /// on disk.
    #[must_use]
    pub fn shaders(mut self, folder: impl Into<PathBuf>) -> Self {
        self.shaders = Some(folder.into());
        self
    }

    /// Whether the context searches for the fastest ways when it first meets a shape. This takes a fraction of a second
    /// for each shape. Otherwise ways are chosen by rank.
    #[must_use]
    pub fn tune(mut self, tune: bool) -> Self {
        self.tune = tune;
        self
    }

    /// Whether ways are chosen as on a GPU even on a software adapter. This tests the kernels of GPUs on a machine
    /// without one. Nothing is kept on disk.
    #[must_use]
    pub fn as_gpu(mut self, as_gpu: bool) -> Self {
        self.as_gpu = as_gpu;
        self
    }

    /// Avoids the kernels of these names. The next best way is used instead. Nothing is kept on disk.
    #[must_use]
    pub fn avoid<K: Into<String>>(mut self, kernels: impl IntoIterator<Item = K>) -> Self {
        self.avoid = kernels.into_iter().map(Into::into).collect();
        self
    }

    /// Calls `hear` at the beginning and at the end of every verification of a way.
    /// Verifications take place when a model is loaded and when a session opens, on the thread that does this. A panic
    /// of the function ends that call.
    #[must_use]
    pub fn on_verification(mut self, hear: impl Fn(&Verification<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Observer(Arc::new(hear)));
        self
    }

    /// Sets where compiled pipelines and findings about the adapter (verdicts, results of searches) are kept between
    /// runs.
    #[must_use]
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// The settings of a context that follow from these options.
    pub(super) fn manner(&self) -> Manner {
        Manner {
            // Not kept for edited shaders: every version would stay on disk, and a verdict on one would count for the
            // next.
            kept: self.shaders.is_none() && !self.as_gpu && self.avoid.is_empty(),
            tune: self.tune,
            avoid: self.avoid.clone(),
            rehearses: false,
            observer: self.observer.clone(),
        }
    }

    /// The shaders that these options name. Refuses the name of a kernel to avoid that no shader has.
    pub(super) fn open_shaders(&self) -> Result<Shaders> {
        let stem = |path: &str| path.rsplit('/').next().and_then(|file| file.strip_suffix(".wgsl")).map(str::to_owned);
        let known: Vec<String> = SHADERS.iter().filter_map(|(path, _)| stem(path)).collect();
        if let Some(unknown) = self.avoid.iter().find(|name| !known.contains(name)) {
            let expected = "the name of a kernel to avoid, as `tcvit doctor` lists them";
            return Err(Error::config("open adapter", expected, format!("`{unknown}`")));
        }
        match &self.shaders {
            Some(folder) => Shaders::from_folder(folder),
            None => Ok(Shaders::embedded()),
        }
    }
}

/// The verification of a way: its comparison with its reference before its first use on a device.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Verification<'a> {
    /// Name of the operation.
    pub operation: &'a str,
    /// Name of the way.
    pub way: &'a str,
    /// The pipeline that is verified.
    pub key: &'a PipelineKey,
    /// Whether the pipeline gave the reference's results. `None` when the comparison begins.
    pub right: Option<bool>,
}

/// A function that is told of verifications ([`ContextOptions::on_verification`]).
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
