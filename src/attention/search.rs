//! Which way of attention is fastest on a device: by what was found there before, by a short search, or as expected.

use std::time::{Duration, Instant};

use super::{check, preferred, record, record_connectivity, record_dominance};
use crate::doctor::{AttentionUse, AttentionWay, MeanUse};
use crate::error::{Error, Result};
use crate::forward::Stage;
use crate::gpu::{Context, Home, Precision, Recorder, Types, Variant};
use crate::kernels::attention::Form;
use crate::plan::{Attention, Plan};
use crate::tune;
use crate::weights::VitWeights;
use crate::workspace::{Workspace, texels};

/// What one search may take before it tries no further way: most of it is compiling kernels, once for each device.
const BUDGET: Duration = Duration::from_secs(5);

/// The most images that a search runs: enough to fill a device, few enough to be over soon.
const MOST_IMAGES: usize = 8;

/// The way for sessions of `batch` images under `plan`: remembered, or found by a search where `context` tunes, or the one
/// that is [`preferred`].
pub(crate) fn fastest(context: &Context, weights: &VitWeights, plan: &Plan, batch: usize, inspect: bool) -> Attention {
    let wanted = Wanted { context, plan, precision: weights.precision, batch, inspect };
    let default = preferred(&wanted);
    let probe = Probe::new(context, weights, plan, batch);
    let name = probe.name();
    let remembered = context.choices().get(&name).and_then(|name| name.parse().ok());
    if let Some(known) = remembered
        && wanted.is_right(known)
    {
        return known;
    }
    if !context.tunes() {
        return default;
    }
    let start = Instant::now();
    let right: Vec<Attention> = candidates(context).filter(|&attention| wanted.is_right(attention)).collect();
    let seconds = |attention| match start.elapsed() > BUDGET && attention != default {
        // Not tried.
        true => Ok(f64::INFINITY),
        false => probe.seconds(attention),
    };
    let best = tune::search(default, &right, seconds).unwrap_or(default);
    tune::found(context, name, best.to_string());
    best
}

/// What is tried. Octets share what lanes of a CPU's subgroups load, and win there; on an H200 they were slower than the
/// plain kernels, and took the driver 25 seconds to compile.
fn candidates(context: &Context) -> impl Iterator<Item = Attention> {
    let octets = Variant::Subgroup.available(context) && context.is_emulated();
    Attention::ALL.into_iter().filter(move |attention| (attention.variant() == Variant::Subgroup) == octets)
}

/// What attention is for.
pub(super) struct Wanted<'a> {
    pub(super) context: &'a Context,
    plan: &'a Plan,
    precision: Precision,
    batch: usize,
    inspect: bool,
}

impl Wanted<'_> {
    /// Whether this device and this model can run it so, and its kernels have given their twins' results there, in the
    /// forms that the plan has. Where probabilities are stored by plain kernels there is nothing to fall back to.
    pub(super) fn is_right(&self, attention: Attention) -> bool {
        if check(self.context, &self.plan.config, self.precision, attention).is_err() {
            return false;
        }
        let takes = Takes::of(self.plan);
        let believed = |kernel| tune::is_believed(self.context, kernel);
        match attention {
            Attention::Stored(Variant::Plain) => true,
            Attention::Stored(Variant::Subgroup) => {
                tune::way(self.context, &["query_key", "softmax", "attention_mix"]) == Variant::Subgroup
            }
            Attention::Emitting if takes == Takes::Connectivity => {
                self.mixes(attention) && believed("attention_powers")
            }
            Attention::Cooperative if takes == Takes::Connectivity => {
                self.mixes(attention) && believed("attention_mean_cooperative")
            }
            _ => self.mixes(attention) && self.means(attention),
        }
    }

    fn proportional(&self) -> bool {
        self.plan.condensation.as_ref().is_some_and(|condensation| condensation.proportional_attention)
    }

    /// Whether attention itself is right, for the tokens of every block.
    fn mixes(&self, attention: Attention) -> bool {
        let way = match attention {
            Attention::Cooperative => AttentionWay::Cooperative,
            other => AttentionWay::Of(other.variant()),
        };
        let emits = attention == Attention::Emitting && Takes::of(self.plan) == Takes::Connectivity;
        let home = if emits { self.home_of_powers() } else { Home::Buffer };
        let types = Types::new(self.precision, self.precision).at(home);
        let config = &self.plan.config;
        self.plan.blocks.iter().all(|block| {
            let form = Form { proportional: self.proportional(), emits: emits && block.dropped > 0 };
            let used = AttentionUse { way, types, form };
            tune::of_attention(self.context, used, config.prefix() + block.patches, config.head_width())
        })
    }

    /// Where attention leaves powers.
    fn home_of_powers(&self) -> Home {
        let plan = self.plan.clone().with_attention(Attention::Emitting);
        // What does not fit is refused when the session is made.
        let images = plan.chunk(self.batch, self.context.max_binding()).unwrap_or(self.batch);
        match texels(self.context, &plan, self.precision, images, self.inspect) {
            Some(_) => Home::Texture,
            None => Home::Buffer,
        }
    }

    /// Whether what is made of queries and keys afterwards is.
    fn means(&self, attention: Attention) -> bool {
        let right = |all, patches| {
            let (variant, precision, proportional) = (attention.variant(), self.precision, self.proportional());
            tune::of_means(self.context, MeanUse { variant, precision, proportional, all }, patches)
        };
        let mut condensing = self.plan.blocks.iter().filter(|block| block.dropped > 0);
        match Takes::of(self.plan) {
            Takes::Nothing => true,
            Takes::Dominance => right(false, 1),
            Takes::Connectivity => right(false, 1) && condensing.all(|block| right(true, block.patches)),
        }
    }
}

/// What a condensation takes from attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Nothing,
    Dominance,
    Connectivity,
}

impl Takes {
    fn of(plan: &Plan) -> Self {
        match plan.condensation.as_ref().filter(|_| plan.condenses()) {
            Some(condensation) if condensation.compares_attention() => Self::Connectivity,
            Some(condensation) if condensation.uses_dominance() => Self::Dominance,
            _ => Self::Nothing,
        }
    }
}

/// One block's attention, and what the plan's condensation takes from it.
struct Probe<'a> {
    context: &'a Context,
    weights: &'a VitWeights,
    plan: &'a Plan,
    images: usize,
    block: usize,
    takes: Takes,
}

impl<'a> Probe<'a> {
    /// Of the first block that condenses, which is the one with the most tokens of those that do; else of the first.
    fn new(context: &'a Context, weights: &'a VitWeights, plan: &'a Plan, batch: usize) -> Self {
        let condensing = plan.blocks.iter().position(|block| block.dropped > 0);
        // Powers of two, so that few batches need a search of their own.
        let images = 1 << batch.clamp(1, MOST_IMAGES).ilog2();
        Self { context, weights, plan, images, block: condensing.unwrap_or(0), takes: Takes::of(plan) }
    }

    fn patches(&self) -> usize {
        self.plan.blocks[self.block].patches
    }

    fn name(&self) -> String {
        let (config, tokens) = (&self.plan.config, self.plan.config.prefix() + self.patches());
        let [heads, head] = [config.heads, config.head_width()];
        let (images, precision) = (self.images, self.weights.precision);
        let biased =
            if self.plan.condensation.as_ref().is_some_and(|c| c.proportional_attention) { " biased" } else { "" };
        format!("attention {images} {tokens} {heads} {head} {precision} {:?}{biased}", self.takes)
    }

    /// Time of it, done by `attention`.
    fn seconds(&self, attention: Attention) -> Result<f64> {
        let plan = self.plan.clone().with_attention(attention);
        let images = plan.chunk(self.images, self.context.max_binding())?;
        let workspace = Workspace::new(self.context, &plan, self.weights.precision, images, false)?;
        let stage = Stage {
            plan: &plan,
            weights: self.weights,
            workspace: &workspace,
            images,
            inspect: false,
            block: self.block,
            current: 0,
            scattered: false,
            patches: self.patches(),
        };
        let seconds = tune::seconds_of(self.context, |recorder| self.record(recorder, &stage))?;
        // Fewer images where more do not fit one binding: then it runs more often.
        Ok(seconds * self.images as f64 / images as f64)
    }

    fn record(&self, recorder: &mut Recorder<'_>, stage: &Stage<'_>) -> Result<()> {
        record(recorder, stage)?;
        let none = || Error::config("tune attention", "the buffers of a plan that condenses", "none");
        let buffers = || stage.workspace.condense.as_ref().ok_or_else(none);
        match self.takes {
            Takes::Nothing => Ok(()),
            Takes::Dominance => record_dominance(recorder, stage, &buffers()?.dominance),
            Takes::Connectivity => {
                let buffers = buffers()?;
                let (w, sums) = (buffers.connectivity.matrix(), &buffers.column_sums);
                let layout = stage.layout_of_w(self.plan.condensation.as_ref());
                record_connectivity(recorder, stage, w, sums, &buffers.dominance, layout).map(|_| ())
            }
        }
    }
}
