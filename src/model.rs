//! A model on the device, which is loaded once and opens sessions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::condensation::Condensation;
use crate::config::VitConfig;
use crate::error::{Error, Result};
use crate::gpu::{Context, Precision, in_background};
use crate::input::{Filter, Preprocess};
use crate::session::{Session, SessionOptions};
use crate::weights::{self, Checkpoint, RandomWeights, Resized, Source, VitWeights};

/// A Vision Transformer whose weights are on the device. Cloning is cheap and shares the weights.
#[derive(Clone)]
pub struct Model(Arc<Inner>);

struct Inner {
    context: Context,
    config: VitConfig,
    weights: VitWeights,
    preprocess: Preprocess,
    tuned: Option<Condensation>,
}

/// Options for loading a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Pixels along a side of the image; `None` for the checkpoint's own.
    image: Option<usize>,
    /// How weights and activations are stored; `None` for [`Context::preferred_precision`].
    precision: Option<Precision>,
}

impl LoadOptions {
    /// Loads the checkpoint unchanged.
    pub fn new() -> Self {
        Self::default()
    }

    /// Loads the model for images of `side` by `side` pixels. `side` is a multiple of the patch side. If it differs
    /// from the checkpoint's, the position embedding is resized as timm does it: bicubic, with antialiasing.
    #[must_use]
    pub fn image(mut self, side: usize) -> Self {
        self.image = Some(side);
        self
    }

    /// Stores weights and activations in `precision` instead of in [`Context::preferred_precision`].
    #[must_use]
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = Some(precision);
        self
    }

    /// The configuration of the loaded model, if the checkpoint has the configuration `stored`.
    ///
    /// # Errors
    /// [`Error::Config`] for a side that is not a multiple of the patch side. The error names the nearest multiples.
    pub fn apply(&self, stored: &VitConfig) -> Result<VitConfig> {
        let Some(side) = self.image.filter(|side| [*side; 2] != stored.image) else { return Ok(stored.clone()) };
        let patch = stored.patch.max(1);
        if side == 0 || !side.is_multiple_of(patch) {
            let (below, above) = (side / patch * patch, (side / patch).saturating_add(1).saturating_mul(patch));
            let nearest = if below == 0 { format!("such as {above}") } else { format!("such as {below} or {above}") };
            let expected = format!("a multiple of the patch side {patch}, {nearest}");
            return Err(Error::config("image side", expected, side.to_string()));
        }
        let config = VitConfig { image: [side; 2], ..stored.clone() };
        config.validate()?;
        Ok(config)
    }
}

impl Model {
    /// Loads a checkpoint: a `.safetensors` file, or a folder with `model.safetensors`. Its tensors have timm's names
    /// or those of transformers' ViT, DeiT (with and without teacher) or DINOv2 (with and without registers). A
    /// `config.json` in timm's or transformers' layout beside it gives heads, epsilon and labels. Normalisation and
    /// crop come from timm's `config.json`, or from transformers' `preprocessor_config.json`. Without these files heads
    /// are 64 wide and normalisation is ImageNet's. The pooler of `ViTModel` and `DeiTModel` and the mask token of
    /// pre-training are ignored.
    ///
    /// # Errors
    /// [`Error::File`] when a file cannot be read. [`Error::Weights`] when the checkpoint is malformed, is not a ViT,
    /// contradicts the files beside it, or has a tensor that is missing, left over, of another shape or not finite. The
    /// error names the tensor.
    pub fn load(context: &Context, path: impl AsRef<Path>) -> Result<Self> {
        Self::load_with(context, path, &LoadOptions::default())
    }

    /// Like [`Model::load`], with options such as another image size:
    ///
    /// ```no_run
    /// use tcvit::{Context, ContextOptions, LoadOptions, Model};
    /// let gpu = Context::open(ContextOptions::new())?;
    /// let model = Model::load_with(&gpu, "deit_small.safetensors", &LoadOptions::new().image(384))?;
    /// # Ok::<(), tcvit::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Model::load`] and [`LoadOptions::apply`].
    pub fn load_with(context: &Context, path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self> {
        let (checkpoint, config_json) = open(path.as_ref())?;
        Self::from_checkpoint_with(context, checkpoint, config_json.as_deref(), options)
    }

    /// Like [`Model::load_with`], on a thread of its own, so the future never blocks the thread that polls it.
    ///
    /// # Errors
    /// As [`Model::load_with`].
    pub async fn load_async(context: &Context, path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self> {
        let (context, path, options) = (context.clone(), path.as_ref().to_owned(), options.clone());
        in_background("load model", move || Self::load_with(&context, path, &options)).await
    }

    /// The configuration that [`Model::load`] would find. Needs no device.
    ///
    /// # Errors
    /// As [`Model::load`], except errors in the values of the tensors.
    pub fn config_of(path: impl AsRef<Path>) -> Result<VitConfig> {
        let (checkpoint, config_json) = open(path.as_ref())?;
        checkpoint.config(config_json.as_deref())
    }

    /// The condensation that [`Model::condensation`] would return. Needs no device.
    ///
    /// # Errors
    /// As [`Model::load`], except errors in the tensors.
    pub fn condensation_of(path: impl AsRef<Path>) -> Result<Option<Condensation>> {
        open(path.as_ref())?.0.condensation()
    }

    /// Loads a parsed checkpoint. `config_json` is the text of its `config.json`, if there is one.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_checkpoint(context: &Context, checkpoint: Checkpoint, config_json: Option<&str>) -> Result<Self> {
        Self::from_checkpoint_with(context, checkpoint, config_json, &LoadOptions::default())
    }

    /// Like [`Model::from_checkpoint`], with options.
    ///
    /// # Errors
    /// As [`Model::load_with`].
    pub fn from_checkpoint_with(
        context: &Context,
        mut checkpoint: Checkpoint,
        config_json: Option<&str>,
        options: &LoadOptions,
    ) -> Result<Self> {
        let stored = checkpoint.config(config_json)?;
        let tuned = checkpoint.condensation()?;
        Self::from_source(context, &stored, checkpoint.source(), options, tuned)
    }

    /// A model of any shape with random weights from a seed, for benchmarks and tests without a checkpoint.
    ///
    /// # Errors
    /// [`Error::Config`] for an inconsistent configuration, [`Error::Limit`] or [`Error::Device`] when the model does
    /// not fit the device.
    pub fn random(context: &Context, config: &VitConfig, seed: u64) -> Result<Self> {
        Self::random_with(context, config, seed, &LoadOptions::default())
    }

    /// Like [`Model::random`], with options, which apply as to a checkpoint that has the configuration `config`.
    ///
    /// # Errors
    /// As [`Model::random`] and [`LoadOptions::apply`].
    pub fn random_with(context: &Context, config: &VitConfig, seed: u64, options: &LoadOptions) -> Result<Self> {
        config.validate()?;
        Self::from_source(context, config, Box::new(RandomWeights { seed }), options, None)
    }

    /// Loads the tensors of a model with the configuration `stored`.
    fn from_source(
        context: &Context,
        stored: &VitConfig,
        source: Box<dyn Source + '_>,
        options: &LoadOptions,
        tuned: Option<Condensation>,
    ) -> Result<Self> {
        let config = options.apply(stored)?;
        let precision = options.precision.unwrap_or_else(|| context.preferred_precision());
        let mut source = Resized::new(source, stored, &config);
        let loaded = pollster::block_on(weights::load(context, &config, precision, &mut source))?;
        Self::assemble(context, config, loaded, tuned)
    }

    fn assemble(
        context: &Context,
        config: VitConfig,
        weights: VitWeights,
        tuned: Option<Condensation>,
    ) -> Result<Self> {
        let preprocess = Preprocess {
            // If the image is not square, the functions that take photographs return an error.
            side: config.image[0],
            crop: config.crop,
            squash: config.squash,
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
    /// [`Error::Config`] for options that do not fit the model, [`Error::Limit`] when one image does not fit the
    /// device.
    pub fn session(&self, options: SessionOptions) -> Result<Session> {
        pollster::block_on(Session::new(self.clone(), options))
    }

    /// Like [`Model::session`], on a thread of its own, so the future never blocks the thread that polls it.
    ///
    /// # Errors
    /// As [`Model::session`].
    pub async fn session_async(&self, options: SessionOptions) -> Result<Session> {
        let model = self.clone();
        in_background("open session", move || model.session(options)).await
    }

    /// The model's shape, normalisation and labels.
    pub fn config(&self) -> &VitConfig {
        &self.0.config
    }

    /// The condensation that the model was fine-tuned for, from the metadata of its checkpoint. If it is `None`, use
    /// [`Condensation::training_free`].
    pub fn condensation(&self) -> Option<&Condensation> {
        self.0.tuned.as_ref()
    }

    /// How images are turned into this model's input.
    pub fn preprocess(&self) -> &Preprocess {
        &self.0.preprocess
    }

    /// How its weights and activations are stored.
    pub fn precision(&self) -> Precision {
        self.0.weights.precision
    }

    /// The context of the device that holds the model.
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
    let config_json = read_beside(&config)?;
    let preprocessor_json = read_beside(&config.with_file_name("preprocessor_config.json"))?;
    Ok((Checkpoint::open(&file)?.with_preprocessor(preprocessor_json), config_json))
}

/// The text of a file, or `None` if there is no such file.
fn read_beside(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let expected = format!("a readable {}", path.display());
            Err(Error::file("read configuration", expected, error.to_string()).caused_by(error))
        }
    }
}

/// The paths of the checkpoint and of the configuration beside it.
fn locate(path: &Path) -> Result<(PathBuf, PathBuf)> {
    if path.is_dir() {
        let file = path.join("model.safetensors");
        if !file.is_file() {
            let others = ["model.safetensors.index.json", "pytorch_model.bin"];
            let got = match others.into_iter().find(|other| path.join(other).is_file()) {
                Some(other) => format!("{} with {other}, which is not supported", path.display()),
                None => format!("{} without that file", path.display()),
            };
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
