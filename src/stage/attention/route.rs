//! The route of attention that a session takes: a remembered one, one found by a short search, or the first by rank
//! whose kernels are verified.

use std::time::{Duration, Instant};

use super::{Shape, fused_call, fused_way, mean_by_matrices, record, record_connectivity, record_dominance};
use crate::config::VitConfig;
use crate::error::{Error, Result};
use crate::gpu::{Context, Precision, Recorder, Types, settle};
use crate::kernels::layout::Layout;
use crate::kernels::{attention as fused, attention_mean};
use crate::plan::{Attention, BlockPlan, Plan};
use crate::stage::{Forward, Tokens};
use crate::ways;
use crate::weights::VitWeights;
use crate::workspace::Workspace;

/// Time after which a search tries no further route. Most of it is the compilation of kernels, once on each device.
const BUDGET: Duration = Duration::from_secs(5);

/// The most images that a search runs: enough to fill a device, and few enough to finish soon.
const MOST_IMAGES: usize = 8;

/// The routes that are worth trying on `context`'s device, fastest first. The order was measured at DeiT's shapes, on
/// an H200 and, for devices where loads are dear, on llvmpipe. On llvmpipe the `octets` way of the fused kernel is
/// fastest, since eight threads use one load. On an H200 it was slower than the plain kernels, and the driver took 25
/// seconds to compile it.
fn routes(context: &Context) -> &'static [Attention] {
    match context.traits().loads_are_dear {
        true => &[Attention::Fused, Attention::Stored],
        false => &[Attention::Cooperative, Attention::Fused, Attention::Stored],
    }
}

/// Refuses a route that this device or this model cannot run.
pub(crate) fn check(context: &Context, config: &VitConfig, precision: Precision, attention: Attention) -> Result<()> {
    let head = config.head_width();
    let traits = context.traits();
    let has_matrices = traits.tile.is_some() && fused::cooperative::takes(traits, head);
    if attention == Attention::Cooperative && (precision, has_matrices) != (Precision::F16, true) {
        let expected = "cooperative matrices, f16, and heads of 1 to 8 whole matrices, for cooperative attention";
        let got = format!("{precision}, heads of {head} dimensions on {}", context.describe());
        return Err(Error::config("open session", expected, got));
    }
    if !attention.takes(head) {
        let expected = format!("heads of at most {} dimensions, for {attention} attention", fused::WIDEST_HEAD);
        return Err(Error::config("open session", expected, config.head_width().to_string()));
    }
    Ok(())
}

/// The route for sessions of `batch` images under `plan`: the remembered one; or else, if `context` tunes, the one that
/// a search finds; or else the first by rank.
pub(crate) async fn fastest(
    context: &Context,
    weights: &VitWeights,
    plan: &Plan,
    batch: usize,
    inspect: bool,
) -> Result<Attention> {
    let is_right =
        |context: &Context, route| Wanted { context, plan, precision: weights.precision, inspect }.is_right(route);
    let probe = Probe::new(context, weights, plan, batch);
    let name = probe.name();
    let remembered = context.choices().get(&name).and_then(|name| name.parse().ok());
    if let Some(known) = remembered
        && settle(context, |context| Ok(is_right(context, known))).await?
    {
        return Ok(known);
    }
    let first = |context: &Context| Ok(routes(context).iter().copied().find(|&route| is_right(context, route)));
    let default = settle(context, first).await?.unwrap_or_default();
    if !context.tunes() {
        return Ok(default);
    }
    let start = Instant::now();
    let all = |context: &Context| -> Result<Vec<Attention>> {
        Ok(routes(context).iter().copied().filter(|&route| is_right(context, route)).collect())
    };
    let right = settle(context, all).await?;
    let seconds = async |attention| match start.elapsed() > BUDGET && attention != default {
        // Past the budget, a route is not tried.
        true => Ok(f64::INFINITY),
        false => probe.seconds(attention).await,
    };
    let best = ways::search(default, &right, seconds).await.unwrap_or(default);
    ways::note(context, name, best.to_string());
    Ok(best)
}

/// The session that attention is chosen for.
struct Wanted<'a> {
    context: &'a Context,
    plan: &'a Plan,
    precision: Precision,
    inspect: bool,
}

impl Wanted<'_> {
    /// Whether this device and this model can run the route and its kernels are verified for the tokens of every block.
    /// The stored route needs no verification, since each of its kernels has a fallback.
    fn is_right(&self, attention: Attention) -> bool {
        if check(self.context, &self.plan.config, self.precision, attention).is_err() {
            return false;
        }
        attention == Attention::Stored
            || self.plan.blocks.iter().all(|&block| self.mixes(attention, block) && self.connects(attention, block))
    }

    fn proportional(&self) -> bool {
        self.plan.condensation.as_ref().is_some_and(|condensation| condensation.proportional_attention)
    }

    fn takes_connectivity(&self, block: BlockPlan) -> bool {
        block.dropped > 0 && Takes::of(self.plan) == Takes::Connectivity
    }

    /// Whether the way of the fused kernel is verified. If loads are dear, only the `octets` way counts, since the
    /// barriers of the plain fused kernel cost more than it saves.
    fn mixes(&self, attention: Attention, block: BlockPlan) -> bool {
        let types = Types::new(self.precision, self.precision);
        let call = fused_call(&self.shape(block), types, self.proportional());
        let way = fused_way(self.context, attention, &call);
        way.is_ok_and(|way| !self.context.traits().loads_are_dear || Some(way) == fused::octets())
    }

    /// Whether the kernels that compute W on this route are verified. The kernels of routes other than the cooperative
    /// one have a fallback.
    fn connects(&self, attention: Attention, block: BlockPlan) -> bool {
        if !self.takes_connectivity(block) {
            return true;
        }
        let (context, shape) = (self.context, self.shape(block));
        let plan = self.plan.clone().with_attention(attention);
        let pads = plan.condensation.as_ref().is_some_and(|condensation| plan.pads(condensation)) && !self.inspect;
        let layout = match pads {
            true => Layout::padded(plan.config.prefix(), block.patches),
            false => Layout::packed(block.patches),
        };
        let types = Types::new(self.precision, self.precision);
        match attention {
            Attention::Cooperative => {
                let strips = attention_mean::cooperative::strips(context.traits(), shape.tokens as usize);
                let call = mean_by_matrices(&shape, types, self.proportional(), layout, strips);
                ways::is_verified(context, attention_mean::cooperative::way(), &call)
            }
            Attention::Stored | Attention::Fused => true,
        }
    }

    /// The sizes of one image's attention in `block`.
    fn shape(&self, block: BlockPlan) -> Shape {
        let config = &self.plan.config;
        let (tokens, head) = (config.prefix() + block.patches, config.head_width());
        Shape {
            images: 1,
            tokens: tokens as u32,
            prefix: config.prefix() as u32,
            heads: config.heads as u32,
            width4: (config.width / 4) as u32,
            head4: (head / 4) as u32,
            scale: 1.0 / (head as f32).sqrt(),
            stride: Plan::probs_stride(tokens) as u32,
        }
    }
}

/// The results of attention that a condensation reads.
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

/// The attention of one block, with the results that the plan's condensation reads, for measuring a route.
struct Probe<'a> {
    context: &'a Context,
    weights: &'a VitWeights,
    plan: &'a Plan,
    images: usize,
    block: usize,
    takes: Takes,
}

impl<'a> Probe<'a> {
    /// Measures the first block that condenses, which has more tokens than all later ones. In a full model, measures
    /// the first block.
    fn new(context: &'a Context, weights: &'a VitWeights, plan: &'a Plan, batch: usize) -> Self {
        let condensing = plan.blocks.iter().position(|block| block.dropped > 0);
        // Powers of two, so that few batch sizes need a separate search.
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

    /// Seconds that this attention takes on the route `attention`.
    async fn seconds(&self, attention: Attention) -> Result<f64> {
        let plan = self.plan.clone().with_attention(attention);
        let images = plan.chunk(self.images, self.context.max_binding())?;
        let workspace = Workspace::new(self.context, &plan, self.weights.precision, images)?;
        let forward = Forward { plan: &plan, weights: self.weights, workspace: &workspace, images, inspect: false };
        let tokens = Tokens { patches: self.patches(), ..forward.first_tokens() };
        let seconds = ways::seconds_of(self.context, |recorder| self.record(recorder, &forward, &tokens)).await?;
        // If fewer images fit one binding, a session runs this more often.
        Ok(seconds * self.images as f64 / images as f64)
    }

    fn record(&self, recorder: &mut Recorder<'_>, forward: &Forward<'_>, tokens: &Tokens) -> Result<()> {
        record(recorder, forward, tokens)?;
        let none = || Error::config("measure attention", "the buffers of a plan that condenses", "none");
        let buffers = || forward.workspace.condense.as_ref().ok_or_else(none);
        match self.takes {
            Takes::Nothing => Ok(()),
            Takes::Dominance => record_dominance(recorder, forward, tokens, &buffers()?.dominance),
            Takes::Connectivity => {
                let buffers = buffers()?;
                let (w, sums) = (&buffers.connectivity, &buffers.column_sums);
                let layout = forward.layout_of_w(tokens.patches);
                record_connectivity(recorder, forward, tokens, w, sums, &buffers.dominance, layout).map(|_| ())
            }
        }
    }
}
