//! What every stage of a forward is given, and the stages in the order the data flows.

use crate::condensation::Condensation;
use crate::config::VitConfig;
use crate::error::Result;
use crate::gpu::{Context, Precision, Recorder};
use crate::kernels::attention_powers::Layout;
use crate::plan::Plan;
use crate::weights::VitWeights;
use crate::workspace::{Selection, Workspace};
use crate::{block, condense, embed, head};

/// A model, a plan and buffers, seen by the stage that is being recorded.
pub(crate) struct Stage<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) weights: &'a VitWeights,
    pub(crate) workspace: &'a Workspace,
    /// Images in one run.
    pub(crate) images: usize,
    /// Whether every block's W is kept.
    pub(crate) inspect: bool,
    /// The block that is being recorded.
    pub(crate) block: usize,
    /// Which of the ping-pong buffers holds the tokens now.
    pub(crate) current: usize,
    /// Patch tokens now.
    pub(crate) patches: usize,
    /// Whether the tokens that go on lie among dropped ones, at the rows that the last fusion listed.
    pub(crate) scattered: bool,
}

impl Stage<'_> {
    pub(crate) fn config(&self) -> &VitConfig {
        &self.plan.config
    }

    /// T now.
    pub(crate) fn tokens(&self) -> usize {
        self.config().prefix() + self.patches
    }

    /// Whether ln(size) of a key counts in its logits.
    pub(crate) fn proportional(&self) -> bool {
        self.plan.condensation.as_ref().is_some_and(|condensation| condensation.proportional_attention)
    }

    /// Whether attention leaves what W is made of.
    pub(crate) fn emits(&self) -> bool {
        let condenses = self.plan.blocks.get(self.block).is_some_and(|block| block.dropped > 0);
        condenses && self.plan.condensation.as_ref().is_some_and(|condensation| self.plan.emits(condensation))
    }

    /// How the W of `condensation` lies.
    pub(crate) fn layout_of_w(&self, condensation: Option<&Condensation>) -> Layout {
        match condensation.is_some_and(|condensation| self.plan.pads(condensation) && !self.inspect) {
            true => Layout::padded(self.config().prefix(), self.patches),
            false => Layout::packed(self.patches),
        }
    }

    /// Rows of all images together.
    pub(crate) fn rows(&self) -> usize {
        self.images * self.tokens()
    }

    /// How activations are stored between kernels.
    pub(crate) fn precision(&self) -> Precision {
        self.weights.precision
    }

    /// The residual stream.
    pub(crate) fn stream(&self) -> &wgpu::Buffer {
        &self.workspace.tokens[self.current]
    }

    /// The rows of the stream at which its tokens lie, where they do not lie next to each other.
    pub(crate) fn scattered_rows(&self) -> Option<&wgpu::Buffer> {
        self.workspace.condense.as_ref().filter(|_| self.scattered).map(|buffers| &buffers.remaining)
    }

    /// Sizes of the tokens that go on.
    pub(crate) fn sizes(&self) -> &wgpu::Buffer {
        // A fusion writes new ones; tokens follow when they next move.
        &self.workspace.sizes[if self.scattered { 1 - self.current } else { self.current }]
    }
}

/// Records a whole forward. Returns the buffer that the features [B, T, D] end up in.
pub(crate) fn record(
    context: &Context,
    recorder: &mut Recorder<'_>,
    stage: &mut Stage<'_>,
    selections: &mut Vec<Selection>,
) -> Result<wgpu::Buffer> {
    recorder.section("embed");
    embed::record(recorder, stage)?;
    for (index, planned) in stage.plan.blocks.iter().enumerate() {
        recorder.section(format!("block.{index}"));
        stage.block = index;
        let weights = &stage.weights.blocks[index];
        block::record_attention(recorder, stage, weights)?;
        if let Some(condensation) = stage.plan.condensation.as_ref().filter(|_| planned.dropped > 0) {
            let mut selection = Selection::new(context, index, planned.patches, planned.dropped, stage.images)?;
            if let Some(shared) = stage.workspace.condense.as_ref().filter(|_| stage.inspect) {
                selection.own = Some(shared.with_own_matrices(context, planned.patches, stage.images)?);
            }
            recorder.section(format!("block.{index}.condense"));
            condense::record(recorder, stage, condensation, &mut selection)?;
            recorder.section(format!("block.{index}"));
            selections.push(selection);
        }
        block::record_mlp(recorder, stage, weights)?;
    }
    recorder.section("head");
    head::record(recorder, stage)
}
