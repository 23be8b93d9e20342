//! Which way of attention is fastest on a device: by what was found there before, by a short search, or as expected.

use std::time::{Duration, Instant};

use super::{check, preferred, record, record_connectivity, record_dominance};
use crate::config::VitConfig;
use crate::error::{Error, Result};
use crate::forward::Stage;
use crate::gpu::{Context, Precision, Recorder, Variant};
use crate::plan::{Attention, Plan};
use crate::tune;
use crate::weights::VitWeights;
use crate::workspace::Workspace;

/// What one search may take before it tries no further way: most of it is compiling kernels, once for each device.
const BUDGET: Duration = Duration::from_secs(5);

/// The most images that a search runs: enough to fill a device, few enough to be over soon.
const MOST_IMAGES: usize = 8;

/// The way for sessions of `batch` images under `plan`: remembered, or found by a search where `context` tunes, or the one
/// that is [`preferred`].
pub(crate) fn fastest(context: &Context, weights: &VitWeights, plan: &Plan, batch: usize) -> Attention {
    let default = preferred(context, &plan.config, weights.precision);
    let probe = Probe::new(context, weights, plan, batch);
    let name = probe.name();
    let remembered = context.choices().get(&name).and_then(|name| name.parse().ok());
    if let Some(known) = remembered
        && is_right(context, &plan.config, weights.precision, known)
    {
        return known;
    }
    if !context.tunes() {
        return default;
    }
    let start = Instant::now();
    let right: Vec<Attention> = candidates(context)
        .filter(|&attention| is_right(context, &plan.config, weights.precision, attention))
        .collect();
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
    let octets = Variant::Subgroup.available(context) && context.info().device_type == wgpu::DeviceType::Cpu;
    Attention::ALL.into_iter().filter(move |attention| (attention.variant() == Variant::Subgroup) == octets)
}

/// Whether this device and this model can run it, and all of its kernels have given their twins' results there. Where
/// probabilities are stored by plain kernels there is nothing to fall back to.
pub(super) fn is_right(context: &Context, config: &VitConfig, precision: Precision, attention: Attention) -> bool {
    let octets = |kernels: &[&str]| tune::way(context, kernels) == Variant::Subgroup;
    check(context, config, precision, attention).is_ok()
        && match attention {
            Attention::Stored(Variant::Plain) => true,
            Attention::Stored(Variant::Subgroup) => octets(&["query_key", "softmax", "attention_mix"]),
            Attention::Fused(Variant::Plain) => {
                ["attention", "attention_mean"].iter().all(|kernel| tune::is_believed(context, kernel))
            }
            Attention::Fused(Variant::Subgroup) => octets(&["attention", "attention_mean"]),
            Attention::Cooperative => {
                octets(&["attention_mean"])
                    && ["attention_cooperative", "attention_mean_cooperative"]
                        .iter()
                        .all(|kernel| tune::is_believed(context, kernel))
            }
            Attention::Emitting => octets(&["attention"]) && tune::is_believed(context, "attention_powers"),
        }
}

/// What a condensation takes from attention.
#[derive(Clone, Copy, Debug)]
enum Takes {
    Nothing,
    Dominance,
    Connectivity,
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
        let takes = match plan.condensation.as_ref().filter(|_| condensing.is_some()) {
            Some(condensation) if condensation.compares_attention() => Takes::Connectivity,
            Some(condensation) if condensation.uses_dominance() => Takes::Dominance,
            _ => Takes::Nothing,
        };
        // Powers of two, so that few batches need a search of their own.
        let images = 1 << batch.clamp(1, MOST_IMAGES).ilog2();
        Self { context, weights, plan, images, block: condensing.unwrap_or(0), takes }
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
