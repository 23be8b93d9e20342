//! A forward, recorded stage by stage in the order in which the data flows: pixels to tokens ([`embed`]); in every
//! block attention ([`attention`], [`block`]), condensing ([`condense`]) and the MLP; then the [`head`]. Each stage
//! takes [`Tokens`] and returns them.

use crate::condensation::Condensation;
use crate::config::VitConfig;
use crate::error::Result;
use crate::gpu::{Context, Precision, Recorder};
use crate::kernels::layout::Layout;
use crate::plan::Plan;
use crate::weights::VitWeights;
use crate::workspace::{Selection, Workspace};

pub(crate) mod attention;
mod block;
mod condense;
mod embed;
mod head;

pub use condense::connectivity_matrix;

/// The data that every stage of a forward uses. It does not change while the forward is recorded.
pub(crate) struct Forward<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) weights: &'a VitWeights,
    pub(crate) workspace: &'a Workspace,
    /// Images in one run.
    pub(crate) images: usize,
    /// Whether the W of every block that condenses is kept.
    pub(crate) inspect: bool,
}

/// The tokens that one stage hands to the next. A clone refers to the same buffers.
#[derive(Clone)]
pub(crate) struct Tokens {
    /// The residual stream: rows of D elements in f32.
    pub(crate) stream: wgpu::Buffer,
    /// Number of patches that each token stands for [B, T].
    pub(crate) sizes: wgpu::Buffer,
    /// The rows of the stream that hold the tokens [B, T], between rows of dropped tokens; `None` when the tokens lie
    /// next to each other.
    pub(crate) rows: Option<wgpu::Buffer>,
    /// B
    pub(crate) images: usize,
    /// E
    pub(crate) prefix: usize,
    /// N, patch tokens.
    pub(crate) patches: usize,
}

impl Tokens {
    /// T
    pub(crate) fn count(&self) -> usize {
        self.prefix + self.patches
    }

    /// B T, rows of all images together.
    pub(crate) fn all(&self) -> usize {
        self.images * self.count()
    }
}

/// The buffers that hold the results of a recorded forward.
pub(crate) struct Results {
    /// Tokens after the final norm, or, if the norm comes after pooling, before it [B, T, D].
    pub(crate) features: wgpu::Buffer,
    /// The classifier's input [B, P].
    pub(crate) pooled: wgpu::Buffer,
    /// The decisions of every block that condenses.
    pub(crate) selections: Vec<Selection>,
}

impl<'a> Forward<'a> {
    pub(crate) fn config(&self) -> &'a VitConfig {
        &self.plan.config
    }

    /// How activations are stored between kernels.
    pub(crate) fn precision(&self) -> Precision {
        self.weights.precision
    }

    /// The tokens of the first block, before their buffers are filled.
    pub(crate) fn first_tokens(&self) -> Tokens {
        let (config, workspace) = (self.config(), self.workspace);
        Tokens {
            stream: workspace.tokens[0].clone(),
            sizes: workspace.sizes[0].clone(),
            rows: None,
            images: self.images,
            prefix: config.prefix(),
            patches: config.patches(),
        }
    }

    /// Whether ln(size) of each key's token is added to its logits.
    pub(crate) fn is_proportional(&self) -> bool {
        self.plan.condensation.as_ref().is_some_and(|condensation| condensation.proportional_attention)
    }

    /// The layout of W for `patches` patch tokens.
    pub(crate) fn layout_of_w(&self, patches: usize) -> Layout {
        let pads = |condensation: &Condensation| self.plan.pads(condensation) && !self.inspect;
        match self.plan.condensation.as_ref().is_some_and(pads) {
            true => Layout::padded(self.config().prefix(), patches),
            false => Layout::packed(patches),
        }
    }

    /// Records the whole forward.
    pub(crate) fn record(&self, context: &Context, recorder: &mut Recorder<'_>) -> Result<Results> {
        let mut selections = Vec::new();
        recorder.section("embed", None);
        let mut tokens = embed::record(recorder, self)?;
        for (index, planned) in self.plan.blocks.iter().enumerate() {
            let weights = &self.weights.blocks[index];
            recorder.section("block", Some(index));
            block::record_attention(recorder, self, weights, &tokens)?;
            if let Some(condensation) = self.plan.condensation.as_ref().filter(|_| planned.dropped > 0) {
                let mut selection = Selection::new(context, index, *planned, self.images)?;
                if let Some(shared) = self.workspace.condense.as_ref().filter(|_| self.inspect) {
                    selection.own = Some(shared.with_own_matrices(context, planned.patches, self.images)?);
                }
                recorder.section("condense", Some(index));
                tokens = condense::record(recorder, self, tokens, condensation, &mut selection)?;
                recorder.section("block", Some(index));
                selections.push(selection);
            }
            tokens = block::record_mlp(recorder, self, weights, tokens)?;
        }
        recorder.section("head", None);
        let (features, pooled) = head::record(recorder, self, &tokens)?;
        Ok(Results { features, pooled, selections })
    }
}
