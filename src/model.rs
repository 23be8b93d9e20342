//! A model on the device: load once, open sessions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::condensation::Condensation;
use crate::config::VitConfig;
use crate::error::{Error, Result};
use crate::gpu::Context;
use crate::input::{Filter, Preprocess};
use crate::session::{Session, SessionOptions};
use crate::weights::{self, Checkpoint, RandomWeights, VitWeights};

/// A Vision Transformer whose weights are on the device. Cloning is cheap and shares them.
#[derive(Clone)]
pub struct Model(Arc<Inner>);

struct Inner {
    context: Context,
    config: VitConfig,
    weights: VitWeights,
    preprocess: Preprocess,
    tuned: Option<Condensation>,
}

impl Model {
    /// Loads a checkpoint in timm's names: a `.safetensors` file, or a folder with `model.safetensors`. A `config.json`
    /// in timm's form beside it gives heads, normalisation and labels; without one heads are 64 wide and normalisation
    /// is ImageNet's.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be read; [`Error::Weights`] when it is malformed, not a ViT, or has a tensor
    /// missing, left over, of another shape or not finite: the tensor is named.
    pub fn load(context: &Context, path: impl AsRef<Path>) -> Result<Self> {
        let (checkpoint, config_json) = open(path.as_ref())?;
        Self::from_checkpoint(context, checkpoint, config_json.as_deref())
    }

    /// The configuration that [`Model::load`] would find, without a device.
    ///
    /// # Errors
    /// As [`Model::load`], but for what only the tensors' values could tell.
    pub fn config_of(path: impl AsRef<Path>) -> Result<VitConfig> {
        let (checkpoint, config_json) = open(path.as_ref())?;
        checkpoint.config(config_json.as_deref())
    }

    /// What [`Model::condensation`] would be, without a device.
    ///
    /// # Errors
    /// As [`Model::load`], but for what the tensors could tell.
    pub fn condensation_of(path: impl AsRef<Path>) -> Result<Option<Condensation>> {
        open(path.as_ref())?.0.condensation()
    }

    /// Loads a parsed checkpoint; `config_json` is the text of timm's `config.json`, if there is one.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_checkpoint(context: &Context, mut checkpoint: Checkpoint, config_json: Option<&str>) -> Result<Self> {
        let config = checkpoint.config(config_json)?;
        let tuned = checkpoint.condensation()?;
        let loaded = weights::load(context, &config, &mut checkpoint)?;
        Self::assemble(context, config, loaded, tuned)
    }

    /// A model of any shape with weights from a seed: for benchmarks and tests without a checkpoint.
    ///
    /// # Errors
    /// [`Error::Config`] for a configuration that does not hold together, [`Error::Limit`] or [`Error::Device`] when it
    /// does not fit the device.
    pub fn random(context: &Context, config: &VitConfig, seed: u64) -> Result<Self> {
        let loaded = weights::load(context, config, &mut RandomWeights { seed })?;
        Self::assemble(context, config.clone(), loaded, None)
    }

    fn assemble(
        context: &Context,
        config: VitConfig,
        weights: VitWeights,
        tuned: Option<Condensation>,
    ) -> Result<Self> {
        let preprocess = Preprocess {
            side: config.image,
            crop: config.crop,
            mean: config.mean,
            std: config.std,
            filter: config.interpolation.parse::<Filter>()?,
        };
        tracing::info!(
            width = config.width,
            depth = config.depth,
            patches = config.patches(),
            classes = config.classes,
            "model loaded"
        );
        Ok(Self(Arc::new(Inner { context: context.clone(), config, weights, preprocess, tuned })))
    }

    /// Prepares the model for a batch size and a condensation: allocates every buffer and records every dispatch.
    ///
    /// # Errors
    /// [`Error::Config`] for options that do not fit the model, [`Error::Limit`] when one image does not fit the device.
    pub fn session(&self, options: SessionOptions) -> Result<Session> {
        Session::new(self.clone(), options)
    }

    /// The model's shape, normalisation and labels.
    pub fn config(&self) -> &VitConfig {
        &self.0.config
    }

    /// The condensation that the model was fine-tuned for, by its checkpoint's metadata. `None` where it records none:
    /// then [`Condensation::training_free`] is the one to use.
    pub fn condensation(&self) -> Option<&Condensation> {
        self.0.tuned.as_ref()
    }

    /// How images become this model's input.
    pub fn preprocess(&self) -> &Preprocess {
        &self.0.preprocess
    }

    /// The device it is on.
    pub fn context(&self) -> &Context {
        &self.0.context
    }

    pub(crate) fn weights(&self) -> &VitWeights {
        &self.0.weights
    }
}

/// The checkpoint at `path` and the text of the configuration beside it.
fn open(path: &Path) -> Result<(Checkpoint, Option<String>)> {
    let (file, config) = locate(path)?;
    let config_json = match std::fs::read_to_string(&config) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            let expected = format!("a readable {}", config.display());
            return Err(Error::file("read config.json", expected, error.to_string()));
        }
    };
    Ok((Checkpoint::open(&file)?, config_json))
}

/// The checkpoint and the place of the configuration beside it.
fn locate(path: &Path) -> Result<(PathBuf, PathBuf)> {
    if path.is_dir() {
        let file = path.join("model.safetensors");
        if !file.is_file() {
            let got = format!("{} without one", path.display());
            return Err(Error::file("load model", "a folder with model.safetensors", got));
        }
        return Ok((file, path.join("config.json")));
    }
    if !path.is_file() {
        let got = format!("nothing at {}", path.display());
        return Err(Error::file("load model", "a .safetensors file or a folder with model.safetensors", got));
    }
    Ok((path.to_owned(), path.with_file_name("config.json")))
}
