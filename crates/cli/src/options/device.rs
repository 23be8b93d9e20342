//! Options about the device, and opening it.

use std::path::PathBuf;

use clap::Args;
use tcvit::{Context, ContextOptions, Keep, Preprocessing, Result};

use crate::first_use;

/// Which GPU.
#[derive(Args, Clone, Debug, Default)]
pub struct DeviceOptions {
    /// Adapter, by number (`tcvit doctor` lists them) or part of its name.
    #[arg(long, value_name = "NUMBER|NAME")]
    pub adapter: Option<String>,
    /// Read shaders from this folder instead of those compiled in.
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    pub shaders: Option<PathBuf>,
    /// Keep nothing on disk, and use nothing that is kept: compiled pipelines, and what was measured on the adapter. Their
    /// folder is TCVIT_CACHE, else the system's for caches.
    #[arg(long)]
    pub no_cache: bool,
    /// Search for the kernels that are fastest on the adapter, once for each shape, where there is a cache to remember them
    /// in. Bench and eval do so anyhow, and classify with 100 photographs or more.
    #[arg(long)]
    pub tune: bool,
    /// Do not search, and take the kernels that a fixed table says where no earlier search found others.
    #[arg(long, conflicts_with = "tune")]
    pub no_tune: bool,
}

/// How much a command asks of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Less than it takes to find out what would make it faster.
    Short,
    Long,
}

/// Where photographs are prepared.
#[derive(Args, Clone, Debug, Default)]
pub struct PreprocessOptions {
    /// Resize, crop and normalise photographs on the cpu or the gpu; the pixels are the same.
    #[arg(long, value_name = "cpu|gpu", default_value_t)]
    pub preprocess: Preprocessing,
}

impl DeviceOptions {
    pub fn open(&self, work: Work) -> Result<Context> {
        let mut options = ContextOptions::new();
        if let Some(adapter) = &self.adapter {
            options = options.adapter(adapter);
        }
        if let Some(shaders) = &self.shaders {
            options = options.shaders(shaders);
        }
        let nowhere = std::env::var_os("TCVIT_CACHE").is_some_and(|folder| folder.is_empty());
        let wanted = self.tune || work == Work::Long && !self.no_tune;
        options = options.tune(wanted && !self.no_cache && !nowhere);
        if self.no_cache {
            options = options.keep(Keep::Nothing);
        }
        Context::open(first_use::observed(options))
    }
}
