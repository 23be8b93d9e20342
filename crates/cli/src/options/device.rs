//! Options for the device, and the code that opens it.

use std::path::PathBuf;

use clap::Args;
use tcvit::{Context, ContextOptions, Keep, Preprocessing, Result};

use crate::first_use;

/// The device.
#[derive(Args, Clone, Debug, Default)]
pub struct DeviceOptions {
    /// The adapter, by number (`tcvit doctor` lists them) or part of its name.
    #[arg(long, value_name = "NUMBER|NAME")]
    pub adapter: Option<String>,
    /// Read shaders from this folder instead of those compiled in.
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    pub shaders: Option<PathBuf>,
    /// Neither read nor write the cache, which holds compiled pipelines and findings about the adapter. It is the
    /// folder TCVIT_CACHE, or by default tcvit in the system's cache folder.
    #[arg(long)]
    pub no_cache: bool,
    /// Search for the fastest kernels on the adapter, once for each shape, if there is a cache to keep the results.
    /// Bench, eval, and classify with 100 photographs or more do this by default.
    #[arg(long)]
    pub tune: bool,
    /// Do not search. Use the kernels that earlier searches found, or else those that rank first.
    #[arg(long, conflicts_with = "tune")]
    pub no_tune: bool,
}

/// How long a command uses the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// For less time than a search for the fastest kernels takes.
    Short,
    Long,
}

/// Where photographs are prepared.
#[derive(Args, Clone, Debug, Default)]
pub struct PreprocessOptions {
    /// Where to resize, crop and normalise photographs: cpu or gpu. Both give the same pixels.
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
