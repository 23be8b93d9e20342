//! Options that several subcommands take, and what they stand for.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use tcvit::condensation::{Condensation, Mean, Method, Metric, Path, Schedule, Score, Weights};
use tcvit::{Context, ContextOptions, Error, LoadOptions, Model, Result, VitConfig};

use crate::{bundled, hub};

/// Which GPU.
#[derive(Args, Clone, Debug, Default)]
pub struct DeviceOptions {
    /// Adapter, by number (`tcvit doctor` lists them) or part of its name.
    #[arg(long, value_name = "NUMBER|NAME")]
    pub adapter: Option<String>,
    /// Read shaders from this folder instead of those compiled in.
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    pub shaders: Option<PathBuf>,
}

impl DeviceOptions {
    pub fn open(&self) -> Result<Context> {
        let mut options = ContextOptions::default();
        options.adapter.clone_from(&self.adapter);
        options.shaders.clone_from(&self.shaders);
        pollster::block_on(Context::with_options(options))
    }
}

/// Which model.
#[derive(Args, Clone, Debug, Default)]
pub struct ModelOptions {
    /// A .safetensors file, a folder with model.safetensors, owner/name[@revision] on the Hugging Face hub, or
    /// random:PRESET (such as random:deit_tiny) for random weights in a published shape. Default: the bundled model.
    #[arg(long, value_name = "PATH|ID")]
    pub model: Option<String>,
    /// Pixels along a side of the image, a multiple of the patch side [default: the model's]. Resizes the position
    /// embedding.
    #[arg(long, value_name = "SIDE")]
    pub image: Option<usize>,
    /// Take models of the hub from the cache only, as with HF_HUB_OFFLINE=1.
    #[arg(long)]
    pub offline: bool,
}

impl ModelOptions {
    pub fn name(&self) -> &str {
        self.model.as_deref().unwrap_or(bundled::MODEL)
    }

    fn preset(&self) -> Option<&str> {
        self.model.as_deref()?.strip_prefix("random:")
    }

    fn options(&self) -> LoadOptions {
        let mut options = LoadOptions::new();
        options.image = self.image;
        options
    }

    pub fn load(&self, context: &Context) -> Result<Model> {
        let options = self.options();
        match (&self.model, self.preset()) {
            (None, _) => bundled::model(context, &options),
            (_, Some(preset)) => Model::random_with(context, &VitConfig::preset(preset)?, 1, &options),
            (Some(model), None) => Model::load_with(context, hub::locate(model, self.offline)?, &options),
        }
    }

    /// The configuration alone, without a device.
    pub fn config(&self) -> Result<VitConfig> {
        let stored = match (&self.model, self.preset()) {
            (None, _) => {
                let (checkpoint, config) = bundled::checkpoint()?;
                checkpoint.config(Some(config))
            }
            (_, Some(preset)) => VitConfig::preset(preset),
            (Some(model), None) => Model::config_of(hub::locate(model, self.offline)?),
        }?;
        self.options().apply(&stored)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

/// How tokens are condensed. What is not given is the preset's.
#[derive(Args, Clone, Debug, Default)]
pub struct CondenseOptions {
    /// off: the full model.
    #[arg(long, value_enum)]
    pub condense: Option<Switch>,
    /// paper, literal or training_free [default: training_free].
    #[arg(long)]
    pub preset: Option<String>,
    /// R, patch tokens dropped in every block [default: about 7 % of them].
    #[arg(long, value_name = "R", conflicts_with = "schedule")]
    pub drop: Option<usize>,
    /// R for each block, as 8,8,16,...
    #[arg(long, value_name = "R,R,...", value_delimiter = ',')]
    pub schedule: Vec<usize>,
    /// K, order of connectivity.
    #[arg(long, value_name = "K")]
    pub order: Option<u32>,
    /// a, weight of higher orders.
    #[arg(long)]
    pub alpha: Option<f32>,
    /// b, weight of dominance.
    #[arg(long, allow_negative_numbers = true)]
    pub beta: Option<f32>,
    /// attention or key_cosine.
    #[arg(long)]
    pub metric: Option<String>,
    /// power_sum, or newton0 to newton3 for as many steps.
    #[arg(long)]
    pub method: Option<String>,
    /// combined, connectivity, dominance, or uniqueness.
    #[arg(long)]
    pub score: Option<String>,
    /// g, the uniqueness score's exponent.
    #[arg(long)]
    pub exponent: Option<f32>,
    /// connectivity, size, or none (plain pruning).
    #[arg(long)]
    pub weights: Option<String>,
    /// column or row.
    #[arg(long)]
    pub mean: Option<String>,
    /// Divide mean connectivity by its sum before it meets dominance.
    #[arg(long, value_enum)]
    pub normalise: Option<Switch>,
    /// Add ln(size) of the key to attention logits.
    #[arg(long, value_enum)]
    pub proportional_attention: Option<Switch>,
    /// thin, or dense to form all of C.
    #[arg(long)]
    pub path: Option<String>,
    /// Number format of weights and activations.
    #[arg(long, value_enum, default_value_t)]
    pub precision: Precision,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    #[default]
    F32,
}

impl CondenseOptions {
    /// The condensation, or `None` for the full model.
    pub fn condensation(&self) -> Result<Option<Condensation>> {
        if self.condense == Some(Switch::Off) {
            return Ok(None);
        }
        let mut c = Condensation::preset(self.preset.as_deref().unwrap_or("training_free"))?;
        c.order = self.order.unwrap_or(c.order);
        c.alpha = self.alpha.unwrap_or(c.alpha);
        c.beta = self.beta.unwrap_or(c.beta);
        c.normalise = self.normalise.map_or(c.normalise, |switch| switch == Switch::On);
        c.proportional_attention = self.proportional_attention.map_or(c.proportional_attention, |s| s == Switch::On);
        if let Some(name) = &self.metric {
            c.metric = pick("metric", name, &[("attention", Metric::Attention), ("key_cosine", Metric::KeyCosine)])?;
        }
        if let Some(name) = &self.method {
            let newton = |steps| Method::Newton(steps);
            let methods = [
                ("power_sum", Method::PowerSum),
                ("newton0", newton(0)),
                ("newton1", newton(1)),
                ("newton2", newton(2)),
                ("newton3", newton(3)),
            ];
            c.method = pick("method", name, &methods)?;
        }
        let exponent = match (self.exponent, c.score) {
            (Some(exponent), _) | (None, Score::Uniqueness { exponent }) => exponent,
            _ => 0.5,
        };
        if let Some(name) = &self.score {
            let scores = [
                ("combined", Score::Combined),
                ("connectivity", Score::Connectivity),
                ("dominance", Score::Dominance),
                ("uniqueness", Score::Uniqueness { exponent }),
            ];
            c.score = pick("score", name, &scores)?;
        } else if let Score::Uniqueness { .. } = c.score {
            c.score = Score::Uniqueness { exponent };
        }
        if let Some(name) = &self.weights {
            let weights = [("connectivity", Weights::Connectivity), ("size", Weights::Size), ("none", Weights::None)];
            c.weights = pick("weights", name, &weights)?;
        }
        if let Some(name) = &self.mean {
            c.mean = pick("mean", name, &[("column", Mean::Column), ("row", Mean::Row)])?;
        }
        if let Some(name) = &self.path {
            c.path = pick("path", name, &[("thin", Path::Thin), ("dense", Path::Dense)])?;
        }
        if let Some(r) = self.drop {
            c.schedule = Schedule::Constant(r);
        } else if !self.schedule.is_empty() {
            c.schedule = Schedule::PerBlock(self.schedule.clone());
        }
        c.validate()?;
        Ok(Some(c))
    }
}

fn pick<T: Copy>(option: &str, name: &str, known: &[(&str, T)]) -> Result<T> {
    known.iter().find(|(known, _)| *known == name).map(|&(_, value)| value).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        Error::Config {
            op: format!("option --{option}"),
            expected: format!("one of {}", names.join(", ")),
            got: name.to_owned(),
        }
    })
}

/// A file name that must be one, for outputs.
#[derive(Clone, Debug)]
pub struct OutputFile(pub PathBuf);

impl FromStr for OutputFile {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let path = PathBuf::from(text);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        match folder {
            Some(folder) if !folder.is_dir() => Err(format!("there is no folder {}", folder.display())),
            _ if path.is_dir() => Err("that is a folder".into()),
            _ => Ok(Self(path)),
        }
    }
}
