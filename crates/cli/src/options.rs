//! Options that several subcommands take.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use tcvit::low_level::plan::Plan;
use tcvit::{Condensation, Context, Error, LoadOptions, Model, Precision, Result, VitConfig};

use crate::output::describe;
use crate::{bundled, hub};

mod device;

pub use device::{DeviceOptions, PreprocessOptions, Work};

/// The model.
#[derive(Args, Clone, Debug, Default)]
pub struct ModelOptions {
    /// A .safetensors file, a folder with model.safetensors, owner/name[@revision] on the Hugging Face hub, or
    /// random:PRESET (such as random:deit_tiny) for random weights in a published shape. Default: the bundled model.
    #[allow(rustdoc::broken_intra_doc_links, reason = "this is the option's help, and its brackets are not a link")]
    #[arg(long, value_name = "PATH|ID")]
    pub model: Option<String>,
    /// Pixels along a side of the image, a multiple of the patch side [default: the model's]. Another side resizes the
    /// position embedding.
    #[arg(long, value_name = "SIDE")]
    pub image: Option<usize>,
    /// How weights and activations are stored: f32 or f16 [default: f16 if the adapter computes with it]. Sums are
    /// always f32.
    #[arg(long, value_name = "f32|f16")]
    pub precision: Option<Precision>,
    /// Take models of the hub only from the cache, as with HF_HUB_OFFLINE=1.
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
        if let Some(side) = self.image {
            options = options.image(side);
        }
        if let Some(precision) = self.precision {
            options = options.precision(precision);
        }
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

    /// Warns on standard error if the model was tuned for a condensation and some of `others` differ from it.
    pub fn warn_unless_tuned_for(&self, others: &[Condensation]) -> Result<()> {
        let Some(tuned) = self.tuned()? else { return Ok(()) };
        let config = self.config()?;
        let wanted = Plan::new(&config, Some(&tuned))?;
        let mut names = Vec::new();
        for other in others {
            let plan = Plan::new(&config, Some(other))?;
            // Schedules are compared by their R in every block, however they are written.
            let mut other = other.clone();
            other.schedule = tuned.schedule.clone();
            if plan.blocks != wanted.blocks || !tuned.same_results(&other) {
                names.push(describe(&plan));
            }
        }
        if !names.is_empty() {
            let (name, tuned, others) = (self.name(), describe(&wanted), names.join("; "));
            eprintln!("tcvit: warning: {name} was tuned for {tuned}, not for {others}");
        }
        Ok(())
    }

    /// The condensation that the model was tuned for, from its metadata. Needs no device.
    pub fn tuned(&self) -> Result<Option<Condensation>> {
        match (&self.model, self.preset()) {
            (None, _) => bundled::checkpoint()?.0.condensation(),
            (_, Some(_)) => Ok(None),
            (Some(model), None) => Model::condensation_of(hub::locate(model, self.offline)?),
        }
    }

    /// The configuration of the model. Needs no device.
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

/// How tokens are condensed. Options that are not given keep the preset's values.
#[derive(Args, Clone, Debug, Default)]
pub struct CondenseOptions {
    /// Whether to condense tokens; off runs the full model.
    #[arg(long, value_enum)]
    pub condense: Option<Switch>,
    /// A preset: paper, literal, training_free, or a method to compare with: tome, evit, prune, random [default: the
    /// condensation that the model was tuned for, or training_free if its metadata names none].
    #[arg(long)]
    pub preset: Option<String>,
    #[command(flatten)]
    pub amount: AmountOptions,
    #[command(flatten)]
    pub change: ChangeOptions,
}

/// How many tokens are dropped.
#[derive(Args, Clone, Debug, Default)]
#[group(multiple = false)]
pub struct AmountOptions {
    /// R, patch tokens dropped in every block [default: about 7 % of them].
    #[arg(long, value_name = "R")]
    pub drop: Option<usize>,
    /// R for each block, such as 8,8,16,...
    #[arg(long, value_name = "R,R,...")]
    pub schedule: Option<String>,
    /// Share of its patch tokens that a block keeps, such as 0.7, or one share for each block.
    #[arg(long, value_name = "SHARE,...")]
    pub keep: Option<String>,
    /// Drop as few tokens as fit a budget of multiply-adds: 55% of the full model's, or 0.7G of them.
    #[arg(long, value_name = "BUDGET")]
    pub flops: Option<String>,
}

/// Changes to a preset.
#[derive(Args, Clone, Debug, Default)]
pub struct ChangeOptions {
    /// K, the order of connectivity, from 1.
    #[arg(long, value_name = "K")]
    pub order: Option<String>,
    /// a, the weight of higher orders.
    #[arg(long)]
    pub alpha: Option<String>,
    /// b, the weight of dominance.
    #[arg(long, allow_negative_numbers = true)]
    pub beta: Option<String>,
    /// The metric of connectivity: attention, key_cosine, cosine, dot or euclidean.
    #[arg(long)]
    pub metric: Option<String>,
    /// How C is computed: power_sum (exact), or Newton's iteration with 0 to 3 steps (newton0 to newton3).
    #[arg(long)]
    pub method: Option<String>,
    /// The score: combined, connectivity, dominance, or uniqueness.
    #[arg(long)]
    pub score: Option<String>,
    /// g, the exponent of dominance in the uniqueness score.
    #[arg(long)]
    pub exponent: Option<String>,
    /// h, the exponent of size in the uniqueness score.
    #[arg(long)]
    pub size_exponent: Option<String>,
    /// How the tokens that are fused are weighted: connectivity, size, or none (dropped tokens are discarded).
    #[arg(long)]
    pub weights: Option<String>,
    /// Which mean of C gives a token's mean connectivity: column or row.
    #[arg(long)]
    pub mean: Option<String>,
    /// Whether to divide mean connectivity by its sum before it is combined with dominance: on or off.
    #[arg(long, value_name = "SWITCH")]
    pub normalise: Option<String>,
    /// Whether attention counts a token as often as the number of patches that it stands for: on or off.
    #[arg(long, value_name = "SWITCH")]
    pub proportional_attention: Option<String>,
    /// Which part of C is computed: thin (the rows and sums that are used) or dense (all of it).
    #[arg(long)]
    pub path: Option<String>,
    /// The seed of the random preset.
    #[arg(long)]
    pub seed: Option<String>,
}

impl CondenseOptions {
    /// The condensation, or `None` for the full model. Without a preset it is the one that `model` was tuned for.
    pub fn condensation(&self, model: &ModelOptions) -> Result<Option<Condensation>> {
        if self.condense == Some(Switch::Off) {
            return Ok(None);
        }
        let mut condensation = match &self.preset {
            Some(name) => Condensation::preset(name)?,
            None => model.tuned()?.unwrap_or_else(Condensation::training_free),
        };
        self.change.apply(&mut condensation)?;
        self.amount.apply(&mut condensation)?;
        condensation.validate()?;
        model.warn_unless_tuned_for(std::slice::from_ref(&condensation))?;
        Ok(Some(condensation))
    }
}

impl AmountOptions {
    pub fn apply(&self, condensation: &mut Condensation) -> Result<()> {
        let drop = self.drop.map(|r| r.to_string());
        let given = [("drop", &drop), ("schedule", &self.schedule), ("keep", &self.keep), ("flops", &self.flops)];
        set_all(condensation, &given)
    }
}

impl ChangeOptions {
    pub fn apply(&self, condensation: &mut Condensation) -> Result<()> {
        // The score is set before its exponent.
        let given = [
            ("metric", &self.metric),
            ("method", &self.method),
            ("order", &self.order),
            ("alpha", &self.alpha),
            ("beta", &self.beta),
            ("normalise", &self.normalise),
            ("mean", &self.mean),
            ("score", &self.score),
            ("exponent", &self.exponent),
            ("size_exponent", &self.size_exponent),
            ("weights", &self.weights),
            ("path", &self.path),
            ("seed", &self.seed),
            ("proportional_attention", &self.proportional_attention),
        ];
        set_all(condensation, &given)
    }
}

fn set_all(condensation: &mut Condensation, given: &[(&str, &Option<String>)]) -> Result<()> {
    for (option, value) in given {
        if let Some(value) = value {
            condensation.set(option, value).map_err(|error| named(option, error))?;
        }
    }
    Ok(())
}

/// The error, with the name of the option as it was typed.
fn named(option: &str, error: Error) -> Error {
    match error {
        Error::Config { expected, got, .. } => {
            Error::config(format!("option --{}", option.replace('_', "-")), expected, got)
        }
        other => other,
    }
}

/// The name of an output file, in a folder that exists.
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
